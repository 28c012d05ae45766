"""What stored parts lack for an answer: only that is asked for (RFC 9111 section 3.4).

It is asked for in one piece, from the first byte that is missing to the last, and by If-Range with
the parts' strong validator (RFC 9110 section 13.1.5): a server that has something else by now
answers with all of that, before anything was sent to a client. So nobody is given a mixture.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ..message.fields import Field
from .answering import Asked
from .arriving import Arriving
from .joined import JoinedBody, Source, joined_head
from .partial import same_whole
from .ranges import Span
from .stored import StoredHead, StoredResponse
from .validation import may_answer_range

_NOT_FILLED = frozenset({b"no-cache", b"no-store", b"only-if-cached"})


@frozen(slots=True, eq=False)
class Parts:
    """Stored parts of one whole that hold some of an answer, or all of it.

    :ivar wanted: what the answer needs.
    :ivar stored: the parts, those that are of any use for it.
    :ivar gap: what of the whole they lack for it, ``None`` for nothing.
    """

    wanted: Span
    stored: Sequence[StoredResponse]
    gap: Span | None

    @classmethod
    def of(cls, asked: Asked, matching: Sequence[StoredResponse]) -> Parts | None:
        """Give what is stored for a request.

        :param matching: stored responses that fields like the request's have chosen, the newest
            first.
        :returns: ``None`` when nothing of what is asked for is there in parts.
        """
        first = next((each.head for each in matching if each.head.span is not None), None)
        if first is None or asked.head_only or not same_whole(first, first):
            return None
        wanted = _wanted(asked, first)
        if wanted is None:
            return None
        stored = [each for each in matching if _is_part(each.head, first, wanted)]
        spans = [each.head.span for each in stored if each.head.span is not None]
        start, stop = _missing(wanted, spans)
        gap = Span(start, stop) if start < stop else None
        if gap == wanted:
            return None
        return cls(wanted, stored, gap)

    def head(self) -> StoredHead:
        """Give the head of what they are together, where they lack nothing."""
        return joined_head([each.head for each in self.stored], self.wanted)

    def body(self) -> JoinedBody:
        """Give their content, likewise."""
        return JoinedBody(self.wanted, self._sources())

    def _sources(self) -> list[Source]:
        return [
            Source(each.head.span, each.body) for each in self.stored if each.head.span is not None
        ]

    @property
    def stored_before_gap(self) -> int:
        """How much of what is wanted is stored before the gap, in bytes."""
        return self.wanted.size if self.gap is None else self.gap.start - self.wanted.start

    # --- filling ------------------------------------------------------------------------------

    def may_fill(self, asked: Asked) -> bool:
        """Say whether the gap may be asked for in the name of a request."""
        return (
            self.gap is not None
            and b"authorization" not in asked.values
            and not any(name in asked.directives for name in _NOT_FILLED)
        )

    def conditions(self) -> list[Field]:
        """Give the fields that ask for the gap."""
        gap, head = self.gap, self.stored[0].head
        assert gap is not None
        last = b"" if gap.stop == head.complete else b"%d" % (gap.stop - 1)
        return [
            (b"Range", b"bytes=%d-%s" % (gap.start, last)),
            (b"If-Range", head.section.values[b"etag"]),
        ]

    def is_filled_by(self, head: StoredHead) -> bool:
        """Say whether a part is what was asked for."""
        return head.span == self.gap and same_whole(head, self.stored[0].head)

    def filled(self, head: StoredHead, content: Arriving) -> tuple[StoredHead, JoinedBody]:
        """Give the head and the content of the parts and what fills their gap.

        :param head: of what fills it.
        :param content: is still arriving.
        """
        assert self.gap is not None
        joined = joined_head([*(each.head for each in self.stored), head], self.wanted)
        return joined, JoinedBody(self.wanted, [Source(self.gap, content), *self._sources()])


def _wanted(asked: Asked, head: StoredHead) -> Span | None:
    complete = head.complete
    if not complete or head.status != 200:
        return None
    if asked.range is None or not may_answer_range(asked.values, head.section.values):
        return Span(0, complete)
    spans = asked.range.spans(complete)
    return spans[0] if len(spans) == 1 else None


def _is_part(head: StoredHead, first: StoredHead, wanted: Span) -> bool:
    span = head.span
    return (
        span is not None
        and span.start < wanted.stop
        and wanted.start < span.stop
        and head.selecting == first.selecting
        and same_whole(head, first)
    )


def _missing(wanted: Span, spans: Sequence[Span]) -> tuple[int, int]:
    """Give the first byte that is missing, and where the last one ends."""
    start, stop = wanted.start, wanted.stop
    while more := [span.stop for span in spans if span.start <= start < span.stop]:
        start = max(more)
    while more := [span.start for span in spans if span.start < stop <= span.stop]:
        stop = min(more)
    return start, stop
