"""The server that will answer soonest, of two that are drawn by lot."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from ..interfaces import IBalancer, IBalancerFactory
from ..options import Options
from ..upstream.latency import remembered
from .weights import NO_WEIGHTS, Weights

# What a server counts for, in seconds an exchange, that was asked and has not answered yet: more
# than any that has. So one exchange finds out about a new server, and not a hundred.
_UNKNOWN_SECONDS = 1e6


@implementer(IBalancer)
class PeakEwma:
    """Draws two servers by weight and picks the one with the lower cost.

    The cost is what an exchange would wait for: the server's latency, times what is in flight on
    it and this one, divided by its weight. The latency is the peak average of
    ``upstream.latency``, faded by the time since it was observed.
    """

    def __init__(
        self, draw: Callable[[], float] = random.random, clock: Callable[[], float] = monotonic
    ) -> None:
        """Make a balancer.

        :param draw: gives numbers from 0 to below 1.
        :param clock: as ``time.monotonic``, in seconds.
        """
        self._draw = draw
        self._clock = clock
        self._weights = NO_WEIGHTS

    def pick(self, servers: Sequence[Any], exchange: Any) -> Any:
        """See ``IBalancer``."""
        if len(servers) == 1:
            return servers[0]
        weights = self._weights
        if weights.servers is not servers:
            weights = self._weights = Weights(servers)
        first, second = weights.two(self._draw)
        now = self._clock()
        return first if _cost(first, now) <= _cost(second, now) else second


def _cost(server: Any, now: float) -> float:
    latency = server.latency
    active: int = server.active
    if latency:
        latency = remembered(latency, now - server.latency_at)
    elif active:
        latency = _UNKNOWN_SECONDS
    cost: float = latency * (active + 1) / server.effective_weight
    return cost


@implementer(IPlugin, IBalancerFactory)
class PeakEwmaFactory:
    """Makes peak EWMA balancers."""

    name = "ewma"
    description = "the server with the lowest latency for its load, of two drawn by lot"
    options = Options

    def build(self, options: Options) -> PeakEwma:
        """See ``IBalancerFactory``."""
        return PeakEwma()
