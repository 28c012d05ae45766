"""The ``mirror`` filter: a shadow copy of requests to another pool, whose answers are thrown away.

The copy is an exchange of its own with a relay of its own. It begins in the reactor turn after the
original was sent, takes the original's content as that is sent on, and nothing that happens to it
comes back: what it cannot take in time is held up to a limit, and then the copy is given up.
"""

from __future__ import annotations

import random
from time import monotonic

from pydantic import Field
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..engine.client import UnseenClient
from ..engine.exchange import Exchange
from ..engine.pipeline import Pipeline, Route
from ..engine.relay import Relay
from ..interfaces import IContentTap, IFilterFactory, IRequestTap
from ..message.fields import EMPTY_SECTION, FieldSection
from ..message.framing import CHUNKED, NoContent
from ..message.request import Request
from ..options import BuildContext, Duration, Options, PoolName, Size
from ..upstream.connection import UpstreamConnection

_log = Logger()

_WARN_EVERY_SECONDS = 10.0


class MirrorOptions(Options):
    """Where copies go, and what they may cost."""

    pool: PoolName = Field(description="The pool that is sent the copies.")
    share: float = Field(
        default=1.0, gt=0.0, le=1.0, description="How many of the requests: 0.1 is every tenth."
    )
    max_exchanges: int = Field(
        default=100, ge=1, strict=True, description="Copies at a time; above it none are made."
    )
    buffer_size: Size = Field(
        default=512 * 1024, description="What is held of a copy's content for a slow server."
    )
    timeout: Duration = Field(default=30.0, description="For a whole copy; then it is given up.")


@implementer(IContentTap)
class Shadow(UnseenClient):
    """One copy: the client's side of its exchange, and the tap on the original's content."""

    def __init__(self, mirror: Mirror, exchange: Exchange) -> None:
        """Make a copy of an exchange's request; ``begin`` sends it."""
        self.identity: object = (
            exchange.pipeline.rules,
            exchange.peer_address,
            exchange.scheme,
        )
        self._mirror = mirror
        pipeline = mirror.pipeline_for(exchange)
        self._relay: Relay | None = Relay(pipeline, mirror.copy_of(exchange, pipeline), self)
        # Content that the copy's server does not take yet. One piece: a client may send it byte by
        # byte, and a list would hold fifty for each.
        self._pending = bytearray()
        self._is_complete = False
        self._held = True
        self._timer: IDelayedCall | None = None

    def begin(self, timer: IDelayedCall) -> None:
        """Send the copy on its way.

        :param timer: is stopped when the copy is done.
        """
        self._timer = timer
        relay = self._relay
        if relay is not None:
            relay.start()
            self.hold_request(False)

    # --- IContentTap --------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """See ``IContentTap``."""
        if self._relay is None:
            return  # the original goes on when the copy is over
        if len(self._pending) + len(data) > self._mirror.buffer_size:
            self.give_up("its server takes the content too slowly")
            return
        self._pending += data
        self._send_pending()

    def ended(self) -> None:
        """See ``IContentTap``."""
        relay = self._relay
        if relay is not None and not isinstance(relay.exchange.request.framing, NoContent):
            self._is_complete = True
            self._send_pending()

    def abandoned(self) -> None:
        """See ``IContentTap``."""
        self.give_up("the original was not sent to its end")

    def _send_pending(self) -> None:
        """Send what its server takes, and the end behind it."""
        relay = self._relay
        while relay is not None and not self._held and (self._pending or self._is_complete):
            if self._pending:
                content = bytes(self._pending)
                self._pending.clear()
                relay.request_content(content)
            else:
                self._is_complete = False
                relay.request_ended(EMPTY_SECTION)
            relay = self._relay

    # --- engine.client.Client -----------------------------------------------------------------

    def end_response(self, trailers: FieldSection) -> None:
        """The copy was answered, by its server or, with an error, by the relay."""
        relay = self._relay
        self._done(relay.exchange.detail if relay is not None and relay.exchange.error_type else "")

    def abort_response(self) -> None:
        """The answer broke off."""
        relay = self._relay
        self._done(relay.exchange.detail if relay is not None else "")

    def hold_request(self, hold: bool) -> None:
        """Hold the copy's content back; the original's goes on."""
        self._held = hold
        self._send_pending()

    def start_tunnel(self, head: bytes, upstream: UpstreamConnection, data: bytes) -> None:
        """Never called, for no copy asks for another protocol."""
        super().start_tunnel(head, upstream, data)
        self._done("the server switched protocols")

    # --- the end ------------------------------------------------------------------------------

    def give_up(self, why: str) -> None:
        """End the copy before it is answered."""
        relay = self._relay
        if relay is not None:
            self._done(why)
            relay.client_lost()

    def _done(self, failure: str) -> None:
        if self._relay is None:
            return
        self._relay = None
        self._pending.clear()
        self._is_complete = False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._mirror.done(self, failure)


@implementer(IRequestTap)
class Mirror:
    """Makes the copies, and counts them.

    :ivar sent: copies that were begun.
    :ivar failed: of these, those that were not answered.
    :ivar skipped: requests that were not copied because there were too many copies under way.
    """

    def __init__(self, options: MirrorOptions, context: BuildContext) -> None:
        """Find the pool.

        :raises ConfigurationError: when there is none of that name.
        """
        self.sent = self.failed = self.skipped = 0
        self.buffer_size = options.buffer_size
        self._route = Route(f"mirror.{options.pool}", upstream=context.pool(options.pool))
        self._share = options.share
        self._most = options.max_exchanges
        self._seconds = options.timeout
        self._reactor = context.reactor
        self._active: set[Shadow] = set()
        self._next_warning = 0.0

    def __repr__(self) -> str:
        return f"<Mirror {self._route.name} {len(self._active)} active {self.failed} failed>"

    def tap(self, exchange: Exchange) -> Shadow | None:
        """See ``IRequestTap``."""
        if self._share < 1.0 and random.random() >= self._share:
            return None
        if b"upgrade" in exchange.request.section.options:
            return None  # the rest of it would be a conversation
        if len(self._active) >= self._most:
            self.skipped += 1
            self._warn("too many copies are under way")
            return None
        shadow = Shadow(self, exchange)
        self._active.add(shadow)
        self.sent += 1
        # The original's head is written at the end of this turn. The copy's turn is the next.
        self._reactor.callLater(0, self._begin, shadow)
        return shadow

    def _begin(self, shadow: Shadow) -> None:
        if shadow in self._active:
            shadow.begin(self._reactor.callLater(self._seconds, shadow.give_up, "it took too long"))

    def pipeline_for(self, exchange: Exchange) -> Pipeline:
        """Make the policy that a copy is under: one route, no filter, nobody who is told."""
        original = exchange.pipeline
        return Pipeline(self._route.name, self._choose, original.rules, original.resolver)

    def copy_of(self, exchange: Exchange, pipeline: Pipeline) -> Exchange:
        """Make the copy's exchange: the request as it is sent, nothing of who waits for it.

        :param pipeline: the copy's.
        """
        request = exchange.request
        changed = request.changed_headers
        framing = request.framing
        route = exchange.route
        if not isinstance(framing, NoContent) and route is not None and route.transforms_requests:
            framing = CHUNKED  # a transform may change its length
        copy = Request(
            request.method,
            request.origin_target,
            request.version,
            request.section if changed is None else changed.section(),
            framing,
        )
        shadow = Exchange(
            pipeline,
            copy,
            exchange.client_address,
            exchange.peer_address,
            exchange.scheme,
            monotonic(),
        )
        shadow.user = exchange.user
        return shadow

    def _choose(self, exchange: Exchange) -> Route:
        return self._route

    def done(self, shadow: Shadow, failure: str) -> None:
        """Count a copy that is over.

        :param failure: why it was not answered, ``""`` when it was.
        """
        self._active.discard(shadow)
        if failure:
            self.failed += 1
            self._warn(failure)

    def _warn(self, why: str) -> None:
        """Say what became of copies, now and then: their server may be down for hours."""
        now = monotonic()
        if now >= self._next_warning:
            self._next_warning = now + _WARN_EVERY_SECONDS
            _log.warn(
                "{name}: {why}; of {sent} copies {failed} failed, {skipped} were not made",
                name=self._route.name,
                why=why,
                sent=self.sent,
                failed=self.failed,
                skipped=self.skipped,
            )


@implementer(IPlugin, IFilterFactory)
class MirrorFactory:
    """Makes ``mirror`` filters."""

    name = "mirror"
    description = "sends a shadow copy of requests to another pool, whose answers are thrown away"
    options = MirrorOptions

    def build(self, options: MirrorOptions, context: BuildContext) -> Mirror:
        """See ``IFilterFactory``."""
        return Mirror(options, context)
