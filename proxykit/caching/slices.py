"""Large responses, kept in slices: each is fetched when somebody's reading comes to it.

A slice is a part that begins at a multiple of the slices' size. It is asked for by Range, stored
under a key of its own and evicted by itself; a whole, or any range of it, is read across them. All
slices must have the same strong validator: when the response changes while it is read, the reader
is cut off rather than given a mixture.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from attrs import evolve
from twisted.internet.defer import Deferred

from ..engine.cache import Answerable
from ..errors import BadResponse, ProxykitError
from ..message.fields import Field
from .answering import Asked
from .fetcher import Fetcher
from .keys import SLICE
from .partial import same_whole
from .ranges import RangeRequest
from .reader import Reader
from .status import age_field, forwarded, hit
from .storage import Storage
from .stored import StoredHead, StoredResponse
from .use import Use, decide
from .validation import CONDITIONAL


class Slices:
    """Answers exchanges out of slices, and has those fetched that are missing."""

    def __init__(self, storage: Storage, fetcher: Fetcher, clock: Callable[[], float]) -> None:
        """Make one for a route.

        :param storage: where slices are stored.
        :param fetcher: asks for those that are not.
        :param clock: gives the seconds since 1970.
        """
        self._storage = storage
        self._fetcher = fetcher
        self._clock = clock

    async def first(self, relay: Answerable, asked: Asked) -> tuple[StoredResponse | None, bool]:
        """Give the slice with which the answer begins; see ``find``.

        :raises ProxykitError: when the server cannot be asked.
        """
        index = _first_index(asked)
        found, fetched = await self.find(relay, asked, index, None)
        if found is None and index == 0:
            # Not every server knows ranges: do not try again with every request.
            self._storage.shared.mark_private(asked.key)
        return found, fetched

    def serve(
        self, relay: Answerable, asked: Asked, first: StoredResponse, *, fetched: bool
    ) -> bool:
        """Answer an exchange.

        :param first: the slice with which the answer begins.
        :param fetched: whether the server was asked for it.
        :returns: ``False`` when the slices do not hold what is asked for; nothing was done.
        """
        head = evolve(first.head, span=None)
        age = head.age(self._clock())
        name = relay.exchange.pipeline.rules.pseudonym
        left = head.terms.lifetime - age
        said, label = hit(name, left), "hit" if left > 0 else "stale"
        if fetched:
            status = None if first.head.span is None else 206
            said = forwarded(name, b"partial", status=status, stored=True)
            label = "miss"
        extra: tuple[Field, ...] = (age_field(age), said)
        reader = Reader(relay, asked)
        body = SlicedBody(self, relay, asked, head, _first_index(asked), first)
        relay.attach(reader)
        if reader.serve(head, body, extra, label):
            return True
        reader.release()
        return False

    async def find(
        self, relay: Answerable, asked: Asked, index: int, like: StoredHead | None
    ) -> tuple[StoredResponse | None, bool]:
        """Give a slice, out of the store or from the server.

        :param like: the head of another slice of the same response, ``None`` for the first.
        :returns: the slice, ``None`` when it cannot be had, and whether it was fetched.
        """
        part = _part(asked, index)
        stored = self._usable(part, await self._storage.lookup(part.key), fetched=False)
        if stored is not None:
            if _belongs(stored.head, index, asked.rules.slice_size, like):
                return stored, False
            self._storage.store.remove(part.key, stored)
        for _ in range(2):
            moment = self._storage.shared.moment()
            await self._fetch(relay, part)
            stored = self._usable(part, await self._storage.lookup(part.key), fetched=True)
            if stored is not None or not self._storage.purged_since(moment, part, None):
                break  # else it was purged on its way, and another one may be asked for
        if stored is None or not _belongs(stored.head, index, asked.rules.slice_size, like):
            return None, True
        return stored, True

    def _fetch(self, relay: Answerable, part: Asked) -> Deferred[None]:
        done: Deferred[None] = Deferred()

        def tell(error: ProxykitError | None) -> None:
            if error is None:
                done.callback(None)
            else:
                done.errback(error)

        self._fetcher.fetch_part(relay, part, tell)
        return done

    def _usable(
        self, part: Asked, found: Sequence[StoredResponse], *, fetched: bool
    ) -> StoredResponse | None:
        now = self._clock()
        for stored in found:
            head = stored.head
            if not part.matches(head):
                continue
            # What was fetched for this very request needs no validation.
            if fetched:
                return stored
            use = decide(head.terms, head.age(now), part.directives, offline=part.rules.offline)
            if use in (Use.FRESH, Use.STALE):
                return stored
        return None


class SlicedBody:
    """Content read across slices, one after the other; see ``IStoredBody.read``."""

    __slots__ = ("_asked", "_head", "_index", "_relay", "_slice", "_slices")

    def __init__(
        self,
        slices: Slices,
        relay: Answerable,
        asked: Asked,
        head: StoredHead,
        index: int,
        first: StoredResponse,
    ) -> None:
        """Begin with a slice that was found."""
        self._slices = slices
        self._relay = relay
        self._asked = asked
        self._head = head
        self._index = index
        self._slice = first

    def read(self, offset: int, most: int) -> bytes | Awaitable[bytes]:
        """See ``IStoredBody``: at once within a slice in memory, later across the end of one."""
        size = self._asked.rules.slice_size
        index = offset // size
        if index != self._index:
            return self._turn_to(index, offset, most)
        found: bytes | Awaitable[bytes] = self._slice.body.read(offset - index * size, most)
        return found

    async def _turn_to(self, index: int, offset: int, most: int) -> bytes:
        found, _ = await self._slices.find(self._relay, self._asked, index, self._head)
        if found is None:
            raise BadResponse("the response changed while it was sent in slices")
        self._index, self._slice = index, found
        piece = self.read(offset, most)
        return piece if isinstance(piece, bytes) else await piece


def _first_index(asked: Asked) -> int:
    """Give the slice with which to begin: that of the first byte, where that is known."""
    if asked.range is None or len(asked.range.specs) != 1:
        return 0
    first = asked.range.specs[0][0]
    return 0 if first is None else first // asked.rules.slice_size


def _part(asked: Asked, index: int) -> Asked:
    """Make the request for a slice out of that for the whole."""
    size = asked.rules.slice_size
    start, last = index * size, (index + 1) * size - 1
    key = asked.key + SLICE + b"%d/%d" % (index, size)
    values = {name: value for name, value in asked.values.items() if name not in CONDITIONAL}
    values[b"range"] = b"bytes=%d-%d" % (start, last)
    return evolve(
        asked, key=key, stored_key=key, values=values, range=RangeRequest(((start, last),))
    )


def _belongs(head: StoredHead, index: int, size: int, like: StoredHead | None) -> bool:
    """Say whether a stored response is that slice, of the same response as another one."""
    if head.complete is None or head.status != 200:
        return False
    start, stop = index * size, min((index + 1) * size, head.complete)
    if head.span is None:
        return index == 0 and head.complete <= size
    if (head.span.start, head.span.stop) != (start, stop):
        return False
    # Without a strong validator nobody can tell whether two slices are of one response.
    return same_whole(head, head if like is None else like)
