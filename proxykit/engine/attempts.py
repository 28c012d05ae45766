"""An exchange's attempts at servers, once one is not enough: retries, time-outs, hedges.

An exchange whose first server answers never makes one of these, unless its pool times attempts or
its content has to be kept. What may be asked again, and when, follows RFC 9110 section 9.2.2:
requests of which nothing was sent, and idempotent ones of which no response has begun.
"""

from __future__ import annotations

from random import uniform
from time import monotonic
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from ..errors import ProxykitError, ResponseTimeout, ServerNotUsable, UpstreamError
from ..message.fields import FieldSection
from ..message.framing import NoContent
from ..message.response import Response
from ..net.sweeper import NEVER
from ..upstream.retries import IDEMPOTENT, RetryPolicy, is_hedged
from ..upstream.server import Server
from .hedge import Hedge, Hedged
from .pipeline import Upstream

# Pieces of content that are kept, before they are made one: a byte in a piece costs fifty.
_MOST_PIECES = 64


class Attempting(Hedged, Protocol):
    """Who asks the servers, one after the other, when it is told to: the relay.

    :ivar server: which one has been given the exchange, ``None`` when none has.
    """

    server: Server | None

    @property
    def is_answered(self) -> bool:
        """Whether a response has begun, so that no other server can be asked."""

    @property
    def is_sent(self) -> bool:
        """Whether a server may have got anything of the request."""

    def ask(self, server: Server) -> None:
        """Give the exchange to a server."""

    def leave_server(
        self, seconds: float | None = None, *, unwanted: Response | None = None
    ) -> None:
        """Let go of the server that was asked, whatever it does.

        :param seconds: how long it took or had, ``None`` when that says nothing about it.
        :param unwanted: the response whose head it has just sent, if it has.
        """

    def fail_server(self, now: float) -> None:
        """Let go of a server that was too slow."""

    def fail(self, error: ProxykitError) -> None:
        """End the exchange with an error."""


class Attempts:
    """What an exchange knows of the servers that it asked.

    :ivar is_stale_spent: whether a server was asked anew already because a connection that had
        served before was closed just then. That is a race and no failure, so it is not counted,
        but once a server.
    """

    __slots__ = (
        "_deadline",
        "_error",
        "_hedge",
        "_hedge_at",
        "_kept",
        "_kept_size",
        "_left",
        "_policy",
        "_has_token",
        "_relay",
        "_time_out_at",
        "_timer",
        "_trailers",
        "_tried",
        "_upstream",
        "is_stale_spent",
    )

    def __init__(self, relay: Attempting, upstream: Upstream, policy: RetryPolicy) -> None:
        """Begin with no server asked.

        :param upstream: gives other servers.
        """
        self._relay = relay
        self._upstream = upstream
        self._policy = policy
        self._left = policy.retries
        self._has_token = False  # of the retry budget, for the attempt that is under way
        self._tried: list[Server] = []
        self._error: ProxykitError | None = None  # of the first server, while a hedge is out
        self._hedge: Hedge | None = None
        self._timer: IDelayedCall | None = None
        self._hedge_at = self._time_out_at = NEVER
        self._deadline = NEVER
        # What was sent of the request's content, framed; None when it cannot be sent again.
        self._kept: list[bytes] | None = None
        self._kept_size = 0
        self._trailers: FieldSection | None = None
        self.is_stale_spent = False
        exchange = relay.exchange
        if not isinstance(exchange.request.framing, NoContent):
            if policy.retries and exchange.request.method in IDEMPOTENT:
                self._kept = []
        if policy.deadline_seconds is not None:
            self._deadline = exchange.started + policy.deadline_seconds
        if policy.deadline_field:
            self._take_deadline(policy.deadline_field)

    def _take_deadline(self, name: bytes) -> None:
        """Take the client's own deadline, if it is sooner; it is not passed on as it came."""
        exchange = self._relay.exchange
        value = exchange.request.section.values.get(name.lower())
        if value is None:
            return
        exchange.request.headers.remove(name)
        if value.isdigit() and len(value) < 10:
            self._deadline = min(self._deadline, exchange.started + int(value) / 1000)

    def deadline_line(self) -> bytes:
        """Write the field that tells the server how much time is left, ``b""`` for none."""
        if not self._policy.deadline_field or self._deadline is NEVER:
            return b""
        left = max(1, int((self._deadline - monotonic()) * 1000))
        return b"%s: %d\r\n" % (self._policy.deadline_field, left)

    # --- content ------------------------------------------------------------------------------

    def keep(self, data: bytes) -> None:
        """Keep content that was sent, as long as it is not too much."""
        if self._kept is not None:
            self._kept_size += len(data)
            if self._kept_size > self._policy.body_buffer:
                self._kept = None
            else:
                self._kept.append(data)
                if len(self._kept) >= _MOST_PIECES:
                    self._kept = [b"".join(self._kept)]

    def keep_end(self, trailers: FieldSection) -> None:
        """Keep that the content is complete."""
        self._trailers = trailers

    def kept(self) -> tuple[list[bytes], FieldSection | None]:
        """Give what was sent already, and the trailers if it was all."""
        return self._kept or [], self._trailers

    # --- failures -----------------------------------------------------------------------------

    def may_repeat(self, *, sent: bool) -> bool:
        """Say whether another attempt is safe, as far as the request goes.

        :param sent: whether a server may have got anything of it.
        """
        relay = self._relay
        if relay.is_answered or not self._policy.retries:
            return False
        request = relay.exchange.request
        return not sent or (
            request.method in IDEMPOTENT
            and (self._kept is not None or isinstance(request.framing, NoContent))
        )

    def failed(self, server: Server, error: ProxykitError, *, sent: bool) -> None:
        """An attempt has failed: make another, or end the exchange with the error.

        :param sent: whether the server may have got anything of the request.
        """
        self._tried.append(server)
        self._error = error
        if self._hedge is not None:
            return
        self._stop_timer()
        if isinstance(error, ServerNotUsable):
            self._left += 1  # nothing has failed: it only waits elsewhere now
        if not self._go_on(sent=sent, is_retry=not isinstance(error, ServerNotUsable)):
            self._relay.fail(error)

    def pass_over(self, server: Server, response: Response) -> bool:
        """Ask anew instead of passing on a response that says that a server cannot.

        :returns: whether it is asked anew; the connection was left then.
        """
        relay = self._relay
        other: Server | None = None
        if self._hedge is None:
            if not self._left or not self.may_repeat(sent=True):
                return False
            other = self._upstream.another(relay.exchange, [*self._tried, server])
            if other is None or not self._take_token():
                return False
        relay.leave_server(unwanted=response)
        self._tried.append(server)
        self._error = UpstreamError(f"{server.name} answered {response.status}")
        if other is not None:
            self._stop_timer()
            self._send_to(other)
        return True

    def _go_on(self, *, sent: bool, is_retry: bool = True) -> bool:
        if is_retry and (not self._left or not self.may_repeat(sent=sent)):
            return False
        server = self._upstream.another(self._relay.exchange, self._tried)
        # What was not sent has burdened nobody, so it costs nothing to send it elsewhere.
        if server is None or (sent and not self._take_token()):
            return False
        self._send_to(server)
        return True

    def _send_to(self, server: Server) -> None:
        """Ask a server, now or in a moment."""
        policy = self._policy
        self._left -= 1
        self.is_stale_spent = False
        done = policy.retries - self._left
        if policy.clock is None or (done <= 1 and server not in self._tried):
            self._relay.ask(server)
        else:
            # More than one has failed: what is wrong may be over in a moment. The client may be
            # gone by then; ``stop`` has cancelled this if so.
            wait = policy.backoff_seconds * 2 ** max(0, done - 1) * uniform(0.5, 1.0)
            self._timer = policy.clock.callLater(wait, self._ask_again)

    def _take_token(self) -> bool:
        self._has_token = self._policy.may_retry()
        return self._has_token

    def _ask_again(self) -> None:
        self._timer = None
        server = self._upstream.another(self._relay.exchange, self._tried)
        if server is None:
            assert self._error is not None
            self._relay.fail(self._error)
        else:
            self._relay.ask(server)

    # --- time ---------------------------------------------------------------------------------

    def arm(self) -> None:
        """An attempt begins: set the clock for what has to happen if it is slow."""
        policy = self._policy
        if not policy.is_timed:
            return
        now = monotonic()
        self._hedge_at = self._time_out_at = NEVER
        server = self._relay.server
        seconds = server.attempt_seconds if server is not None else None
        if seconds is None:
            seconds = policy.attempt_seconds
        if seconds is not None and self._left:
            self._time_out_at = now + seconds
        if policy.hedge is not None and not self._tried and self._is_hedged():
            delay = policy.hedge.delay
            if delay is not None:
                self._hedge_at = now + delay
        self._set_timer(now)

    def _is_hedged(self) -> bool:
        request = self._relay.exchange.request
        return (
            is_hedged(request.method)
            and isinstance(request.framing, NoContent)
            and b"upgrade" not in request.section.options
        )

    def _set_timer(self, now: float) -> None:
        due = min(self._hedge_at, self._time_out_at, self._deadline)
        if due is not NEVER:
            self._stop_timer()
            self._timer = self._policy.clock.callLater(max(0.0, due - now), self._due)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        now = monotonic()
        if now >= self._deadline:
            # This says nothing against the server: the client may have set the deadline.
            self._relay.fail(ResponseTimeout("no server answered before the deadline"))
            return
        if now >= self._hedge_at:
            self._hedge_at = NEVER
            self._begin_hedge(now)
        if now >= self._time_out_at:
            self._time_out_at = NEVER
            if self._give_up_attempt(now):
                return
        self._set_timer(now)

    def _give_up_attempt(self, now: float) -> bool:
        """Leave servers that have not answered, if another can be asked; give whether it is."""
        relay = self._relay
        sent = relay.is_sent
        if not self._left or not self.may_repeat(sent=sent):
            return False
        asked = [each for each in (relay.server, self._hedge and self._hedge.server) if each]
        other = self._upstream.another(relay.exchange, [*self._tried, *asked])
        if other is None or other in asked or (sent and not self._take_token()):
            return False
        self._left -= 1
        relay.fail_server(now)
        if self._hedge is not None:
            hedge, self._hedge = self._hedge, None
            hedge.stop(failed=True)
        self._tried += asked
        self._error = ResponseTimeout("no server answered in time")
        relay.ask(other)
        return True

    # --- hedges -------------------------------------------------------------------------------

    def _begin_hedge(self, now: float) -> None:
        relay = self._relay
        if self._hedge is not None or relay.server is None:
            return
        first = relay.server
        other = self._upstream.another(relay.exchange, [*self._tried, first])
        if other is None or other is first or other in self._tried or not self._policy.may_retry():
            return
        if self._policy.attempt_seconds is not None and self._left:
            self._time_out_at = now + self._policy.attempt_seconds
        self._hedge = Hedge(self, relay, other)
        self._hedge.start()

    def hedge_may_answer(self, response: Response) -> bool:
        """Say whether a hedge's response is wanted: the first server may do better."""
        return self._error is not None or response.status not in self._policy.statuses

    def is_failure(self, response: Response) -> bool:
        """Say whether a response counts against its server."""
        return response.status in self._policy.failures

    def hedge_won(self) -> None:
        """The hedge has answered first: from here on it is the exchange's own attempt."""
        self._hedge = None
        self._has_token = False  # its own is spent: the first server was burdened as well

    def hedge_lost(self, server: Server) -> None:
        """The hedge has failed; the first server may answer still."""
        self._hedge = None
        self._tried.append(server)
        if self._error is not None and not self._go_on(sent=True):
            self._relay.fail(self._error)

    # --- the end ------------------------------------------------------------------------------

    def answered(self, seconds: float | None, *, well: bool) -> None:
        """A response has come and is taken: nothing will be asked any more.

        :param seconds: from the request to the response's head, if that came.
        :param well: whether it says nothing against its server.
        """
        self.stop()
        if self._has_token and well:
            self._policy.retried_well()
        self._has_token = False
        hedge = self._policy.hedge
        if seconds is not None and hedge is not None and hedge.quantile is not None:
            hedge.quantile.add(seconds)

    def stop(self) -> None:
        """The exchange needs no other attempt, or is over."""
        self._stop_timer()
        self._kept = None
        if self._hedge is not None:
            hedge, self._hedge = self._hedge, None
            hedge.stop(failed=False)
