"""One request of a cache's own, for one client or for a crowd that asks for the same thing.

A fetch is a relay without a client: it takes the road from the upstream on. Whoever waits for it
has a ``Reader``, and each reads what arrives at its own pace.

It may ask for what stored parts lack only; then everybody reads these and what arrives as one.

Three things can become of a response. It is *kept*: written into the store while it arrives, as
fast as the server gives it. It is *shared*, but not kept: then what no reader needs any more is let
go, and the server is held back for the fastest of them. Or it goes to the one client that it is for
(*direct*), as if there were no cache, and everybody else asks for themselves.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, cast

from attrs import evolve, field, frozen

from ..engine.client import Client
from ..engine.exchange import Exchange
from ..engine.pipeline import EMPTY_CHAIN
from ..engine.relay import Relay
from ..engine.stage import Stage
from ..errors import ProxykitError
from ..message.fields import FieldSection
from ..message.framing import Length, NoContent
from ..message.response import Response
from ..net.proxy_protocol import NOBODY, ProxyHeader
from ..net.sweeper import NEVER
from ..upstream.connection import UpstreamConnection
from .answering import Asked, make_answer
from .arriving import Arriving
from .delivery import Delivery
from .gaps import Parts
from .heads import Arrival, make_head, own_fields
from .joined import JoinedBody
from .pace import Pace
from .plan import Plan
from .policy import Verdict, judge
from .purging import Purged
from .reader import Reader
from .stored import StoredHead

if TYPE_CHECKING:
    from .fetcher import Fetcher

_WORTH_FINISHING = 1024 * 1024  # what is left of a response that nobody waits for any more


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


@frozen(slots=True, eq=False)
class _Identity:
    """All that a fetch has of a client; every call to one is overridden in ``Fetch``."""

    identity: object = field()


class Fetch(Relay):
    """See above.

    :ivar moment: when it began, for who purges: see ``SharedCache.moment``.
    :ivar content: what arrives, ``None`` while nothing is to be read.
    :ivar deadline: see ``net.sweeper``; then those who wait for it wait no more.
    """

    __slots__ = (
        "_arrival",
        "_asked",
        "_callbacks",
        "_fetcher",
        "_delivery",
        "_direct",
        "_fate",
        "_pace",
        "_parts",
        "_plan",
        "_readers",
        "_requested_at",
        "_waiting",
        "content",
        "deadline",
        "moment",
    )

    def __init__(
        self, fetcher: Fetcher, exchange: Exchange, identity: object, asked: Asked, plan: Plan
    ) -> None:
        """Make one that has not asked yet; call ``join`` for who waits, then ``begin``.

        :param exchange: of its own, on a route.
        :param identity: see ``engine.client.Client``.
        :param asked: what the first client asks for.
        """
        super().__init__(exchange, cast(Client, _Identity(identity)))
        self._chain = EMPTY_CHAIN
        self._fetcher = fetcher
        self._asked = asked
        self._plan = plan
        self._delivery = Delivery(fetcher, exchange, asked, plan)
        self._waiting: list[Reader] = []
        self._readers: list[Reader] = []
        self._direct: Reader | None = None
        self._fate = _Fate.UNKNOWN
        self._arrival: Arrival | None = None
        self._callbacks: list[Callable[[ProxykitError | None], None]] = []
        self.content: Arriving | None = None
        self._requested_at = exchange.now
        self.moment = fetcher.moment()
        self._parts = plan.parts  # whose gap the response fills, if it is what was asked for
        self._pace = Pace(fetcher.max_object_size, self._has_read)
        self.deadline = NEVER

    def __repr__(self) -> str:
        return (
            f"<Fetch {self._fate.value} {len(self._waiting)} waiting {len(self._readers)} reading>"
        )

    # --- who waits ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Ask the server."""
        try:
            self.ask_upstream()
        except Exception as error:
            self._raised(error, self.exchange)

    def join(self, reader: Reader) -> None:
        """Take a reader that waits, or one that reads from the beginning of what is kept."""
        reader.fetch = self
        if self._fate is _Fate.UNKNOWN:
            self._waiting.append(reader)
            if len(self._waiting) > 1 and self.deadline is NEVER:
                self.deadline = monotonic() + self._fetcher.lock_seconds
                self._fetcher.sweeper.add(self)
        else:
            self._give(reader, first=False)

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
        return self._purged() is not None

    def _purged(self) -> Purged | None:
        tags = None if self._head is None else self._head.tags
        return self._fetcher.purged_since(self.moment, self._asked, tags)

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
        return self._arrival.head if self._arrival is not None else None

    @property
    def varies_on(self) -> tuple[bytes, ...]:
        """The fields that the response varies on, none while it is not known."""
        head = self._head
        return tuple(name for name, _ in head.selecting) if head is not None else ()

    def left(self, reader: Reader) -> None:
        """Forget a reader that is done or whose client is gone."""
        if reader in self._waiting:
            self._waiting.remove(reader)
        if reader in self._readers:
            self._readers.remove(reader)
        if self._direct is reader:
            self._direct = None
            if self.stage is not Stage.ENDED:
                self._drop()
            return
        if self.stage is Stage.ENDED or self._waiting:
            return
        if self._readers:
            self.progressed()
        elif not self._is_wanted():
            self._drop()

    def _is_wanted(self) -> bool:
        """Say whether a response that nobody waits for is to be stored all the same."""
        if self._plan.background and self._fate is not _Fate.SHARED:
            return True
        head = self._head
        content = self.content
        if self._fate is not _Fate.KEPT or content is None or head is None:
            return False
        expected = head.span.size if head.span is not None else head.complete
        if expected is None:
            return False
        left = expected - content.size
        return left <= _WORTH_FINISHING or left <= expected // 2

    def deadline_passed(self) -> None:
        """Called by the sweeper: who waits for somebody else's request asks for themselves."""
        self.deadline = NEVER
        self._fetcher.sweeper.discard(self)
        # The first one's request is the one that is under way, unless nobody's is.
        patient = 0 if self._plan.background else 1
        others = self._waiting[patient:]
        del self._waiting[patient:]
        for reader in others:
            self._delivery.ask_alone(reader, detail=b"lock-timeout")

    # --- the content --------------------------------------------------------------------------

    def progressed(self) -> None:
        """A reader has read on: what nobody needs is let go, and the server may go on."""
        if self._fate is _Fate.SHARED and self.content is not None:
            self._pace.keep(self.content, self._readers, self._connection)

    def _has_read(self, reader: Reader) -> int:
        """Give how much of what arrives a reader has read."""
        if self._parts is None or self.content is None:
            return reader.position
        return min(max(0, reader.position - self._parts.stored_before_gap), self.content.size)

    # --- upstream.ResponseTaker ---------------------------------------------------------------

    def interim_received(self, response: Response) -> None:
        """An interim response is for whoever asked first."""
        if self._waiting and not self._plan.background:
            self._waiting[0].relay.interim_received(response)

    def response_received(self, response: Response) -> None:
        """Decide what becomes of a response, and give it to those who wait."""
        if not self._accepts(response):
            return
        self._settle()
        if response.status == 304 and self._plan.conditional:
            self._validated(response)
            return
        if response.status >= 500 and self._serve_stale(response.status):
            return
        verdict = judge(
            self._asked.facts,
            response.status,
            response.section.values,
            self._asked.rules,
            self.exchange.now,
        )
        head = make_head(self._asked, response, verdict, self._requested_at, self.exchange.now)
        size = _size(response)
        too_large = size is not None and size > self._fetcher.max_object_size
        if self._parts is not None and response.status in _ABOUT_PARTS:
            if verdict.shareable and head is not None and self._parts.is_filled_by(head):
                self._keep(response, head, verdict, size)
            else:
                self._ask_for_all(self._parts)
            return
        self._parts = None  # there is another whole, or nothing
        if not verdict.shareable or too_large or head is None:
            self._pass_on(response, head)
        elif make_answer(self._asked, head, ()) is None:
            self._pass_on(response, None)
        else:
            self._keep(response, head, verdict, size)

    def _settle(self) -> None:
        """The head is here: the lock is over."""
        self.deadline = NEVER
        self._fetcher.sweeper.discard(self)

    def _keep(
        self, response: Response, head: StoredHead, verdict: Verdict, size: int | None
    ) -> None:
        self._arrival = Arrival(head, response.status, own_fields(response, verdict.dropped))
        writer = None
        purged = self._purged()
        too_large = size is not None and size > self._fetcher.max_object_size
        if not (verdict.reason or too_large) and (purged is None or purged.soft):
            writer = self._fetcher.store.begin(self._asked.key, size)
        self.content = Arriving(writer)
        self._fate = _Fate.SHARED if writer is None else _Fate.KEPT
        if writer is None:
            self._leave_table()
        waiting, self._waiting = self._waiting, []
        for index, reader in enumerate(waiting):
            self._give(reader, first=self._asked_for(index))
        if not self._readers and size != 0 and not self._is_wanted():
            # A 304 was all that anybody wanted, or nobody is there.
            self._drop()

    def _give(self, reader: Reader, *, first: bool) -> None:
        """Let a reader begin with what arrives."""
        arrival, content = self._arrival, self.content
        assert arrival is not None
        assert content is not None
        self._readers.append(reader)
        kept = self._fate is _Fate.KEPT
        body: Arriving | JoinedBody = content
        if self._parts is not None:
            head, body = self._parts.filled(arrival.head, content)
            arrival = evolve(arrival, head=head)
        if not self._delivery.arriving(reader, arrival, body, first=first, kept=kept):
            if reader in self._readers:
                self._readers.remove(reader)

    def _ask_for_all(self, parts: Parts) -> None:
        """Forget parts that are none of what the server has now, and ask for the whole."""
        self._fate = _Fate.ANSWERED
        for each in parts.stored:
            self._fetcher.store.remove(self._asked.stored_key, each)
        self._drop()
        waiting, self._waiting = self._waiting, []
        for reader in waiting:
            self._delivery.ask_for_all(reader)

    def _asked_for(self, index: int) -> bool:
        """Say whether it is this reader, of those that wait, whose request was sent."""
        return index == 0 and not self._plan.background

    def _pass_on(self, response: Response, head: StoredHead | None) -> None:
        """Give the response to the one client that it is for; the others ask for themselves.

        :param head: what would be stored of it, if it is one of which the client's own condition
            may be answered here: its request went without that.
        """
        self._fate = _Fate.DIRECT
        self._leave_table()
        if self._plan.table_key is not None and self._is_for_nobody_else(response):
            self._fetcher.mark_private(self._asked.key)
        waiting, self._waiting = self._waiting, []
        if self._plan.background or not waiting:
            self._drop()
            for reader in waiting:
                self._delivery.ask_alone(reader)
            return
        first, *others = waiting
        if head is not None and self._delivery.not_modified(first, head, response.status):
            self._drop()
        else:
            self._direct = first
            self._delivery.direct(first, response)
        for reader in others:
            self._delivery.ask_alone(reader)

    def _is_for_nobody_else(self, response: Response) -> bool:
        """Say whether a response would not be stored for a request without a cookie either."""
        facts = self._asked.facts
        if b"cookie" not in facts.values:
            return True
        bare = evolve(facts, values={})
        values, now = response.section.values, self.exchange.now
        return bool(judge(bare, response.status, values, self._asked.rules, now).reason)

    def _validated(self, response: Response) -> None:
        """Take a 304: what is stored is fresh again (RFC 9111 section 4.3.4)."""
        self._fate = _Fate.ANSWERED
        self._leave_table()
        plan = self._plan
        update = self._fetcher.choose if plan.variants else self._fetcher.freshen
        chosen = update(
            self._asked,
            plan.variants or plan.candidates,
            response,
            self._requested_at,
            self.exchange.now,
            self.moment,
        )
        waiting, self._waiting = self._waiting, []
        for index, reader in enumerate(waiting):
            self._delivery.validated(reader, chosen, response, first=self._asked_for(index))

    def _serve_stale(self, status: int | None) -> bool:
        """Answer with what is stored because nothing fresh can be had (RFC 5861 section 4).

        :param status: what the server answered, ``None`` when it did not.
        :returns: whether everybody who waits was answered, and somebody did.
        """
        answered = [
            reader
            for reader in self._waiting[:]
            if self._delivery.stale(reader, answered=status is not None)
        ]
        self._waiting = [reader for reader in self._waiting if reader not in answered]
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
        content = self.content
        if content is None:
            return
        content.add(data, self._fetcher.max_object_size)
        if self._fate is _Fate.KEPT and not content.is_kept:
            # It became too large, or there is no room.
            self._fate = _Fate.SHARED
            self._leave_table()
            self._fetcher.mark_private(self._asked.key)
            if not self._readers:
                self._drop()

    def flush(self) -> None:
        """All that one read brought was handed over: let everybody read on."""
        if self._direct is not None:
            self._direct.relay.flush()
            return
        for reader in self._readers[:]:
            reader.pump()
            if not reader.is_done:
                reader.relay.flush()
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
        content = self.content
        if content is None:
            return
        content.is_complete = True
        writer, head = content.take_writer(), self._head
        if writer is not None and head is not None:
            self._fetcher.commit(self._asked, head, writer, self.moment)
        self._leave_table()
        self._done(None)
        for reader in self._readers[:]:
            reader.pump()

    def fail(self, error: ProxykitError) -> None:
        """There is no response, or no more of it; nothing of it is kept."""
        if self.stage is Stage.ENDED:
            return
        responding = self._fate is not _Fate.UNKNOWN
        self._leave_upstream()
        self._finish()
        self._settle()
        self._leave_table()
        self._abort_writer()
        self._done(error)
        if not responding:
            self._serve_stale(None)
        readers = [*self._waiting, *self._readers]
        if self._direct is not None:
            readers.append(self._direct)
        self._waiting, self._readers, self._direct = [], [], None
        for reader in readers:
            reader.fetch = None
            reader.fail(self._delivery.error_for(reader, error, answered=responding))

    def _drop(self) -> None:
        """End without a word: nobody waits."""
        self._leave_upstream()
        self._finish()
        self._settle()
        self._leave_table()
        self._abort_writer()
        self._done(None)

    def _abort_writer(self) -> None:
        writer = self.content.take_writer() if self.content is not None else None
        if writer is not None:
            writer.abort()

    def _leave_table(self) -> None:
        self._fetcher.forget(self._plan.table_key, self)

    def _tell_observers(self) -> None:
        """The exchange is one of the cache's own: nobody observes it."""

    # --- backpressure -------------------------------------------------------------------------

    @property
    def connection(self) -> UpstreamConnection | None:
        """Where the response comes from, for the one client that it goes to."""
        return self._connection

    def proxied_for(self) -> ProxyHeader:
        """See ``upstream.ConnectionTaker``: what is for a crowd is for nobody of it."""
        return NOBODY

    def pause_sending(self) -> None:
        """A fetch sends no content."""

    def resume_sending(self) -> None:
        """A fetch sends no content."""


def _size(response: Response) -> int | None:
    """Give the size of a response's content, ``None`` when that is not known."""
    if isinstance(response.framing, NoContent):
        return 0
    return response.framing.size if isinstance(response.framing, Length) else None
