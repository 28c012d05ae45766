"""Parts of a whole, stored and combined (RFC 9111 section 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from .joined import JoinedBody, Source, joined_head, union
from .pieces import BLOCK
from .ranges import Span
from .stored import StoredHead, StoredResponse
from .validation import entity_tag, strongly_equal

_log = Logger()

_ALWAYS_COPIED = 1024 * 1024  # bytes
_COPIED_FOR_EACH = 4  # bytes of older parts for each byte of a new one
_COPIED_AT_ONCE = 4 * 1024 * 1024  # before others get their turn

Replaces = Callable[[StoredHead], bool]
Commit = Callable[[Any, StoredHead, Replaces], None]


class Combiner:
    """Stores parts, each joined with the stored parts that it touches.

    "A cache MAY combine these responses into a single stored response ... if they all share the
    same strong validator". What is whole already and is the same stays; other parts of the same
    whole stay beside it; parts of another make way.

    Joining is copying. So that one who reads a film in small pieces does not have it copied again
    with each, a large part is joined only with what is not too small beside it, or when that makes
    the whole. Parts that stand side by side are as good for an answer: see ``caching.gaps``.
    """

    def __init__(self, store: Any, clock: Any, limit: int) -> None:
        """Make one for a store.

        :param store: an ``ICacheStore``.
        :param clock: an ``IReactorTime``.
        :param limit: nothing larger is made, in bytes.
        """
        self._store = store
        self._clock = clock
        self._limit = limit
        self._locks: dict[bytes, DeferredLock] = {}  # of keys for which something is under way

    def put(self, key: bytes, head: StoredHead, writer: Any, commit: Commit) -> None:
        """Store a part: at once where the store reads at once, else after those before it.

        :param head: of the part; its ``span`` says which.
        :param writer: with its content.
        :param commit: commits what came of it, or aborts it.
        """
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = DeferredLock()

        def put() -> Deferred[None]:
            return Deferred.fromCoroutine(self._put(key, head, writer, commit))

        def done(_: Any) -> None:
            if not lock.locked:
                self._locks.pop(key, None)

        lock.run(put).addErrback(_not_stored, writer).addBoth(done)

    async def _put(self, key: bytes, head: StoredHead, writer: Any, commit: Commit) -> None:
        looking = self._store.lookup(key)
        found = looking if isinstance(looking, Sequence) else await looking
        same = [each for each in found if each.head.selecting == head.selecting]
        related = [each for each in same if same_whole(head, each.head)]
        if any(each.head.span is None for each in related):
            # The whole is stored: the part has nothing that it has not.
            writer.abort()
            return
        replaced = [each.head for each in same if each not in related]

        def replaces(other: StoredHead) -> bool:
            return any(_is_same(other, each) for each in replaced)

        touching = self._worth_joining(head, related)
        joined = await self._joined(key, head, writer, touching) if touching else None
        if joined is None:
            commit(writer, head, replaces)
            return
        replaced += [each.head for each in touching]
        heads = [*(each.head for each in touching), head]
        commit(joined, joined_head(heads, _span(heads)), replaces)
        writer.abort()

    def _worth_joining(
        self, head: StoredHead, related: Sequence[StoredResponse]
    ) -> list[StoredResponse]:
        """Choose the parts to join with a new one."""
        chosen = _touching(head, related, lambda span, other: True)
        size = _span([head, *(each.head for each in chosen)]).size
        if size == head.complete and size <= self._limit:
            return chosen

        def is_worth(span: Span, other: Span) -> bool:
            copied = max(_ALWAYS_COPIED, _COPIED_FOR_EACH * span.size)
            return other.size <= copied and union((span, other)).size <= self._limit

        return _touching(head, related, is_worth)

    async def _joined(
        self, key: bytes, head: StoredHead, writer: Any, touching: Sequence[StoredResponse]
    ) -> Any:
        """Write a new part and others in one; give the writer, ``None`` when there is no room."""
        assert head.span is not None
        sources = [Source(head.span, writer.body)]
        sources += [Source(each.head.span, each.body) for each in touching if each.head.span]
        body = JoinedBody(union([each.span for each in sources]), sources)
        joined = self._store.begin(key, body.size)
        if joined is None:
            return None
        try:
            if await self._copy(body, joined):
                return joined
        except BaseException:
            joined.abort()
            raise
        joined.abort()
        return None

    async def _copy(self, body: JoinedBody, joined: Any) -> bool:
        position = waited = 0
        while position < body.size:
            reading = body.read(position, BLOCK)
            piece = reading if isinstance(reading, bytes) else await reading
            if not piece or not joined.write(piece):
                return False
            position += len(piece)
            if position - waited > _COPIED_AT_ONCE:
                waited = position
                await deferLater(self._clock, 0)
        return True


def same_whole(one: StoredHead, other: StoredHead) -> bool:
    """Say whether two parts are of one whole: they have the same strong validator."""
    tags = [entity_tag(head.section.values.get(b"etag")) for head in (one, other)]
    return strongly_equal(*tags) and one.complete == other.complete


def _touching(
    head: StoredHead,
    related: Sequence[StoredResponse],
    is_worth: Callable[[Span, Span], bool],
) -> list[StoredResponse]:
    """Give the parts that a new one touches, those that these touch, and so on.

    The smallest goes first: a part may close the gap between two others.
    """
    assert head.span is not None
    span = head.span
    chosen: list[StoredResponse] = []
    left = [(each.head.span, each) for each in related if each.head.span is not None]
    left.sort(key=lambda pair: pair[0].size)

    def next_one() -> tuple[Span, StoredResponse] | None:
        for other, each in left:
            if other.start <= span.stop and span.start <= other.stop and is_worth(span, other):
                return other, each
        return None

    while found := next_one():
        left.remove(found)
        chosen.append(found[1])
        span = union((span, found[0]))
    return chosen


def _span(heads: Sequence[StoredHead]) -> Span:
    return union([head.span for head in heads if head.span is not None])


def _is_same(one: StoredHead, other: StoredHead) -> bool:
    """Say whether two heads are of the same stored part; a store may have read it twice."""
    return one is other or (
        one.responded_at == other.responded_at
        and one.span == other.span
        and one.complete == other.complete
        and one.selecting == other.selecting
        and one.section.fields == other.section.fields
    )


def _not_stored(failure: Failure, writer: Any) -> None:
    writer.abort()
    _log.failure("a part of a response was not stored", failure)
