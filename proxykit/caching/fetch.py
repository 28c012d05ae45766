"""One request of a cache's own, for one client or for a crowd that asks for the same thing.

A fetch is a relay without a client. Whoever waits for it has a ``Reader``, and each reads what
arrives at its own pace.

It may ask for what stored parts lack only; then everybody reads these and what arrives as one.

Three things can become of a response. It is *kept*: written into the store while it arrives, as
fast as the server gives it. It is *shared*, but not kept: then what no reader needs any more is let
go, and the server is held back for the fastest of them. Or it goes to the one client that it is for
(*direct*), as if there were no cache, and everybody else asks for themselves.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import partial

from ..engine.exchange import Exchange
from ..engine.stage import Stage
from ..errors import ProxykitError
from ..message.fields import FieldSection
from ..message.response import Response
from .answering import Asked, make_answer
from .arriving import Arriving
from .clientless import Clientless
from .delivery import Delivery
from .gaps import Parts
from .heads import Arrival
from .judgement import Judgement, is_for_nobody_else
from .plan import Asks, Plan
from .reader import Reader
from .readership import Readership
from .storage import Storage
from .stored import StoredHead
from .waiting import Waiting

# What a server may say of a range: it is this, or there is none such (RFC 9110 section 15.5.17). It
# has no reason to say 304.
_ABOUT_PARTS = (206, 304, 416)


class _Fate(enum.Enum):
    """What becomes of a response."""

    UNKNOWN = "unknown"
    KEPT = "kept"
    SHARED = "shared"
    DIRECT = "direct"
    ANSWERED = "answered"  # every reader was given something else


class Fetch(Clientless):
    """See above.

    :ivar moment: when it began, for who purges: see ``SharedCache.moment``.
    """

    __slots__ = (
        "_asked",
        "_callbacks",
        "_delivery",
        "_direct",
        "_fate",
        "_parts",
        "_plan",
        "_readership",
        "_requested_at",
        "_shared",
        "_storage",
        "_waiting",
        "moment",
    )

    def __init__(
        self,
        storage: Storage,
        asks: Asks,
        exchange: Exchange,
        identity: object,
        asked: Asked,
        plan: Plan,
    ) -> None:
        """Make one that has not asked yet; call ``join`` for who waits, then ``begin``.

        :param storage: where what comes is stored.
        :param asks: who asks again for those who may not have it.
        :param exchange: of its own, on a route.
        :param identity: see ``engine.client.Client``.
        :param asked: what the first client asks for.
        """
        super().__init__(exchange, identity)
        self._storage = storage
        self._shared = storage.shared
        self._asked = asked
        self._plan = plan
        self._delivery = Delivery(asks, exchange, asked, plan)
        self._waiting = Waiting(
            self._shared.sweeper,
            self._shared.lock_seconds,
            partial(self._delivery.ask_alone, detail=b"lock-timeout"),
            background=plan.background,
        )
        self._readership: Readership | None = None  # once something is to be read
        self._direct: Reader | None = None
        self._fate = _Fate.UNKNOWN
        self._callbacks: list[Callable[[ProxykitError | None], None]] = []
        self._requested_at = exchange.now
        self.moment = self._shared.moment()
        self._parts = plan.parts  # whose gap the response fills, if it is what was asked for

    def __repr__(self) -> str:
        reading = 0 if self._readership is None else len(self._readership)
        return f"<Fetch {self._fate.value} {len(self._waiting)} waiting {reading} reading>"

    # --- who waits ----------------------------------------------------------------------------

    def join(self, reader: Reader) -> None:
        """Take a reader that waits, or one that reads from the beginning of what is kept."""
        reader.fetch = self
        if self._fate is _Fate.UNKNOWN:
            self._waiting.add(reader)
        else:
            assert self._readership is not None
            self._readership.add(reader, first=False, kept=self._fate is _Fate.KEPT)

    def when_done(self, then: Callable[[ProxykitError | None], None]) -> None:
        """Have something called once nothing more will come: with the error, if there was one."""
        self._callbacks.append(then)

    def _done(self, error: ProxykitError | None) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for then in callbacks:
            then(error)

    @property
    def is_outdated(self) -> bool:
        """Whether what it brings was purged since it began: nobody who comes later may have it."""
        tags = None if self._head is None else self._head.tags
        return self._storage.purged_since(self.moment, self._asked, tags) is not None

    def may_join(self, asked: Asked) -> bool:
        """Say whether another request can have what this one brings."""
        if self.is_outdated:
            return False
        if self._fate is _Fate.UNKNOWN:
            return True
        head = self._head
        return (
            self._fate is _Fate.KEPT
            and head is not None
            and asked.matches(head)
            and head.terms.lifetime > head.age(self.exchange.now)
            and not head.terms.validated_only
        )

    @property
    def _head(self) -> StoredHead | None:
        return self._readership.head if self._readership is not None else None

    @property
    def varies_on(self) -> tuple[bytes, ...]:
        """The fields that the response varies on, none while it is not known."""
        head = self._head
        return tuple(name for name, _ in head.selecting) if head is not None else ()

    def left(self, reader: Reader) -> None:
        """Forget a reader that is done or whose client is gone."""
        self._waiting.remove(reader)
        if self._readership is not None:
            self._readership.remove(reader)
        if self._direct is reader:
            self._direct = None
            if self.stage is not Stage.ENDED:
                self._drop()
            return
        if self.stage is Stage.ENDED or self._waiting:
            return
        if self._readership:
            self.progressed()
        elif not self._is_wanted():
            self._drop()

    def _is_wanted(self) -> bool:
        """Say whether a response that nobody waits for is to be stored all the same."""
        if self._plan.background and self._fate is not _Fate.SHARED:
            return True
        readership = self._readership
        return self._fate is _Fate.KEPT and readership is not None and readership.is_worth_finishing

    def progressed(self) -> None:
        """A reader has read on: what nobody needs is let go, and the server may go on."""
        if self._fate is _Fate.SHARED and self._readership is not None:
            self._readership.keep_pace(self._connection)

    # --- upstream.ResponseTaker ---------------------------------------------------------------

    def interim_received(self, response: Response) -> None:
        """An interim response is for whoever asked first."""
        first = self._waiting.asked_first
        if first is not None:
            first.relay.interim_received(response)

    def response_received(self, response: Response) -> None:
        """Decide what becomes of a response, and give it to those who wait."""
        if not self._accepts(response):
            return
        self._waiting.stop_clock()
        if response.status == 304 and self._plan.conditional:
            self._validated(response)
            return
        if response.status >= 500 and self._serve_stale(response.status):
            return
        judgement = Judgement.of(
            self._asked,
            response,
            self._requested_at,
            self.exchange.now,
            self._shared.max_object_size,
        )
        head = judgement.head
        if self._parts is not None and response.status in _ABOUT_PARTS:
            if judgement.shareable and head is not None and self._parts.is_filled_by(head):
                self._share(response, head, judgement)
            else:
                self._ask_for_all(self._parts)
            return
        self._parts = None  # there is another whole, or nothing
        if not judgement.shareable or judgement.too_large or head is None:
            self._pass_on(response, head)
        elif make_answer(self._asked, head, ()) is None:
            self._pass_on(response, None)
        else:
            self._share(response, head, judgement)

    def _share(self, response: Response, head: StoredHead, judgement: Judgement) -> None:
        """Let everybody who waits read what arrives, and keep it where that may be."""
        writer = None
        purged = self._storage.purged_since(self.moment, self._asked, head.tags)
        if judgement.storable and (purged is None or purged.soft):
            writer = self._shared.store.begin(self._asked.key, judgement.size)
        kept = writer is not None
        self._fate = _Fate.KEPT if kept else _Fate.SHARED
        self._readership = readership = Readership(
            self._delivery,
            Arrival.of(head, response, judgement.dropped),
            Arriving(writer),
            self._parts,
            self._shared.max_object_size,
        )
        if not kept:
            self._leave_table()
        for reader, first in self._waiting.take_all():
            readership.add(reader, first=first, kept=kept)
        if not readership and judgement.size != 0 and not self._is_wanted():
            # A 304 was all that anybody wanted, or nobody is there.
            self._drop()

    def _ask_for_all(self, parts: Parts) -> None:
        """Forget parts that are none of what the server has now, and ask for the whole."""
        self._fate = _Fate.ANSWERED
        for each in parts.stored:
            self._shared.store.remove(self._asked.stored_key, each)
        self._drop()
        for reader, _ in self._waiting.take_all():
            self._delivery.ask_for_all(reader)

    def _pass_on(self, response: Response, head: StoredHead | None) -> None:
        """Give the response to the one client that it is for; the others ask for themselves.

        :param head: what would be stored of it, if it is one of which the client's own condition
            may be answered here: its request went without that.
        """
        self._fate = _Fate.DIRECT
        self._leave_table()
        if self._plan.table_key is not None and is_for_nobody_else(
            self._asked, response, self.exchange.now
        ):
            self._shared.mark_private(self._asked.key)
        arrival = None if head is None else Arrival.of(head, response)
        waiting = self._waiting.take_all()
        if not any(first for _, first in waiting):
            self._drop()
        for reader, first in waiting:
            if not first:
                self._delivery.ask_alone(reader)
            elif arrival is not None and self._delivery.not_modified(reader, arrival):
                self._drop()
            else:
                self._direct = reader
                self._delivery.direct(reader, response)

    def _validated(self, response: Response) -> None:
        """Take a 304: what is stored is fresh again (RFC 9111 section 4.3.4)."""
        self._fate = _Fate.ANSWERED
        self._leave_table()
        plan = self._plan
        update = self._storage.choose if plan.variants else self._storage.freshen
        chosen = update(
            self._asked,
            plan.variants or plan.candidates,
            response,
            self._requested_at,
            self.exchange.now,
            self.moment,
        )
        for reader, first in self._waiting.take_all():
            self._delivery.validated(reader, chosen, response, first=first)

    def _serve_stale(self, status: int | None) -> bool:
        """Answer with what is stored because nothing fresh can be had (RFC 5861 section 4).

        :param status: what the server answered, ``None`` when it did not.
        :returns: whether everybody who waits was answered, and somebody did.
        """
        failed = status is not None
        answered = [
            reader for reader in self._waiting if self._delivery.stale(reader, answered=failed)
        ]
        for reader in answered:
            self._waiting.remove(reader)
        if self._waiting or not (answered or self._plan.background):
            return False
        if status is not None:
            # The stored response stays as it is (section 4.3.3): the error is not kept.
            self._fate = _Fate.ANSWERED
            self._drop()
        return True

    def content_received(self, data: bytes) -> None:
        """Keep content, or share it, or pass it on."""
        if self._direct is not None:
            self._direct.relay.content_received(data)
            return
        readership = self._readership
        if readership is None:
            return
        content = readership.content
        content.add(data, self._shared.max_object_size)
        if self._fate is _Fate.KEPT and not content.is_kept:
            # It became too large, or there is no room.
            self._fate = _Fate.SHARED
            self._leave_table()
            self._shared.mark_private(self._asked.key)
            if not readership:
                self._drop()

    def flush(self) -> None:
        """All that one read brought was handed over: let everybody read on."""
        if self._direct is not None:
            self._direct.relay.flush()
            return
        if self._readership is not None:
            self._readership.flush()
            self.progressed()

    def response_ended(self, trailers: FieldSection) -> None:
        """The response is complete: it may be found from now on."""
        self._connection = None
        self._finish()
        if self._direct is not None:
            direct, self._direct = self._direct, None
            direct.fetch = None
            direct.relay.response_ended(trailers)
            return
        readership = self._readership
        if readership is None:
            return
        readership.content.is_complete = True
        writer = readership.content.take_writer()
        if writer is not None:
            self._storage.commit(self._asked, readership.head, writer, self.moment)
        self._leave_table()
        self._done(None)
        readership.pump()

    def fail(self, error: ProxykitError) -> None:
        """There is no response, or no more of it; nothing of it is kept."""
        if self.stage is Stage.ENDED:
            return
        responding = self._fate is not _Fate.UNKNOWN
        self._end(error)
        if not responding:
            self._serve_stale(None)
        readers = [reader for reader, _ in self._waiting.take_all()]
        if self._readership is not None:
            readers += self._readership.take_all()
        if self._direct is not None:
            readers.append(self._direct)
            self._direct = None
        for reader in readers:
            reader.fetch = None
            reader.fail(self._delivery.error_for(reader, error, answered=responding))

    def _drop(self) -> None:
        """End without a word: nobody waits."""
        self._end(None)

    def _end(self, error: ProxykitError | None) -> None:
        """Let go of the server; what was not complete is not kept."""
        self._leave_upstream()
        self._finish()
        self._waiting.stop_clock()
        self._leave_table()
        writer = self._readership.content.take_writer() if self._readership is not None else None
        if writer is not None:
            writer.abort()
        self._done(error)

    def _leave_table(self) -> None:
        self._shared.fetches.remove(self._plan.table_key, self)
