"""Gives each request of a site its route: the first that matches."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ..engine.exchange import Exchange
from ..engine.pipeline import Route
from ..errors import NoRoute, WrongListener
from ..message.path import PathMatch, normalised_path


@frozen(slots=True, eq=False)
class RouteMatch:
    """A route and what requests it takes.

    :ivar hosts: exact names and, with a leading ``*.``, wildcards; empty for any.
    :ivar path: ``None`` for any.
    :ivar methods: empty for any.
    """

    route: Route
    hosts: tuple[str, ...] = ()
    path: PathMatch | None = None
    methods: frozenset[bytes] = frozenset()

    @property
    def takes_all(self) -> bool:
        """Whether it takes any request."""
        return not self.hosts and not self.methods and (self.path is None or self.path.text == "/")

    def takes(self, exchange: Exchange) -> bool:
        """Say whether this route takes an exchange."""
        request = exchange.request
        if self.methods and request.method not in self.methods:
            return False
        if self.hosts and not any(host_matches(host, exchange.host) for host in self.hosts):
            return False
        return self.path is None or self.path.matches(normalised_path(request.path))


class ReverseRouter:
    """Chooses among a site's routes."""

    def __init__(self, routes: Sequence[RouteMatch]) -> None:
        """Take routes in the order in which they are tried."""
        self._routes = tuple(routes)
        self._only = self._routes[0].route if routes and self._routes[0].takes_all else None

    def choose(self, exchange: Exchange) -> Route:
        """See ``engine.pipeline.Router``.

        :raises NoRoute: when no route takes the request.
        :raises WrongListener: for CONNECT, which servers are not asked.
        """
        if exchange.request.method == b"CONNECT":
            raise WrongListener("this is a server, not a proxy: CONNECT is not served here")
        if self._only is not None:
            return self._only
        for match in self._routes:
            if match.takes(exchange):
                return match.route
        raise NoRoute("no route takes this request")


def host_matches(wanted: str, host: str) -> bool:
    """Say whether a host is the one that is wanted, or below it where that begins with ``*.``."""
    if wanted.startswith("*."):
        return host.endswith(wanted[1:]) and len(host) > len(wanted) - 1
    return host == wanted
