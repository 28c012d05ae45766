"""The server with the fewest exchanges in flight for its weight."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from ..interfaces import IBalancer, IBalancerFactory
from ..options import Options
from .round_robin import RoundRobin
from .weights import NO_WEIGHTS, Weights


@implementer(IBalancer)
class LeastConnections:
    """Picks the least loaded; those that are loaded alike take turns by their weights.

    Without the turns the first of a pool that has little to do would do it all.
    """

    def __init__(self) -> None:
        """Begin with nobody ahead."""
        self._weights = NO_WEIGHTS
        self._turn = 0
        self._turns = RoundRobin()

    def pick(self, servers: Sequence[Any], exchange: Any) -> Any:
        """See ``IBalancer``."""
        weights = self._weights
        if weights.servers is not servers:
            weights = self._weights = Weights(servers)
        tied: list[Any] = []
        least = inf
        for server in servers:
            load = server.active / server.effective_weight
            if load < least:
                tied, least = [server], load
            elif load == least:
                tied.append(server)
        if len(tied) == 1:
            return tied[0]
        if weights.even:
            self._turn += 1
            return tied[self._turn % len(tied)]
        return self._turns.spread(tied)


@implementer(IPlugin, IBalancerFactory)
class LeastConnectionsFactory:
    """Makes least-connections balancers."""

    name = "least-connections"
    description = "the server with the fewest exchanges in flight, by weight"
    options = Options

    def build(self, options: Options) -> LeastConnections:
        """See ``IBalancerFactory``."""
        return LeastConnections()
