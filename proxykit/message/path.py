"""Paths as policy looks at them: normalised, and matched by prefix, exactly, or by expression."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import frozen

_ENCODED = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def normalised_path(path: str) -> str:
    """Give a path as policy matches it: unreserved characters decoded, dots resolved.

    RFC 3986 section 6.2.2. What goes upstream is the path as the client wrote it; a path whose
    dot segments lead elsewhere is matched by where it leads.
    """
    if "%" in path:
        path = _ENCODED.sub(_decode_unreserved, path)
    if "/." not in path and "//" not in path:
        return path
    segments: list[str] = []
    parts = path.split("/")
    for part in parts[1:]:
        if part == "..":
            if segments:
                segments.pop()
        elif part not in (".", ""):
            segments.append(part)
    trailing = "/" if parts[-1] in ("", ".", "..") and segments else ""
    return "/" + "/".join(segments) + trailing


def _decode_unreserved(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    # A decoded slash too: many a server takes %2F for one, and policy must not see less than it.
    return character if character in _UNRESERVED or character == "/" else match[0]


@frozen(slots=True, eq=False)
class PathMatch:
    """What a rule says of paths: ``/x`` is a prefix, ``= /x`` exact, ``~ x`` an expression."""

    text: str
    matches: Callable[[str], bool]

    @classmethod
    def of(cls, text: str) -> PathMatch:
        """Compile what a configuration says.

        A prefix ends where a segment of the path ends: ``/api`` takes ``/api`` and ``/api/x``, not
        ``/apix``.

        :raises ValueError: when it is none of the three.
        """
        if text.startswith("= /"):
            exact = text[1:].strip()
            return cls(text, lambda path: path == exact)
        if text.startswith("~"):
            try:
                pattern = re.compile(text[1:].strip())
            except re.error as error:
                raise ValueError(f"this is no regular expression: {error}") from None
            return cls(text, lambda path: pattern.search(path) is not None)
        if not text.startswith("/"):
            raise ValueError('expected "/prefix", "= /exact" or "~ regex"')
        if text.endswith("/"):
            return cls(text, lambda path: path.startswith(text))
        slashed = text + "/"
        return cls(text, lambda path: path == text or path.startswith(slashed))


def checked_path_match(text: str) -> str:
    """Give a configuration's ``path`` back when it can be compiled.

    :raises ValueError: when it cannot.
    """
    PathMatch.of(text)
    return text
