"""The upstream of exchanges that go to the origin that they name."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ..engine.exchange import Exchange
from ..upstream.retries import RetryPolicy
from ..upstream.server import Server

_ONE_RETRY = RetryPolicy(retries=1)


@frozen(slots=True, eq=False)
class Origin:
    """The upstream of a route that has one server: the origin."""

    server: Server
    policy: RetryPolicy = _ONE_RETRY

    def choose(self, exchange: Exchange) -> Server:
        """Give the origin."""
        return self.server

    def another(self, exchange: Exchange, tried: Sequence[Server]) -> None:
        """There is no other."""
