"""Patterns of URLs: ``host:port/path``, in Privoxy's syntax, each part of which may be left out.

The host: a dot at its beginning or end leaves that end open; in a label, ``*`` is any text, ``?``
any character and ``[a-z]`` one of some. The path: a regular expression (RE2's) that begins at the
path's beginning, without regard to case, and sees the query too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from attrs import frozen

from .expressions import Expression, compiled

_PARTS = re.compile(r"(?P<host>[^/:<>]*|<[0-9A-Fa-f:.]+>)(?::(?P<ports>[0-9,-]*))?(?P<path>/.*)?\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PORTS = re.compile(r"(?=.)([0-9]{0,5})(-([0-9]{0,5}))?\Z")
_LABEL = re.compile(r"(?:[a-z0-9_*?-]|\[[a-z0-9_-]+\])+\Z")
_LITERAL = re.compile(r"[a-z0-9_-]+\Z")
_GLOB = re.compile(r"\*|\?|\[([^\]]*)\]|[^*?\[]+")

Ports = tuple[range, ...]


@frozen(slots=True)
class HostPattern:
    """A pattern's host.

    :ivar labels: in lower case, as they are written; none for any host.
    :ivar open_left: whether more labels may stand before.
    :ivar open_right: whether more labels may stand behind.
    """

    labels: tuple[str, ...]
    open_left: bool = False
    open_right: bool = False

    @property
    def literal(self) -> bool:
        """Whether no label has anything that stands for something else."""
        return all(map(is_literal, self.labels))

    def expression(self) -> Expression:
        """Give it as an expression for a host in lower case.

        :raises ValueError: when there is none, for a class is no class.
        """
        inside = r"\.".join(map(_label_expression, self.labels))
        left = r"(?:.*\.)?" if self.open_left else ""
        right = r"(?:\..*)?" if self.open_right else ""
        return compiled(f"^{left}{inside}{right}$".encode("ascii"))


def is_literal(label: str) -> bool:
    """Say whether a label, or an IPv6 address in its place, stands for itself alone."""
    return _LITERAL.match(label) is not None or ":" in label


@frozen(slots=True, eq=False)
class UrlPattern:
    """A pattern.

    :ivar text: as it was written.
    :ivar host: its host.
    :ivar ports: one of which it must be; ``None`` for any.
    :ivar path: the expression's source, anchored; ``None`` for any path.
    :ivar matches_path: says whether path and query match; ``None`` for any.
    :ivar matches_host: says whether a host matches that is no IPv6 address; ``None`` where
        comparing the labels says it.
    """

    text: str
    host: HostPattern
    ports: Ports | None
    path: str | None
    matches_path: Callable[[bytes], bool] | None
    matches_host: Callable[[bytes], bool] | None

    @classmethod
    def parse(cls, text: str) -> UrlPattern:
        """Parse a pattern.

        :raises ValueError: when it is none.
        """
        match = _PARTS.match(text)
        if match is None or not text or _SCHEME.match(text):
            raise ValueError(f'expected a pattern such as ".example.com/path", got {text!r}')
        path = match["path"]
        source = None if path in (None, "/") else f"(?i)^{path}"
        host = _host(match["host"])
        of_host = None if host.literal else _matching(host.expression())
        return cls(text, host, _ports(match["ports"]), source, _path(source), of_host)


def _host(text: str) -> HostPattern:
    if text.startswith("<"):
        return HostPattern((str(ipaddress.IPv6Address(text[1:-1])),))
    lowered = text.lower()
    labels = tuple(label for label in lowered.split(".") if label)
    if not labels:
        return HostPattern(())
    for label in labels:
        if not _LABEL.match(label):
            raise ValueError(f"{label!r} is no part of a host's name, and no pattern of one")
    return HostPattern(labels, lowered.startswith("."), lowered.endswith("."))


def _label_expression(label: str) -> str:
    pieces: list[str] = []
    for match in _GLOB.finditer(label):
        part = match[0]
        if part == "*":
            pieces.append("[^.]*")
        elif part == "?":
            pieces.append("[^.]")
        else:
            pieces.append(part if match[1] is not None else re.escape(part))
    return "".join(pieces)


def _ports(text: str | None) -> Ports | None:
    if not text:
        return None
    ranges: list[range] = []
    for part in text.split(","):
        match = _PORTS.match(part)
        begin = int(match[1] or 0) if match else 1
        end = begin if match and match[2] is None else int(match[3] or 65535) if match else 0
        if not begin <= end <= 65535:
            raise ValueError(f"{part!r} is no port, and no range of ports")
        ranges.append(range(begin, end + 1))
    return tuple(ranges)


def _path(source: str | None) -> Callable[[bytes], bool] | None:
    if source is None:
        return None
    try:
        return _matching(compiled(source.encode("latin-1")))
    except UnicodeEncodeError:
        raise ValueError("the path has characters that no URL has") from None


def _matching(expression: Expression) -> Callable[[bytes], bool]:
    search = expression.search
    return lambda text: search(text) is not None
