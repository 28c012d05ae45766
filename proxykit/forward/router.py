"""Gives each request of a forward proxy's client its way: to its own origin, or to a parent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from ..engine.cache import Cache
from ..engine.exchange import Exchange
from ..engine.pipeline import Chain, Route, Upstream
from ..errors import Denied, WrongListener
from ..message.response import Response
from ..message.target import Authority, Form
from ..upstream.connector import TcpConnector
from ..upstream.resolution import Addresses, Resolver
from ..upstream.server import Server
from .destinations import check_unresolved, public_only
from .health import Health
from .origin import Origin
from .parents import Journey, Parents
from .rules import OutgoingAddresses
from .siblings import Siblings
from .table import ServerTable

_MOST_ORIGINS = 4096
# Of the origin itself, when a connection that had served before was closed.


class ForwardRouter:
    """Chooses the way of a forward proxy's exchanges.

    One ``Server`` an origin and a set of judged addresses: a connection is only ever used for
    what was judged when it was made.
    """

    def __init__(
        self,
        resolver: Resolver,
        make_server: Callable[[str, TcpConnector], Server],
        make_connector: Callable[[str, int, Addresses], TcpConnector],
        chain: Chain,
        connect_ports: Collection[int] = (443,),
        *,
        socks_ports: Collection[int] = (),
        allow_private: bool = False,
        parents: Parents | None = None,
        siblings: Siblings | None = None,
        outgoing: OutgoingAddresses | None = None,
        cache: Cache | None = None,
    ) -> None:
        """Set the rules.

        :param make_server: makes a server out of its name and a connector.
        :param make_connector: makes a connector out of a host, a port and the local addresses to
            go out by.
        :param connect_ports: which ports CONNECT may reach.
        :param socks_ports: which ports SOCKS may reach, empty for any.
        :param cache: what may answer in the place of an origin.
        :param allow_private: whether private destinations may be reached.
        :param parents: who is asked instead of the origins, ``None`` for nobody.
        :param siblings: who is asked for what they have stored, ``None`` for nobody.
        :param outgoing: by which local addresses connections go out, ``None`` for the kernel's
            choice.
        """
        self._resolver = resolver
        self._make_server = make_server
        self._make_connector = make_connector
        self._chain = chain
        self._connect_ports = frozenset(connect_ports)
        self._socks_ports = frozenset(socks_ports)
        self._allow_private = allow_private
        self._parents = parents
        self._siblings = siblings
        self._outgoing = outgoing
        self._cache = cache
        self._routes: ServerTable[Any, Route] = ServerTable(_MOST_ORIGINS)
        self._judged: dict[str, tuple[Addresses, Addresses]] = {}

    def choose(self, exchange: Exchange) -> Route | Awaitable[Route]:
        """See ``engine.pipeline.Router``.

        :raises WrongListener: for an origin-form or an ``https`` target.
        :raises Denied: for a port or an address that may not be reached.
        """
        authority, tunnel = self._destination(exchange)
        if tunnel and authority.port not in self._connect_ports:
            raise Denied(f"CONNECT to port {authority.port} is not allowed here")
        return self._way(exchange, authority, tunnel=tunnel)

    def choose_for_socks(self, exchange: Exchange) -> Route | Awaitable[Route]:
        """Choose for a client that speaks SOCKS, whose exchanges have CONNECT's form.

        :raises Denied: for a port or an address that may not be reached.
        """
        return self._way(exchange, self._socks_destination(exchange), tunnel=True)

    def judge_datagrams(self, exchange: Exchange) -> Route | Awaitable[Route]:
        """Judge where a client's datagrams are to go; ``exchange.addresses`` are what is left.

        :returns: a route that answers 204.
        :raises Denied: for a port or an address that may not be reached, and for what would have
            to go through a parent, for datagrams do not.
        """
        authority = self._socks_destination(exchange)
        if self._parents is not None and self._parents.takes(exchange):
            raise Denied(f"{authority.host} is reached through a parent, datagrams are not")

        def judged(addresses: Addresses) -> Route:
            self._permit(exchange, authority.host, addresses)
            return Route("", answer=lambda exchange: Response(204))

        addresses = exchange.addresses or self._resolver.known(authority.host)
        if addresses:
            return judged(addresses)
        resolving: Any = self._resolver.resolve(authority.host)
        return resolving.addCallback(judged)  # type: ignore[no-any-return]

    def outgoing(self, exchange: Exchange) -> Addresses:
        """Give the local addresses by which an exchange goes out, none for the kernel's choice."""
        return self._outgoing.choose(exchange) if self._outgoing is not None else ()

    def retire(self) -> None:
        """Close what is idle; the router will not be asked again."""
        self._routes.retire()
        if self._parents is not None:
            self._parents.retire()
        if self._siblings is not None:
            self._siblings.retire()

    def _way(
        self, exchange: Exchange, authority: Authority, *, tunnel: bool
    ) -> Route | Awaitable[Route]:
        if self._parents is not None and self._parents.takes(exchange):
            return self._by_parent(exchange, authority, tunnel=tunnel)
        addresses = exchange.addresses or self._resolver.known(authority.host)
        if not addresses:
            resolving: Any = self._resolver.resolve(authority.host)
            return resolving.addCallback(  # type: ignore[no-any-return]
                lambda found: self._route(exchange, authority, found, tunnel=tunnel)
            )
        return self._route(exchange, authority, addresses, tunnel=tunnel)

    def _by_parent(self, exchange: Exchange, authority: Authority, *, tunnel: bool) -> Route:
        """Send an exchange through a parent; its name is not resolved here."""
        assert self._parents is not None
        if not self._allow_private:
            check_unresolved(authority.host)
        journey = Journey(exchange, authority, tunnel, self.outgoing(exchange))
        server = self._parents.server(journey, _Straight(self))
        return self._route_by(server, journey.outgoing, tunnel=tunnel)

    def _route_by(self, server: Server, outgoing: Addresses, *, tunnel: bool) -> Route:
        upstream: Upstream = Origin(server)
        if self._siblings is not None and not tunnel:
            upstream = self._siblings.before(server, outgoing)
        return Route(
            "",
            chain=self._chain,
            upstream=upstream,
            tunnel=tunnel,
            cache=None if tunnel else self._cache,
        )

    def _destination(self, exchange: Exchange) -> tuple[Authority, bool]:
        target = exchange.request.target
        authority = target.authority
        if target.form is Form.AUTHORITY:
            assert authority is not None
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

    def _socks_destination(self, exchange: Exchange) -> Authority:
        authority = exchange.authority
        if self._socks_ports and authority.port not in self._socks_ports:
            raise Denied(f"SOCKS to port {authority.port} is not allowed here")
        return authority

    def _route(
        self, exchange: Exchange, authority: Authority, addresses: Addresses, *, tunnel: bool
    ) -> Route:
        addresses = self._permit(exchange, authority.host, addresses)
        outgoing = self._outgoing.choose(exchange) if self._outgoing is not None else ()
        key = (authority, tunnel, addresses, outgoing)
        entry = self._routes.get(key)
        if entry is not None:
            return entry[0]
        port = authority.port
        assert port is not None
        connector = self._make_connector(authority.host, port, outgoing)
        connector.pinned = addresses
        server = self._make_server(Authority(authority.host, port).text(), connector)
        route = self._route_by(server, outgoing, tunnel=tunnel)
        self._routes.put(key, route, server)
        return route

    def _permit(self, exchange: Exchange, host: str, addresses: Addresses) -> Addresses:
        """Leave the addresses that may be reached, and have the exchange reach no others."""
        if not self._allow_private:
            addresses = self._judge(host, addresses)
        exchange.addresses = addresses
        return addresses

    def _judge(self, host: str, addresses: Addresses) -> Addresses:
        judged = self._judged.get(host)
        if judged is None or judged[0] is not addresses:
            if len(self._judged) >= _MOST_ORIGINS:
                self._judged.clear()
            judged = self._judged[host] = (addresses, public_only(host, addresses))
        return judged[1]

    def straight(self, journey: Journey) -> Deferred[Server]:
        """Give the server of a destination that is reached without a parent after all.

        :returns: fails when its name does not resolve or it may not be reached.
        """

        def found(addresses: Addresses) -> Server:
            route = self._route(
                journey.exchange, journey.authority, addresses, tunnel=journey.tunnel
            )
            upstream: Any = route.upstream
            server: Server = upstream.server
            return server

        return self._resolver.resolve(journey.authority.host).addCallback(found)


@frozen(slots=True, eq=False)
class _Straight:
    """The way without a parent, as ``forward.parents`` sees ways."""

    router: ForwardRouter
    name: str = ""
    health: Health | None = None

    def server(self, journey: Journey) -> Deferred[Server]:
        """See ``parents.Way``."""
        return self.router.straight(journey)
