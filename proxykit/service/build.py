"""Compiles a configuration into what runs: pools, routes, filters, pipelines, listeners.

Everything that can be wrong is found here, before anything that runs is touched; what comes out
has opened no socket yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from hashlib import blake2s
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import field, frozen

from ..config.models import Configuration, ForwardListener, ReverseListener
from ..config.models import Pool as PoolModel
from ..config.models import Route as RouteModel
from ..engine.exchange import Exchange
from ..engine.forwarding import Direction, ForwardingRules
from ..engine.pipeline import EMPTY_CHAIN, Chain, Pipeline, Route, Times
from ..forward.router import ForwardRouter
from ..http1.limits import HeadLimits
from ..message.path import PathMatch
from ..message.response import Response
from ..net.sweeper import Sweeper
from ..net.tls import client_context, server_context
from ..options import BuildContext
from ..reverse.pool import Pool
from ..reverse.router import ReverseRouter, RouteMatch
from ..upstream.connector import Connector, TcpConnector, UnixConnector
from ..upstream.resolution import Resolver
from ..upstream.server import PoolLimits, Server

# Part of every listener's name in Via, so that two proxies in a row are not taken for a loop.
_THIS_PROCESS = os.urandom(8)


@frozen(slots=True, eq=False)
class Environment:
    """What all that runs shares, for as long as the process lives.

    :ivar reactor: the reactor.
    :ivar sweeper: the time-outs' clock.
    :ivar resolver: names to addresses.
    """

    reactor: Any
    sweeper: Sweeper
    resolver: Resolver

    @classmethod
    def of(cls, reactor: Any) -> Environment:
        """Make one on a reactor."""
        return cls(reactor, Sweeper(reactor), Resolver(reactor.nameResolver))


@frozen(slots=True, eq=False)
class ListenerPlan:
    """One endpoint to listen on, and what is served there.

    :ivar endpoint: a Twisted endpoint description.
    :ivar tls: the TLS context, ``None`` for none.
    """

    endpoint: str
    pipeline: Pipeline
    head_limits: HeadLimits
    connections: int
    connections_per_client: int
    tls: Any = None


@frozen(slots=True, eq=False)
class Plan:
    """A configuration, compiled.

    :ivar listeners: by their endpoints.
    :ivar retire: called when another plan has taken this one's place.
    """

    listeners: dict[str, ListenerPlan]
    retiring: list[Callable[[], None]] = field(factory=list)

    def retire(self) -> None:
        """Let go of idle connections; exchanges under way are finished."""
        for retire in self.retiring:
            retire()


def compile_plan(
    configuration: Configuration,
    environment: Environment,
    observers: tuple[Callable[[Any], None], ...],
) -> Plan:
    """Compile a configuration.

    :param observers: told of each finished exchange, the access log above all.
    :raises ConfigurationError: for what only shows when it is built, a certificate without its
        key for instance.
    """
    return _Compiler(configuration, environment, observers).plan()


class _Compiler:
    """Compiles one configuration."""

    def __init__(
        self,
        configuration: Configuration,
        environment: Environment,
        observers: tuple[Callable[[Any], None], ...],
    ) -> None:
        self._configuration = configuration
        self._environment = environment
        self._observers = observers
        limits = configuration.limits
        self._head_limits = HeadLimits(limits.head_size, limits.target_size, limits.headers)
        self._times = Times(
            head=limits.head_timeout,
            idle=limits.idle_timeout,
            body=limits.body_timeout,
            tunnel=limits.tunnel_timeout,
        )
        self._context = BuildContext(
            directory=Path(configuration.directory),
            reactor=environment.reactor,
            resolve=environment.resolver.resolve,
        )
        self._listeners: dict[str, ListenerPlan] = {}
        self._retiring: list[Callable[[], None]] = []

    def plan(self) -> Plan:
        """Compile everything."""
        configuration = self._configuration
        pools = {name: self._pool(name, model) for name, model in configuration.pool.items()}
        for name, forward in configuration.forward.items():
            self._forward(f"forward.{name}", forward)
        for name, reverse in configuration.reverse.items():
            self._reverse(f"reverse.{name}", reverse, pools)
        return Plan(self._listeners, self._retiring)

    # --- forward ------------------------------------------------------------------------------

    def _forward(self, name: str, model: ForwardListener) -> None:
        environment = self._environment
        limits = PoolLimits(
            connections=model.max_connections, response_seconds=model.response_timeout
        )

        def make_server(server_name: str, connector: TcpConnector) -> Server:
            return Server(
                server_name,
                connector,
                limits,
                environment.reactor,
                environment.sweeper,
                self._head_limits,
            )

        def make_connector(host: str, port: int) -> TcpConnector:
            return TcpConnector(
                environment.reactor,
                environment.resolver,
                host,
                port,
                connect_seconds=model.connect_timeout,
            )

        chain = self._chain(model.filters)
        router = ForwardRouter(
            environment.resolver,
            make_server,
            make_connector,
            chain,
            model.connect_ports,
            allow_private=model.allow_private,
        )
        self._retiring.append(router.retire)
        rules = _rules(Direction.FORWARD, name, model.trust_proxy)
        self._listen(model.listen, self._pipeline(name, router.choose, rules, chain))

    # --- reverse ------------------------------------------------------------------------------

    def _reverse(self, name: str, model: ReverseListener, pools: dict[str, Pool]) -> None:
        chain = self._chain(model.filters)
        router = ReverseRouter(
            [self._route(index, each, chain, pools) for index, each in enumerate(model.routes)]
        )
        rules = _rules(Direction.REVERSE, name, model.trust_proxy)
        pipeline = self._pipeline(name, router.choose, rules, chain)
        self._listen(model.listen, pipeline)
        if model.tls is not None:
            pair = model.tls.certificates[0]
            directory = self._context.directory
            tls = server_context(directory / pair.certificate, directory / pair.key)
            self._listen(model.tls.listen, pipeline, tls)

    def _route(
        self, index: int, model: RouteModel, outer: Chain, pools: dict[str, Pool]
    ) -> RouteMatch:
        inner = self._chain(model.filters)
        route = Route(
            name=model.name or str(index),
            chain=outer.then(inner),
            inner=inner,
            upstream=pools[model.pool] if model.pool is not None else None,
            answer=_redirect(model.redirect.to, model.redirect.status) if model.redirect else None,
            strip_prefix=(model.strip_prefix or "").rstrip("/").encode("ascii"),
        )
        path = PathMatch.of(model.path) if model.path is not None else None
        methods = frozenset(method.encode("ascii") for method in model.methods)
        return RouteMatch(route, tuple(host.lower() for host in model.host), path, methods)

    def _pool(self, name: str, model: PoolModel) -> Pool:
        limits = PoolLimits(
            connections=model.max_connections,
            queue=model.queue_size,
            queue_seconds=model.queue_timeout,
            response_seconds=model.response_timeout,
            idle_seconds=model.idle_timeout,
        )
        servers = [self._server(each.url, each.weight, model, limits) for each in model.servers]
        pool = Pool(name, servers, model.balancer.build(), model.retries)
        self._retiring.append(pool.retire)
        return pool

    def _server(self, url: str, weight: int, model: PoolModel, limits: PoolLimits) -> Server:
        environment = self._environment
        connector: Connector
        if url.startswith("unix:"):
            name = host = url.removeprefix("unix:")
            host = "localhost"
            connector = UnixConnector(environment.reactor, name, model.connect_timeout)
        else:
            parts = urlsplit(url)
            server_host = parts.hostname or ""
            port = parts.port or (443 if parts.scheme == "https" else 80)
            bracketed = f"[{server_host}]" if ":" in server_host else server_host
            name = f"{bracketed}:{port}"
            host = parts.netloc
            connector = TcpConnector(
                environment.reactor,
                environment.resolver,
                server_host,
                port,
                self._client_tls(server_host, model) if parts.scheme == "https" else None,
                model.connect_timeout,
            )
        return Server(
            name,
            connector,
            limits,
            environment.reactor,
            environment.sweeper,
            self._head_limits,
            weight,
            _host_field(model.host, host),
        )

    def _client_tls(self, host: str, model: PoolModel) -> Any:
        tls = model.tls
        if tls is None:
            return client_context(host)
        ca_file = self._context.directory / tls.ca if tls.ca is not None else None
        return client_context(tls.server_name or host, ca_file, verify=tls.verify)

    # --- both ---------------------------------------------------------------------------------

    def _chain(self, entries: Iterable[Any]) -> Chain:
        filters = [entry.factory.build(entry.options, self._context) for entry in entries]
        return Chain.of(filters) if filters else EMPTY_CHAIN

    def _pipeline(
        self,
        name: str,
        choose: Callable[[Exchange], Any],
        rules: ForwardingRules,
        chain: Chain,
    ) -> Pipeline:
        limits = self._configuration.limits
        return Pipeline(
            name,
            choose,
            rules,
            self._environment.resolver,
            chain,
            self._times,
            limits.body_size,
            limits.requests_per_connection,
            self._observers,
        )

    def _listen(self, endpoints: Iterable[str], pipeline: Pipeline, tls: Any = None) -> None:
        limits = self._configuration.limits
        for endpoint in endpoints:
            self._listeners[endpoint] = ListenerPlan(
                endpoint,
                pipeline,
                self._head_limits,
                limits.connections,
                limits.connections_per_client,
                tls,
            )


def _rules(direction: Direction, name: str, trusted: Iterable[Any]) -> ForwardingRules:
    digest = blake2s(name.encode("utf-8"), key=_THIS_PROCESS, digest_size=4).hexdigest()
    return ForwardingRules(direction, f"proxykit-{digest}".encode("ascii"), tuple(trusted))


def _host_field(rule: str, server_host: str) -> bytes | None:
    """Give what Host says upstream: ``keep``, ``server``, or a name."""
    if rule == "keep":
        return None
    return (server_host if rule == "server" else rule).encode("ascii")


def _redirect(to: str, status: int) -> Callable[[Exchange], Response]:
    def answer(exchange: Exchange) -> Response:
        location = to.replace("{uri}", exchange.request.origin_target.decode("ascii"))
        location = location.replace("{host}", exchange.host)
        return Response(status, [(b"Location", location.encode("ascii"))])

    return answer
