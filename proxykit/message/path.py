"""Paths as policy looks at them: normalised, and matched by prefix, exactly, or by expression."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from attrs import frozen

from ..errors import BadRequest
from .pattern import Pattern

_ENCODED = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def normalised_path(path: str, *, keep_encoded_slashes: bool = False) -> str:
    """Give a path as policy matches it: unreserved characters decoded, dots resolved.

    RFC 3986 section 6.2.2. What goes upstream is the path as the client wrote it; a path whose
    dot segments lead elsewhere is matched by where it leads.

    :param keep_encoded_slashes: leave ``%2F`` as it is: for a path that is sent on, where
        decoding it would make another path of it.
    :raises BadRequest: when it leads to one place for who merges slashes first (nginx) and to
        another for who does not (RFC 3986, WHATWG's URLs): ``/admin//../x``.
    """
    if "%" in path:
        path = _ENCODED.sub(_decode_unreserved, path)
        if not keep_encoded_slashes:
            # Many a server takes %2F for a slash, and policy must not see less than it.
            path = path.replace("%2F", "/")
    if "/." not in path and "//" not in path:
        return path
    segments: list[str] = []
    parts = path.split("/")
    for part in parts[1:]:
        if part == "..":
            if segments and not segments.pop() and any(segments):
                raise BadRequest("the path has two slashes before dots, which make two paths of it")
        elif part != ".":
            segments.append(part)
    segments = [segment for segment in segments if segment]
    trailing = "/" if parts[-1] in ("", ".", "..") and segments else ""
    return "/" + "/".join(segments) + trailing


def _decode_unreserved(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def resolved_path(path: str) -> str:
    """Give a path in its normal form, in which it means the same to any server.

    RFC 3986 section 6.2.2 again, but for what is sent on and not only looked at: an encoded slash
    stays as it is, and so do empty segments.
    """
    if "%" in path:
        path = _ENCODED.sub(_decode_unreserved_only, path)
    if "/." not in path:
        return path
    segments: list[str] = []
    *parts, last = path.split("/")[1:]
    for part in parts:
        if part == "..":
            if segments:
                segments.pop()
        elif part != ".":
            segments.append(part)
    if last == ".." and segments:
        segments.pop()
    segments.append("" if last in (".", "..") else last)
    return "/" + "/".join(segments)


def _decode_unreserved_only(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0]


@frozen(slots=True, eq=False)
class PathMatch:
    """What a rule says of paths: ``/x`` is a prefix, ``= /x`` exact, ``~ x`` an expression.

    One of ``prefix``, ``exact`` and ``pattern`` is there, the others are ``None``.

    :ivar text: as the configuration has it.
    :ivar matches: says whether a normalised path matches.
    """

    text: str
    matches: Callable[[str], bool]
    prefix: str | None = None
    exact: str | None = None
    pattern: Pattern | None = None

    @classmethod
    def of(cls, text: str) -> PathMatch:
        """Compile what a configuration says.

        A prefix ends where a segment of the path ends: ``/api`` takes ``/api`` and ``/api/x``, not
        ``/apix``.

        :raises ValueError: when it is none of the three.
        """
        if text.startswith("= /"):
            exact = _written(text[1:].strip())
            return cls(text, lambda path: path == exact, exact=exact)
        if text.startswith("~"):
            pattern = Pattern.of(text[1:].strip())
            return cls(text, pattern.search, pattern=pattern)
        if not text.startswith("/"):
            raise ValueError('expected "/prefix", "= /exact" or "~ regex"')
        prefix = _written(text)
        if prefix.endswith("/"):
            return cls(text, lambda path: path.startswith(prefix), prefix=prefix)
        slashed = prefix + "/"
        return cls(text, lambda path: path == prefix or path.startswith(slashed), prefix=prefix)


def _written(text: str) -> str:
    """Give what a configuration says in the form that paths are matched in."""
    try:
        return normalised_path(quote(text, safe="/%:@!$&'()*+,;=~"))
    except BadRequest as error:
        raise ValueError(str(error)) from None


def checked_path_match(text: str) -> str:
    """Give a configuration's ``path`` back when it can be compiled.

    :raises ValueError: when it cannot.
    """
    PathMatch.of(text)
    return text
