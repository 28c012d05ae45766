"""Servers by turns, each as often as its weight says, and evenly spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from ..interfaces import IBalancer, IBalancerFactory
from ..options import Options
from .weights import NO_WEIGHTS, Weights


@implementer(IBalancer)
class RoundRobin:
    """Smooth weighted round robin, as nginx has it.

    Each server earns its weight at each turn, the richest is picked and pays what all earned
    together: weights 5, 1, 1 give a a b a c a a, and not a a a a a b c.
    """

    def __init__(self) -> None:
        """Begin with nobody ahead."""
        self._weights = NO_WEIGHTS
        self._turn = 0
        self._credit: dict[Any, float] = {}

    def pick(self, servers: Sequence[Any], exchange: Any) -> Any:
        """See ``IBalancer``."""
        weights = self._weights
        if weights.servers is not servers:
            weights = self._weights = Weights(servers)
        if weights.even:
            # Turns need no credit, and a pool of hundreds costs what a pool of two does.
            turn = self._turn
            self._turn = turn + 1
            return servers[turn % len(servers)]
        return self.spread(servers)

    def spread(self, servers: Sequence[Any]) -> Any:
        """Give whose turn it is among servers of different weights."""
        credit = self._credit
        if len(credit) > 2 * len(servers) + 16:
            # Who is away for a while keeps its place; who is gone is forgotten.
            self._credit = credit = {each: credit.get(each, 0.0) for each in servers}
        total = 0.0
        best: Any = None
        most = 0.0
        for server in servers:
            weight = server.effective_weight
            total += weight
            credit[server] = earned = credit.get(server, 0.0) + weight
            if best is None or earned > most:
                best, most = server, earned
        credit[best] = most - total
        return best


@implementer(IPlugin, IBalancerFactory)
class RoundRobinFactory:
    """Makes round robin balancers."""

    name = "round-robin"
    description = "servers by turns, by weight"
    options = Options

    def build(self, options: Options) -> RoundRobin:
        """See ``IBalancerFactory``."""
        return RoundRobin()
