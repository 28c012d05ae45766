"""The first server that has room, so that those behind it may sleep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from ..interfaces import IBalancer, IBalancerFactory
from ..options import Options


@implementer(IBalancer)
class First:
    """Fills servers in the order written, each up to its ``max_connections``.

    Weights play no part; a slow start does, it is less room at first. When all are full, the one
    with the shortest queue for its size is picked.
    """

    def pick(self, servers: Sequence[Any], exchange: Any) -> Any:
        """See ``IBalancer``."""
        for server in servers:
            if server.active < server.limit * server.warmth:
                return server
        return min(servers, key=lambda server: server.active / server.limit)


@implementer(IPlugin, IBalancerFactory)
class FirstFactory:
    """Makes first balancers."""

    name = "first"
    description = "the first server in the order written that has room"
    options = Options

    def build(self, options: Options) -> First:
        """See ``IBalancerFactory``."""
        return First()
