"""Gives each request of a site its route: the first that matches."""

from __future__ import annotations

from collections.abc import Sequence

from ..engine.exchange import Exchange
from ..engine.pipeline import Route
from ..errors import NoRoute, WrongListener
from .conditions import Conditions, Subject
from .route_table import RouteTable
from .split import Choice


class ReverseRouter:
    """Chooses among a site's routes."""

    def __init__(self, routes: Sequence[tuple[Conditions, Choice]]) -> None:
        """Take routes in the order in which they are tried."""
        self._table = RouteTable(routes)
        # A listener that sends everything one way looks at nothing.
        self._only = routes[0][1] if routes and routes[0][0].take_all else None

    def choose(self, exchange: Exchange) -> Route:
        """See ``engine.pipeline.Router``.

        :raises NoRoute: when no route takes the request.
        :raises WrongListener: for CONNECT, which servers are not asked.
        """
        if exchange.request.method == b"CONNECT":
            raise WrongListener("this is a server, not a proxy: CONNECT is not served here")
        choice = self._only
        if choice is None:
            choice = self._table.find(Subject(exchange))
            if choice is None:
                raise NoRoute("no route takes this request")
        return choice(exchange)


def host_matches(wanted: str, host: str) -> bool:
    """Say whether a host is the one that is wanted, or below it where that begins with ``*.``."""
    if wanted.startswith("*."):
        return host.endswith(wanted[1:]) and len(host) > len(wanted) - 1
    return host == wanted
