"""Content that is read across several parts of one whole, stored or arriving."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from attrs import evolve, frozen
from zope.interface import implementer

from ..interfaces import IStoredBody
from ..message.fields import FieldSection
from .arriving import Arriving
from .ranges import Span
from .stored import StoredHead
from .validation import updated_fields


@frozen(slots=True, eq=False)
class Source:
    """A body, and which part of the whole it is."""

    span: Span
    body: Any


@implementer(IStoredBody)
@frozen(slots=True, eq=False)
class JoinedBody:
    """See above; and ``IStoredBody``.

    :ivar span: what part of the whole it is.
    :ivar sources: cover it, in the order in which they are looked at.
    """

    span: Span
    sources: Sequence[Source]

    @property
    def size(self) -> int:
        """See ``IStoredBody``."""
        return self.span.size

    @property
    def whole(self) -> None:
        """See ``IStoredBody``: it is in several pieces."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing of it is still to come."""
        return all(
            not isinstance(source.body, Arriving) or source.body.is_complete
            for source in self.sources
        )

    def read(self, offset: int, most: int) -> bytes | Awaitable[bytes]:
        """See ``IStoredBody``; nothing where nothing is yet."""
        position = self.span.start + offset
        for source in self.sources:
            span = source.span
            if span.start <= position < span.stop:
                most = min(most, span.stop - position, self.span.stop - position)
                found: bytes | Awaitable[bytes] = source.body.read(position - span.start, most)
                return found
        return b""

    def file_region(self) -> None:
        """See ``IStoredBody``."""


def joined_head(heads: Sequence[StoredHead], span: Span) -> StoredHead:
    """Give the head of what several parts are together (RFC 9111 section 3.4).

    All have the same strong validator: when the newest came, the server said it of the whole.

    :param heads: one at the least.
    :param span: what they cover.
    """
    oldest, *newer = sorted(heads, key=lambda head: head.responded_at)
    fields = oldest.section.fields
    for head in newer:
        fields = updated_fields(fields, head.section.fields, frozenset())
    newest = newer[-1] if newer else oldest
    return evolve(
        newest,
        section=FieldSection(fields),
        span=None if span.size == newest.complete else span,
    )


def union(spans: Sequence[Span]) -> Span:
    """Give the span from the first byte of some to the last."""
    return Span(min(span.start for span in spans), max(span.stop for span in spans))
