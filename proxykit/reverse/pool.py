"""A pool: servers that do the same, and a balancer that picks one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..engine.exchange import Exchange
from ..errors import Unavailable
from ..upstream.server import Server


class Pool:
    """Servers behind one name.

    :ivar name: as the configuration calls it.
    :ivar retries: how often a request may be sent again where that is safe.
    """

    def __init__(
        self, name: str, servers: Sequence[Server], balancer: Any, retries: int = 1
    ) -> None:
        """Make a pool.

        :param balancer: an ``IBalancer``.
        """
        self.name = name
        self.retries = retries
        self._servers = tuple(servers)
        self._pick = balancer.pick

    def __repr__(self) -> str:
        return f"<Pool {self.name} {list(self._servers)}>"

    def choose(self, exchange: Exchange) -> Server:
        """Choose a server for an exchange.

        :raises Unavailable: when the pool has none.
        """
        servers = self._servers
        if not servers:
            raise Unavailable(f"the pool {self.name} has no server")
        server: Server = self._pick(servers, exchange)
        return server

    def retire(self) -> None:
        """Close what is idle; exchanges under way are finished."""
        for server in self._servers:
            server.retire()
