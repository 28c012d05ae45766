"""Servers by turns, each as often as its weight says, and evenly spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from ..interfaces import IBalancer, IBalancerFactory


@implementer(IBalancer)
class RoundRobin:
    """Smooth weighted round robin, as nginx has it.

    Each server earns its weight at each turn, the richest is picked and pays what all earned
    together: weights 5, 1, 1 give a a b a c a a, and not a a a a a b c.
    """

    def __init__(self) -> None:
        """Begin with nobody ahead."""
        self._credit: dict[int, int] = {}

    def pick(self, servers: Sequence[Any], exchange: Any) -> Any:
        """See ``IBalancer``."""
        if len(servers) == 1:
            return servers[0]
        credit = self._credit
        if len(credit) > 2 * len(servers):
            credit.clear()
        total = 0
        best: Any = None
        most = 0
        for server in servers:
            key = id(server)
            earned = credit.get(key, 0) + server.weight
            credit[key] = earned
            total += server.weight
            if best is None or earned > most:
                best, most = server, earned
        credit[id(best)] = most - total
        return best


@implementer(IPlugin, IBalancerFactory)
class RoundRobinFactory:
    """Makes round robin balancers."""

    name = "round-robin"
    description = "servers by turns, by weight"

    def build(self) -> RoundRobin:
        """See ``IBalancerFactory``."""
        return RoundRobin()
