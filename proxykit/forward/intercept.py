"""Gives intercepted exchanges their way: where the client meant to go, whatever it says in Host.

A client chooses both the address it connects to and the name it puts in Host or in TLS. If the
proxy connected to what the name says, a script in a page could reach other servers than its browser
lets it (CVE-2009-0801). So the address decides where to, always; the name is checked against it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Literal

from ..engine.exchange import Exchange
from ..engine.pipeline import Chain, Route
from ..errors import Denied, NameNotResolved, WrongListener
from ..message.target import Authority, Form
from ..net.original_destination import Destination, canonical_host
from ..upstream.connector import TcpConnector
from ..upstream.resolution import Addresses, Resolver
from ..upstream.server import Server
from .destinations import public_only
from .origin import Origin

HostCheck = Literal["note", "strict", "off"]

_MOST_SERVERS = 4096


class Misdirected(Denied):
    """The name is not the address's that the client connected to (RFC 9110 section 15.5.20)."""

    status = 421


class InterceptRouter:
    """Chooses the way of intercepted exchanges."""

    def __init__(
        self,
        resolver: Resolver,
        make_server: Callable[[str, TcpConnector], Server],
        make_connector: Callable[[str, int], TcpConnector],
        chain: Chain,
        connect_ports: Collection[int],
        *,
        allow_private: bool,
        host_check: HostCheck,
    ) -> None:
        """Set the rules.

        :param make_server: makes a server out of its name and a connector.
        :param make_connector: makes a connector out of an address and a port.
        :param connect_ports: which ports TLS may reach.
        :param allow_private: whether private destinations may be reached.
        :param host_check: what happens when the name does not resolve to the address: it is noted
            in the log, it is refused, or it is not looked at.
        """
        self._resolver = resolver
        self._make_server = make_server
        self._make_connector = make_connector
        self._chain = chain
        self._connect_ports = frozenset(connect_ports)
        self._allow_private = allow_private
        self._host_check = host_check
        self._routes: OrderedDict[tuple[Destination, bool], tuple[Route, Server]] = OrderedDict()

    def choose(self, exchange: Exchange) -> Route | Awaitable[Route]:
        """See ``engine.pipeline.Router``.

        :raises WrongListener: for what no client asks an origin server.
        :raises Denied: for a port or an address that may not be reached.
        """
        destination = exchange.destination
        assert destination is not None
        target = exchange.request.target
        tunnel = target.form is Form.AUTHORITY
        if target.scheme not in ("", "http"):
            raise WrongListener(f"{target.scheme}:// is not fetched here")
        if tunnel and destination[1] not in self._connect_ports:
            raise Denied(f"TLS to port {destination[1]} is not allowed here")
        if not self._allow_private:
            public_only(destination[0], (destination[0],))
        route = self._route(destination, tunnel=tunnel)
        if self._host_check == "off":
            return route
        return self._checked(exchange, destination, route)

    def retire(self) -> None:
        """Close what is idle; the router will not be asked again."""
        for _, server in self._routes.values():
            server.retire()

    # --- the name -----------------------------------------------------------------------------

    def _checked(
        self, exchange: Exchange, destination: Destination, route: Route
    ) -> Route | Awaitable[Route]:
        authority = exchange.authority
        if (authority.port or _usual_port(exchange, destination)) != destination[1]:
            self._mismatch(exchange, destination)
            return route
        known = self._resolver.known(authority.host)
        if known is not None:
            self._compare(exchange, destination, known)
            return route
        return self._resolved(exchange, destination, route)

    async def _resolved(self, exchange: Exchange, destination: Destination, route: Route) -> Route:
        try:
            addresses = await self._resolver.resolve(exchange.host)
        except NameNotResolved:
            addresses = ()
        self._compare(exchange, destination, addresses)
        return route

    def _compare(self, exchange: Exchange, destination: Destination, addresses: Addresses) -> None:
        if not any(canonical_host(each) == destination[0] for each in addresses):
            self._mismatch(exchange, destination)

    def _mismatch(self, exchange: Exchange, destination: Destination) -> None:
        where = Authority(*destination).text()
        sentence = f"{exchange.authority.text()} is not a name of {where}"
        if self._host_check == "strict":
            raise Misdirected(sentence)
        exchange.detail = f"{sentence}; it was sent to the address"

    # --- the way ------------------------------------------------------------------------------

    def _route(self, destination: Destination, *, tunnel: bool) -> Route:
        key = (destination, tunnel)
        entry = self._routes.get(key)
        if entry is None:
            if len(self._routes) >= _MOST_SERVERS:
                self._forget_one()
            connector = self._make_connector(*destination)
            connector.pinned = (destination[0],)
            server = self._make_server(Authority(*destination).text(), connector)
            route = Route("", chain=self._chain, upstream=Origin(server), tunnel=tunnel)
            entry = self._routes[key] = (route, server)
        else:
            self._routes.move_to_end(key)
        return entry[0]

    def _forget_one(self) -> None:
        """Make room: a server without a connection that was used long ago, or else the oldest."""
        unused: Any = (key for key, (_, server) in self._routes.items() if server.is_unused)
        key = next(unused, None) or next(iter(self._routes))
        self._routes.pop(key)[1].retire()


def _usual_port(exchange: Exchange, destination: Destination) -> int:
    """Give the port of a name without one: HTTP's, for TLS names none."""
    return destination[1] if exchange.request.method == b"CONNECT" else 80
