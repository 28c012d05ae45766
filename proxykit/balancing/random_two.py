"""The less loaded of two servers that are drawn by lot."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from ..interfaces import IBalancer, IBalancerFactory
from ..options import Options
from .weights import NO_WEIGHTS, Weights


@implementer(IBalancer)
class RandomTwo:
    """Draws two servers by weight and picks the one with less in flight for its weight.

    Two choices are nearly as good as all of them (Mitzenmacher, "The Power of Two Choices in
    Randomized Load Balancing"), and several proxies that do so do not all run to the same server
    at once.
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        """Make a balancer.

        :param draw: gives numbers from 0 to below 1.
        """
        self._draw = draw
        self._weights = NO_WEIGHTS

    def pick(self, servers: Sequence[Any], exchange: Any) -> Any:
        """See ``IBalancer``."""
        if len(servers) == 1:
            return servers[0]
        weights = self._weights
        if weights.servers is not servers:
            weights = self._weights = Weights(servers)
        first, second = weights.two(self._draw)
        if first.active * second.effective_weight <= second.active * first.effective_weight:
            return first
        return second


@implementer(IPlugin, IBalancerFactory)
class RandomTwoFactory:
    """Makes random-two balancers."""

    name = "random-two"
    description = "the less loaded of two servers drawn by lot, by weight"
    options = Options

    def build(self, options: Options) -> RandomTwo:
        """See ``IBalancerFactory``."""
        return RandomTwo()
