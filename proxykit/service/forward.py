"""Compiles forward listeners."""

from __future__ import annotations

from functools import partial
from typing import Any

from attrs import evolve

from ..config.forward import ForwardListener
from ..engine.forwarding import Direction
from ..engine.pipeline import DatagramPolicy
from ..forward.parents import MakeServer
from ..forward.router import ForwardRouter
from ..net.proxy_protocol import Version
from ..upstream.connector import TcpConnector
from ..upstream.server import PoolLimits, Server
from ..upstream.telling import TellingServer
from .cache import use_cache
from .compilation import Compilation
from .parents import compile_outgoing, compile_parents


def compile_forward(compilation: Compilation, name: str, model: ForwardListener) -> None:
    """Compile one forward listener into the plan."""
    environment = compilation.environment
    limits = PoolLimits(connections=model.max_connections, response_seconds=model.response_timeout)

    def make_servers(version: Version | None) -> MakeServer:
        kind: Any = Server if version is None else partial(TellingServer, version=version)
        return lambda server_name, connector: kind(
            server_name,
            connector,
            limits,
            environment.reactor,
            environment.sweeper,
            compilation.head_limits,
        )

    def make_connector(host: str, port: int, outgoing: tuple[str, ...]) -> TcpConnector:
        return TcpConnector(
            environment.reactor,
            environment.resolver,
            host,
            port,
            connect_seconds=model.connect_timeout,
            outgoing=outgoing,
        )

    chain = compilation.chain(model.filters)
    parents = compile_parents(
        compilation, model.parents, make_servers, model.connect_timeout, direct=model.direct
    )
    router = ForwardRouter(
        environment.resolver,
        make_servers(None),
        make_connector,
        chain,
        model.connect_ports,
        socks_ports=model.socks_ports,
        allow_private=model.allow_private,
        parents=parents,
        outgoing=compile_outgoing(model.outgoing),
        cache=use_cache(compilation, name, model.cache, forward=True) if model.cache else None,
    )
    compilation.plan.retiring.append(router.retire)
    pipeline = compilation.pipeline(
        name, Direction.FORWARD, model.trust_proxy, router.choose, chain, model.response_buffer
    )
    compilation.listen(model.listen, pipeline, proxied=model.proxy_protocol)
    datagrams = None
    if model.udp:
        reactor = environment.reactor
        datagrams = DatagramPolicy(router.judge_datagrams, router.outgoing, reactor)
    for_socks = evolve(pipeline, choose=router.choose_for_socks, datagrams=datagrams)
    compilation.listen(model.socks, for_socks, socks=True, proxied=model.proxy_protocol)
