"""Parts of a whole, combined (RFC 9111 section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve

from ..message.fields import FieldSection
from .pieces import BLOCK
from .ranges import Span
from .stored import StoredHead, StoredResponse
from .validation import entity_tag, strongly_equal, updated_fields


def combine_and_commit(
    store: Any, key: bytes, head: StoredHead, writer: Any, found: Sequence[StoredResponse]
) -> None:
    """Store a part, joined with the stored parts that it touches.

    "A cache MAY combine these responses into a single stored response ... if they all share the
    same strong validator". What is whole already and is the same stays; other parts of the same
    whole stay beside it; parts of another make way.

    :param head: of the new part; its ``span`` says which.
    :param writer: with its content.
    :param found: what is stored under this key.
    """
    assert head.span is not None
    same = [each for each in found if each.head.selecting == head.selecting]
    related = [each for each in same if same_whole(head, each.head)]
    if any(each.head.span is None for each in related):
        # The whole is stored: the part has nothing that it has not.
        writer.abort()
        return
    replaced = [each.head for each in same if each not in related]
    span = head.span
    touching: list[StoredResponse] = []
    # Until nothing more touches: a part may close the gap between two others.
    while more := [e for e in related if e not in touching and _touches(span, e.head.span)]:
        touching += more
        for each in more:
            assert each.head.span is not None
            span = Span(min(span.start, each.head.span.start), max(span.stop, each.head.span.stop))

    def replaces(other: StoredHead) -> bool:
        return any(_is_same(other, each) for each in replaced)

    if not touching:
        writer.commit(head, replaces)
        return
    joined = store.begin(key, span.size)
    sources = [(head.span, writer.body)]
    sources += [(each.head.span, each.body) for each in touching if each.head.span is not None]
    if joined is None or not copied(span, sources, joined):
        if joined is not None:
            joined.abort()
        writer.commit(head, replaces)
        return
    whole = span.size == head.complete
    replaced += [each.head for each in touching]
    # Section 3.4: the fields are updated as a 304's would be.
    fields = touching[0].head.section.fields
    head = evolve(
        head, section=FieldSection(updated_fields(fields, head.section.fields, frozenset()))
    )
    joined.commit(evolve(head, span=None if whole else span), replaces)
    writer.abort()


def same_whole(one: StoredHead, other: StoredHead) -> bool:
    """Say whether two parts are of one whole: they have the same strong validator."""
    tags = [entity_tag(head.section.values.get(b"etag")) for head in (one, other)]
    return strongly_equal(*tags) and one.complete == other.complete


def _is_same(one: StoredHead, other: StoredHead) -> bool:
    """Say whether two heads are of the same stored part; a store may have read it twice."""
    return one is other or (
        one.responded_at == other.responded_at
        and one.span == other.span
        and one.complete == other.complete
        and one.selecting == other.selecting
        and one.section.fields == other.section.fields
    )


def _touches(one: Span, other: Span | None) -> bool:
    return other is not None and one.start <= other.stop and other.start <= one.stop


def copied(span: Span, sources: Sequence[tuple[Span, Any]], joined: Any) -> bool:
    """Write a span out of the sources that cover it; give whether that could be done at once."""
    position = span.start
    while position < span.stop:
        source, body = next(
            (part, body) for part, body in sources if part.start <= position < part.stop
        )
        piece = body.read(position - source.start, min(BLOCK, source.stop - position))
        # A store that has to wait for its disk keeps the parts apart.
        if not isinstance(piece, bytes) or not piece or not joined.write(piece):
            return False
        position += len(piece)
    return True
