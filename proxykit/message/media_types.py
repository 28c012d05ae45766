"""Media types (RFC 9110 section 8.3.1) as options name them, and what of them is a Content-Type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from .pattern import Pattern

_PATTERN = re.compile(
    r"(\*|[a-z0-9!#$&^_.+-]+)/[a-z0-9!#$&^_.+*-]+\Z",
    re.IGNORECASE,
)
_CHARSET = re.compile(rb";[ \t]*charset[ \t]*=[ \t]*\"?([^\s;\"]+)", re.IGNORECASE)


def checked_media_type(value: str) -> str:
    """Check a media type in which ``*`` stands for any text.

    :returns: it in lower case.
    :raises ValueError: when it is none.
    """
    if not _PATTERN.match(value):
        raise ValueError(
            f'expected a media type such as "text/html", "text/*" or "application/*+json", '
            f"got {value!r}"
        )
    return value.lower()


def media_type(content_type: bytes) -> str:
    """Give the media type of a Content-Type in lower case, without its parameters."""
    return content_type.partition(b";")[0].strip().lower().decode("latin-1")


def charset(content_type: bytes) -> str | None:
    """Give the charset that a Content-Type declares, in lower case."""
    match = _CHARSET.search(content_type)
    return None if match is None else match[1].lower().decode("latin-1")


class MediaTypes:
    """Says whether a Content-Type is one of some."""

    __slots__ = ("_exact", "_patterns", "_remembered")

    def __init__(self, patterns: Sequence[str]) -> None:
        """Take what ``checked_media_type`` gave."""
        self._exact = frozenset(pattern for pattern in patterns if "*" not in pattern)
        self._patterns = [
            Pattern.of(re.escape(pattern).replace(r"\*", "[^/]*"), whole=True)
            for pattern in patterns
            if "*" in pattern
        ]
        self._remembered = lru_cache(maxsize=256)(self._matches)

    def __call__(self, content_type: bytes) -> bool:
        """Say whether it is."""
        if len(content_type) > 128:
            return self._matches(content_type)
        return self._remembered(content_type)

    def _matches(self, content_type: bytes) -> bool:
        found = media_type(content_type)
        return found in self._exact or any(pattern.search(found) for pattern in self._patterns)
