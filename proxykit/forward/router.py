"""Gives each request of a forward proxy's client its way: the request's own origin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from attrs import frozen

from ..engine.cache import Cache
from ..engine.exchange import Exchange
from ..engine.pipeline import Chain, Route
from ..errors import Denied, WrongListener
from ..message.target import Authority, Form
from ..upstream.connector import TcpConnector
from ..upstream.resolution import Addresses, Resolver
from ..upstream.server import Server
from .destinations import public_only

_MOST_ORIGINS = 4096


@frozen(slots=True, eq=False)
class _Origin:
    """The upstream of a route that has one server: the origin."""

    server: Server
    retries: int = 1

    def choose(self, exchange: Exchange) -> Server:
        """Give the origin."""
        return self.server


class ForwardRouter:
    """Chooses the way of a forward proxy's exchanges.

    One ``Server`` an origin and a set of judged addresses: a connection is only ever used for
    what was judged when it was made.
    """

    def __init__(
        self,
        resolver: Resolver,
        make_server: Callable[[str, TcpConnector], Server],
        make_connector: Callable[[str, int], TcpConnector],
        chain: Chain,
        connect_ports: Collection[int] = (443,),
        *,
        allow_private: bool = False,
        cache: Cache | None = None,
    ) -> None:
        """Set the rules.

        :param make_server: makes a server out of its name and a connector.
        :param make_connector: makes a connector out of a host and a port.
        :param connect_ports: which ports CONNECT may reach.
        :param cache: what may answer in the place of an origin.
        :param allow_private: whether private destinations may be reached.
        """
        self._resolver = resolver
        self._make_server = make_server
        self._make_connector = make_connector
        self._chain = chain
        self._connect_ports = frozenset(connect_ports)
        self._allow_private = allow_private
        self._cache = cache
        self._routes: dict[tuple[Authority, bool, Addresses], tuple[Route, Server]] = {}
        self._judged: dict[str, tuple[Addresses, Addresses]] = {}

    def choose(self, exchange: Exchange) -> Route | Awaitable[Route]:
        """See ``engine.pipeline.Router``.

        :raises WrongListener: for an origin-form or an ``https`` target.
        :raises Denied: for a port or an address that may not be reached.
        """
        authority, tunnel = self._destination(exchange)
        addresses = exchange.addresses or self._resolver.known(authority.host)
        if not addresses:
            resolving: Any = self._resolver.resolve(authority.host)
            return resolving.addCallback(  # type: ignore[no-any-return]
                lambda found: self._route(exchange, authority, found, tunnel=tunnel)
            )
        return self._route(exchange, authority, addresses, tunnel=tunnel)

    def retire(self) -> None:
        """Close what is idle; the router will not be asked again."""
        for _, server in self._routes.values():
            server.retire()

    def _destination(self, exchange: Exchange) -> tuple[Authority, bool]:
        target = exchange.request.target
        authority = target.authority
        if target.form is Form.AUTHORITY:
            assert authority is not None
            if authority.port not in self._connect_ports:
                raise Denied(f"CONNECT to port {authority.port} is not allowed here")
            return authority, True
        if target.form is not Form.ABSOLUTE:
            raise WrongListener(
                "this is a proxy, not a server: it was asked for a path without a host. "
                "Set it as the HTTP proxy of your client, for curl: "
                "curl --proxy http://THIS-HOST:PORT http://example.com/"
            )
        assert authority is not None
        if target.scheme != "http":
            raise WrongListener(
                f"{target.scheme}:// is not fetched here: for https, clients use CONNECT"
            )
        return Authority(authority.host, authority.port or 80), False

    def _route(
        self, exchange: Exchange, authority: Authority, addresses: Addresses, *, tunnel: bool
    ) -> Route:
        if not self._allow_private:
            addresses = self._judge(authority.host, addresses)
        exchange.addresses = addresses
        key = (authority, tunnel, addresses)
        entry = self._routes.get(key)
        if entry is None:
            entry = self._routes[key] = self._make_route(authority, addresses, tunnel=tunnel)
        return entry[0]

    def _judge(self, host: str, addresses: Addresses) -> Addresses:
        judged = self._judged.get(host)
        if judged is None or judged[0] is not addresses:
            if len(self._judged) >= _MOST_ORIGINS:
                self._judged.clear()
            judged = self._judged[host] = (addresses, public_only(host, addresses))
        return judged[1]

    def _make_route(
        self, authority: Authority, addresses: Addresses, *, tunnel: bool
    ) -> tuple[Route, Server]:
        if len(self._routes) >= _MOST_ORIGINS:
            self._forget_unused()
        port = authority.port
        assert port is not None
        connector = self._make_connector(authority.host, port)
        connector.pinned = addresses
        server = self._make_server(Authority(authority.host, port).text(), connector)
        route = Route(
            "",
            chain=self._chain,
            upstream=_Origin(server),
            tunnel=tunnel,
            cache=None if tunnel else self._cache,
        )
        return route, server

    def _forget_unused(self) -> None:
        """Make room: origins without a connection first, all of them if that is none."""
        unused = [key for key, (_, server) in self._routes.items() if server.is_unused]
        for key in unused or list(self._routes):
            self._routes.pop(key)[1].retire()
