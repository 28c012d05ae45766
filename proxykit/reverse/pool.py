"""A pool: servers that do the same, and a balancer that picks one of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from ..balancing.slow_start import SlowStart
from ..balancing.sticky import Sticky
from ..engine.exchange import Exchange
from ..errors import Unavailable
from ..upstream.server import Server


class Pool:
    """Servers behind one name.

    :ivar name: as the configuration calls it.
    :ivar retries: how often a request may be sent again where that is safe.
    :ivar sticky: what binds clients to servers, ``None`` for nothing.
    """

    sticky: Sticky | None = None

    def __init__(
        self,
        name: str,
        servers: Sequence[Server],
        balancer: Any,
        retries: int = 1,
        slow_start: SlowStart | None = None,
    ) -> None:
        """Make a pool.

        :param balancer: an ``IBalancer``.
        :param slow_start: for servers that become usable later; ``None`` for none.
        """
        self.name = name
        self.retries = retries
        self._servers = tuple(servers)
        self._pick = balancer.pick
        self._slow_start = slow_start
        if slow_start is not None:
            slow_start.watch(self.refresh)
        self._usable: tuple[Server, ...] = ()  # a client may be bound to any of these
        self._serving: tuple[Server, ...] = ()  # of these the balancer picks
        self._weights: list[float] = []  # theirs
        self.refresh()

    def __repr__(self) -> str:
        return f"<Pool {self.name} {list(self._servers)}>"

    def choose(self, exchange: Exchange) -> Server:
        """Choose a server for an exchange.

        :raises Unavailable: when the pool has none.
        """
        servers = self._serving
        if not servers:
            raise Unavailable(f"the pool {self.name} has no usable server")
        server: Server = self._pick(servers, exchange)
        return server

    def refresh(self) -> None:
        """See anew who is usable and what each weighs; call it after a change.

        Backups serve when no other server does. Where nothing has changed, balancers are given
        the tuple that they know.
        """
        usable = tuple(server for server in self._servers if server.usable)
        if usable != self._usable:
            self._usable = usable
        weighted = [server for server in usable if server.weight > 0]
        if self._slow_start is not None:
            self._slow_start.usable(weighted)
        serving = tuple([server for server in weighted if not server.backup] or weighted)
        weights = [server.effective_weight for server in serving]
        if serving != self._serving or weights != self._weights:
            self._serving = serving
            self._weights = weights

    def set_weight(self, name: str, weight: float) -> None:
        """Change a server's weight; balancers see it at once.

        :param name: the server's.
        :param weight: 0 drains it: it gets no new clients, but those that are bound to it stay.
        :raises LookupError: when there is no such server.
        :raises ValueError: when that is no weight.
        """
        if not isfinite(weight) or weight < 0:
            raise ValueError(f"{weight} is not a weight")
        for server in self._servers:
            if server.name == name:
                server.weight = weight
                self.refresh()
                return
        raise LookupError(f"the pool {self.name} has no server {name}")

    def retire(self) -> None:
        """Close what is idle; exchanges under way are finished."""
        if self._slow_start is not None:
            self._slow_start.stop()
        for server in self._servers:
            server.retire()


class StickyPool(Pool):
    """A pool that binds clients to servers; the route's chain has what binds them."""

    def __init__(
        self,
        name: str,
        servers: Sequence[Server],
        balancer: Any,
        sticky: Sticky,
        retries: int = 1,
        slow_start: SlowStart | None = None,
    ) -> None:
        """Make a pool.

        :param sticky: what binds clients to servers.
        """
        super().__init__(name, servers, balancer, retries, slow_start)
        self.sticky = sticky
        self._bound = sticky.bound

    def choose(self, exchange: Exchange) -> Server:
        """Choose the server that the client is bound to, a drained one and a backup too.

        :raises Unavailable: when that is not usable and the pool has no other.
        """
        server: Server | None = self._bound(self._usable, exchange)
        return server if server is not None else super().choose(exchange)
