"""Which content is changed, and by which substitutions."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import frozen

from ...message.media_types import media_type
from .substitution import Substitution

_NEVER = frozenset({"text/event-stream", "multipart/x-mixed-replace"})
"""Streams without an end: whoever held them would hold them for ever."""

_TEXT = re.compile(r"text/(?!plain\Z)|.*(?:xml|javascript|ecmascript)")


@frozen(slots=True, eq=False)
class ContentRule:
    """Substitutions for content of some types.

    :ivar name: for the log.
    :ivar accepts: says whether a Content-Type is one of them.
    """

    name: str
    accepts: Callable[[bytes], bool]
    substitutions: tuple[Substitution, ...]
    dynamic: bool = False


def is_endless(content_type: bytes) -> bool:
    """Say whether content of a type may go on for ever."""
    return media_type(content_type) in _NEVER


def is_text(content_type: bytes) -> bool:
    """Say whether Privoxy filters a type by itself: text of all kinds but plain."""
    return _TEXT.match(media_type(content_type)) is not None


def is_anything(content_type: bytes) -> bool:
    """Accept any type."""
    return True
