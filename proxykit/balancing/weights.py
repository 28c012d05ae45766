"""What a balancer keeps of a tuple of servers: their weights, summed up once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any


class Weights:
    """The weights of one tuple of servers, valid for as long as a balancer is given that tuple.

    :ivar servers: the tuple.
    :ivar even: whether all weigh the same.
    :ivar total: what they weigh together.
    """

    __slots__ = ("_cumulative", "even", "servers", "total")

    def __init__(self, servers: Sequence[Any]) -> None:
        """Sum up."""
        weights = [server.effective_weight for server in servers]
        self.servers = servers
        self.even = not weights or min(weights) == max(weights)
        self._cumulative = list(accumulate(weights))
        self.total = self._cumulative[-1] if weights else 0.0

    def two(self, random: Callable[[], float]) -> tuple[Any, Any]:
        """Draw two different servers, each draw by weight; there must be two at least.

        :param random: gives numbers from 0 to below 1.
        """
        servers = self.servers
        count = len(servers)
        if self.even:
            first = int(random() * count)
            second = int(random() * (count - 1))
            return servers[first], servers[second + 1 if second >= first else second]
        cumulative = self._cumulative
        first = min(bisect_right(cumulative, random() * self.total), count - 1)
        # The second is drawn from what the first leaves: its span is cut out of the line.
        before = cumulative[first - 1] if first else 0.0
        span = cumulative[first] - before
        at = random() * (self.total - span)
        second = min(bisect_right(cumulative, at if at < before else at + span), count - 1)
        if second == first:  # only by rounding
            second = first - 1 if first else 1
        return servers[first], servers[second]


NO_WEIGHTS = Weights(())
"""What a balancer begins with."""
