"""Answers out of a stored response: whole, not modified, or parts (RFC 9110 sections 13 to 15)."""

from __future__ import annotations

import os
from collections.abc import Mapping

from attrs import frozen

from ..message.fields import Field, FieldSection
from ..message.framing import NO_CONTENT, UNTIL_CLOSE, Framing, Length
from ..message.response import REASONS, Response
from .directives import Directives
from .keys import selecting
from .policy import RequestFacts
from .ranges import RangeRequest, Span, content_range, part_heads, reasonable
from .rules import CacheRules
from .stored import StoredHead
from .validation import CONDITIONAL, may_answer_range, not_modified

OPEN_END = 2**63
"""Where a span stops whose content is still arriving and has no known length."""

# RFC 9110 section 15.4.5: what a 304 MUST carry if the 200 would have; the rest describes content.
_IN_NOT_MODIFIED = frozenset(
    {b"cache-control", b"content-location", b"date", b"etag", b"expires", b"vary",
     b"cdn-cache-control", b"via", b"cache-status"}
)  # fmt: skip
_NO_CONTENT_STATUS = (204, 304)

Segment = bytes | Span


@frozen(slots=True, eq=False)
class Asked:
    """A request as a cache sees it.

    :ivar key: of what it asks for, see ``caching.keys``.
    :ivar values: its fields' combined values, by names in lower case.
    :ivar directives: those of its directives that count.
    :ivar range: the ranges that it asks for, ``None`` for the whole.
    :ivar head_only: whether it is a HEAD.
    :ivar stored_key: the key under which it was looked for: another one that stands for it.
    """

    key: bytes
    rules: CacheRules
    values: Mapping[bytes, bytes]
    directives: Directives
    facts: RequestFacts
    range: RangeRequest | None = None
    head_only: bool = False
    stored_key: bytes = b""

    def matches(self, head: StoredHead) -> bool:
        """Say whether a stored response was chosen by fields like this request's (section 4.1)."""
        if not head.selecting:
            return True
        return selecting(tuple(name for name, _ in head.selecting), self.values) == head.selecting

    def same_user(self, other: Asked) -> bool:
        """Say whether two requests come with the same credentials."""
        return all(
            self.values.get(name) == other.values.get(name)
            for name in (b"cookie", b"authorization")
        )


@frozen(slots=True, eq=False)
class Answer:
    """A response and the content that belongs to it.

    :ivar segments: content in order: bytes that stand between parts, and spans of the whole.
    """

    response: Response
    segments: tuple[Segment, ...] = ()


def make_answer(asked: Asked, head: StoredHead, extra: tuple[Field, ...]) -> Answer | None:
    """Make the answer to a request out of what is stored, or is about to be.

    :param extra: fields to add: Age and Cache-Status.
    :returns: ``None`` when the part that is stored does not hold what is asked for.
    """
    values = head.section.values
    spans = _wanted(asked, head)
    part = head.span
    if part is not None and (
        spans is None
        or not all(part.start <= span.start and span.stop <= part.stop for span in spans)
    ):
        # Its conditions are not judged either: RFC 9111 section 4.3.2 leaves those of a request
        # that what is stored cannot answer to the next server.
        return None
    if head.status == 200 and not_modified(asked.values, values, head.responded_at):
        return Answer(_response(head, 304, _not_modified_fields(head), extra, None))
    complete = head.complete
    if spans is not None and complete is not None:
        if spans:
            return _parts(head, spans, complete, extra)
        unsatisfied = (b"Content-Range", b"bytes */%d" % complete)
        return Answer(_response(head, 416, (), (unsatisfied, *extra), 0))
    fields = head.section.fields
    length = None if head.status in _NO_CONTENT_STATUS else complete
    if asked.head_only or complete == 0 or head.status in _NO_CONTENT_STATUS:
        return Answer(_response(head, head.status, fields, extra, length, framing=NO_CONTENT))
    return Answer(
        _response(head, head.status, fields, extra, length),
        (Span(0, OPEN_END if complete is None else complete),),
    )


def status_for(asked: Asked, head: StoredHead) -> int:
    """Give the status of the answer to a request, where there is one; see ``make_answer``."""
    if asked.range is None and CONDITIONAL.isdisjoint(asked.values):
        return head.status  # most are like this
    answer = make_answer(asked, head, ())
    return head.status if answer is None else answer.response.status


def _wanted(asked: Asked, head: StoredHead) -> list[Span] | None:
    """Give the parts that a request asks for and may have, none where nothing lies: 416.

    :returns: ``None`` for the whole: RFC 9110 section 14.2 has Range count only where 200 would
        be the answer without, and lets it be ignored where there is no content.
    """
    if (
        asked.range is None
        or asked.head_only
        or head.status != 200
        or not head.complete
        or not may_answer_range(asked.values, head.section.values)
    ):
        return None
    spans = asked.range.spans(head.complete)
    return spans if reasonable(spans, head.complete) else None


def _not_modified_fields(head: StoredHead) -> tuple[Field, ...]:
    # Last-Modified only where there is no better validator.
    kept = (
        _IN_NOT_MODIFIED
        if b"etag" in head.section.values
        else _IN_NOT_MODIFIED | {b"last-modified"}
    )
    return tuple(field for field in head.section.fields if field[0].lower() in kept)


def _parts(head: StoredHead, spans: list[Span], complete: int, extra: tuple[Field, ...]) -> Answer:
    fields = head.section.fields
    if b"content-range" in head.section.values:
        # Some server's nonsense in a 200, which is stored as it stands (RFC 9111 section 3.1).
        fields = tuple(field for field in fields if field[0].lower() != b"content-range")
    if len(spans) == 1:
        span = spans[0]
        extra = ((b"Content-Range", content_range(span, complete)), *extra)
        return Answer(_response(head, 206, fields, extra, span.size), (span,))
    boundary = os.urandom(12).hex().encode("ascii")
    kind = head.section.values.get(b"content-type")
    heads, end = part_heads(spans, complete, kind, boundary)
    segments: list[Segment] = []
    for part_head, span in zip(heads, spans, strict=True):
        segments += (part_head, span)
    segments.append(end)
    length = sum(len(each) if isinstance(each, bytes) else each.size for each in segments)
    fields = tuple(field for field in fields if field[0].lower() != b"content-type")
    extra = ((b"Content-Type", b"multipart/byteranges; boundary=" + boundary), *extra)
    return Answer(_response(head, 206, fields, extra, length), tuple(segments))


def _response(
    head: StoredHead,
    status: int,
    fields: tuple[Field, ...],
    extra: tuple[Field, ...],
    length: int | None,
    framing: Framing | None = None,
) -> Response:
    """Make a response's head.

    :param length: of its content; ``None`` when there is none or it is not known.
    """
    if length is not None:
        extra = ((b"Content-Length", b"%d" % length), *extra)
    if framing is None:
        if status in _NO_CONTENT_STATUS or length == 0:
            framing = NO_CONTENT
        else:
            framing = UNTIL_CLOSE if length is None else Length(length)
    reason = head.reason if status == head.status else REASONS.get(status, b"")
    section = FieldSection((*fields, *extra))
    return Response.received(head.version, status, reason, section, framing)
