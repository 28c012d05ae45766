"""URI references in a response's fields (RFC 3986 section 4.1), mapped to what clients see.

A server behind a proxy may write references to itself as only it can be reached.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import frozen

from ..errors import BadRequest
from .target import DEFAULT_PORTS, Authority, parse_authority

_PARTS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?(.*)", re.DOTALL)
# A field that is not in RFC 9110, as HTML has it: seconds, then "url=", perhaps in quotes.
_BEFORE_REFRESH = re.compile(r"\s*[0-9.]+\s*[;,]\s*(?:url\s*=\s*)?", re.IGNORECASE)
# RFC 8288 section 3: a link's target stands in angle brackets before its parameters.
_LINK = re.compile(r"<([^<>]*)>(?=\s*(?:[;,]|\Z))")

Mapping = Callable[[str], str]
"""Gives a reference as the client should see it; another than it knows stays the same."""


@frozen(slots=True)
class Reference:
    """A URI reference, taken apart as far as a mapping needs.

    :ivar scheme: in lower case, or ``""``.
    :ivar authority: ``None`` when it has none.
    :ivar rest: path, query and fragment.
    """

    scheme: str
    authority: Authority | None
    rest: str

    @classmethod
    def of(cls, text: str) -> Reference | None:
        """Take a reference apart; ``None`` for one whose authority is no host and port."""
        match = _PARTS.fullmatch(text)
        assert match is not None
        scheme, authority, rest = match.groups()
        if authority is None:
            return cls((scheme or "").lower(), None, rest)
        try:
            parsed = parse_authority(authority.encode("utf-8"))
        except BadRequest:
            return None
        return cls((scheme or "").lower(), parsed, rest)

    def behind(self, prefix: Reference, own: Authority) -> str | None:
        """Give what stands behind a prefix of this reference.

        :param prefix: a path, or all up to and including one.
        :param own: the authority that was asked; a prefix that is a path is one of its paths.
        :returns: ``None`` when it does not begin so.
        """
        if prefix.authority is not None:
            if not self._names(prefix.scheme, prefix.authority):
                return None
        elif self.authority is None:
            if self.scheme:
                return None
        elif not self._names("", own):
            return None
        path = self.rest
        if self.authority is not None and not path.startswith("/"):
            path = "/" + path
        return below(prefix.rest or "/", path)

    def _names(self, scheme: str, authority: Authority) -> bool:
        """Say whether it leads to a host and port; ``""`` stands for any scheme."""
        if self.authority is None or (scheme and self.scheme not in ("", scheme)):
            return False
        default = DEFAULT_PORTS.get(self.scheme or scheme)
        mine = (self.authority.host, self.authority.port or default)
        return mine == (authority.host, authority.port or default)


def below(prefix: str, path: str) -> str | None:
    """Give what stands behind a prefix of a path, which ends where a segment ends.

    :returns: ``None`` when the path does not begin so.
    """
    if not path.startswith(prefix):
        return None
    rest = path[len(prefix) :]
    return rest if not rest or prefix.endswith("/") or rest[0] in "/?#" else None


def joined(prefix: str, rest: str, *, at_slash: bool) -> str:
    """Put a prefix before the rest of a path, with one slash between them where one belongs.

    :param at_slash: whether the rest stood behind a slash.
    """
    if prefix.endswith("/"):
        return prefix + rest.lstrip("/")
    if at_slash and rest and rest[0] not in "/?#":
        return f"{prefix}/{rest}"
    return prefix + rest


def one_slash(path: str) -> str:
    """Give a path with one slash at its beginning.

    With two, it would be a reference to another host (RFC 3986 section 4.2), and browsers take a
    backslash for a slash.
    """
    return "/" + path.lstrip("/\\")


def map_refresh(value: str, mapping: Mapping) -> str:
    """Map the reference in a Refresh field."""
    match = _BEFORE_REFRESH.match(value)
    if match is None:
        return value
    # White space is taken off by hand: an expression that may stop before any of it tries each.
    written = value[match.end() :]
    text = written.rstrip()
    quote = text[:1] if text[:1] in ('"', "'") and text[1:].endswith(text[:1]) else ""
    inner = text[1:-1] if quote else text
    return match[0] + quote + mapping(inner) + quote + written[len(text) :]


def map_links(value: str, mapping: Mapping) -> str:
    """Map the targets in a Link field (RFC 8288)."""
    return _LINK.sub(lambda match: f"<{mapping(match[1])}>", value)
