"""When a request may be sent again, how often, and how many of them at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import ceil
from typing import Any

from attrs import field, frozen

# RFC 9110 section 9.2.2: what may be sent again when nobody knows whether it arrived.
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
# What may be asked of two servers at once: RFC 9110 section 9.2.1, and cheap for them to answer.
_HEDGED = frozenset({b"GET", b"HEAD"})

_WINDOW_SECONDS = 10.0


class RetryBudget:
    """How many requests may be sent again: a share of those that are sent for the first time.

    Without it, servers that fail under load are asked several times as much, and stay down. A
    token bucket: each request puts ``share`` of a token in, each second ``floor`` of them, and a
    retry takes one out. It holds what ten seconds bring. Precedents: Finagle's retry budget (20 %
    and 10/s), Envoy's.

    A retry that is answered well gives its token back, as with gRPC's throttling: it shows that
    there are servers to spare. So half a pool may break and every request is sent again, but where
    retries fail too they stop. When a share p of attempts goes well, wherever they go, retries that
    follow retries cost (1 - p)² / p tokens a request, which a fifth bounds at p = 0.64: no more
    than 1.6 attempts a request.

    Requests are counted by who owns the budget and looked at only when one is to be sent again,
    so that a request that goes well pays nothing.

    :ivar refused: how often there was no token.
    """

    def __init__(
        self, share: float, floor: float, requests: Callable[[], int], now: Callable[[], float]
    ) -> None:
        """Make a budget with what ten quiet seconds bring.

        :param share: of the requests.
        :param floor: a second.
        :param requests: gives how many requests there were so far.
        :param now: the clock, in seconds.
        """
        self._share = share
        self._floor = floor
        self._requests = requests
        self._now = now
        self._tokens = floor * _WINDOW_SECONDS
        self._seen = self._window_requests = requests()
        self._looked_at = self._window_began = now()
        self._rate = 0.0
        self.refused = 0

    def __repr__(self) -> str:
        return f"<RetryBudget {self._tokens:.0f} left {self.refused} refused>"

    def take(self) -> bool:
        """Take a token.

        :returns: whether there was one.
        """
        self._fill()
        if self._tokens < 1:
            self.refused += 1
            return False
        self._tokens -= 1
        return True

    def give_back(self) -> None:
        """Put a token back: the retry that it was taken for went well."""
        self._tokens += 1

    def _fill(self) -> None:
        now, requests = self._now(), self._requests()
        rate = (requests - self._window_requests) / max(now - self._window_began, _WINDOW_SECONDS)
        if now - self._window_began >= _WINDOW_SECONDS:
            self._window_began, self._window_requests, self._rate = now, requests, rate
        most = _WINDOW_SECONDS * (self._floor + self._share * max(rate, self._rate))
        earned = self._share * (requests - self._seen) + self._floor * (now - self._looked_at)
        self._tokens = min(self._tokens + earned, max(most, self._tokens))
        self._seen, self._looked_at = requests, now


class LatencyQuantile:
    """A quantile of the latest times to the first byte."""

    _MOST = 512
    _FEWEST = 32
    _SORTED_EVERY = 32

    def __init__(self, quantile: float) -> None:
        """Begin with nothing known.

        :param quantile: between 0 and 1.
        """
        self._quantile = quantile
        self._times: deque[float] = deque(maxlen=self._MOST)
        self._new = 0
        self._value: float | None = None

    def add(self, seconds: float) -> None:
        """Take another time."""
        self._times.append(seconds)
        self._new += 1

    @property
    def value(self) -> float | None:
        """The quantile in seconds; ``None`` while too few times are known."""
        if len(self._times) < self._FEWEST:
            return None
        if self._value is None or self._new >= self._SORTED_EVERY:
            self._new = 0
            self._value = sorted(self._times)[ceil(len(self._times) * self._quantile) - 1]
        return self._value


@frozen(slots=True, eq=False)
class Hedge:
    """When a second server is asked too, because the first is slow.

    :ivar seconds: after so long.
    :ivar quantile: or after as long as this share of requests takes; None when ``seconds`` says.
    """

    seconds: float = 0.0
    quantile: LatencyQuantile | None = None

    @property
    def delay(self) -> float | None:
        """After how many seconds, ``None`` while that is not known."""
        return self.seconds if self.quantile is None else self.quantile.value


@frozen(slots=True, eq=False)
class RetryPolicy:
    """What is done about a server that fails an exchange.

    :ivar retries: how often a request may be sent again.
    :ivar statuses: responses of these are not passed on while another server can be asked.
    :ivar failures: responses of these count against the server.
    :ivar body_buffer: bytes of a request's content that are kept, to be sent again.
    :ivar attempt_seconds: how long a server may take to begin its response while another can be
        asked; ``None`` for no other limit than the server's own.
    :ivar deadline_seconds: how long all attempts together may take until a response begins.
    :ivar deadline_field: the field that says how many milliseconds are left, ``b""`` for none.
    :ivar hedge: ``None`` when no two servers are ever asked at once.
    :ivar budget: ``None`` for no limit.
    :ivar clock: an ``IReactorTime``, for whatever waits; ``None`` when nothing does.
    :ivar backoff_seconds: before a second retry, or one of a server that failed; then doubled.
    :ivar times_servers: whether some servers have an ``attempt_seconds`` of their own.
    :ivar is_timed: whether an attempt needs a timer.
    """

    retries: int = 1
    statuses: frozenset[int] = frozenset()
    failures: frozenset[int] = frozenset()
    body_buffer: int = 64 * 1024
    attempt_seconds: float | None = None
    deadline_seconds: float | None = None
    deadline_field: bytes = b""
    hedge: Hedge | None = None
    budget: RetryBudget | None = None
    clock: Any = None
    backoff_seconds: float = 0.05
    times_servers: bool = False
    is_timed: bool = field(init=False)

    @is_timed.default
    def _needs_a_timer(self) -> bool:
        return bool(
            (self.retries and (self.attempt_seconds is not None or self.times_servers))
            or self.deadline_seconds is not None
            or self.deadline_field
            or self.hedge is not None
        )

    def may_retry(self) -> bool:
        """Take a token, if the budget has one."""
        return self.budget is None or self.budget.take()

    def retried_well(self) -> None:
        """Give the token of a retry back."""
        if self.budget is not None:
            self.budget.give_back()


def is_hedged(method: bytes) -> bool:
    """Say whether two servers may be asked at once for the sake of speed."""
    return method in _HEDGED
