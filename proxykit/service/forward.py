"""Compiles forward listeners."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve

from ..config.forward import ForwardListener
from ..engine.exchange import Exchange
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
from .intercept import compile_interception
from .parents import compile_outgoing, compile_parents, compile_siblings
from .reception import compile_reception


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

    key = tuple(name.split("."))
    chain = compilation.chain(model.filters, key)
    parents = compile_parents(
        compilation, key, model.parents, make_servers, model.connect_timeout, direct=model.direct
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
        siblings=compile_siblings(
            compilation, key, model.siblings, make_servers(None), model.connect_timeout
        ),
        outgoing=compile_outgoing(model.outgoing),
        cache=use_cache(compilation, name, model.cache, forward=True) if model.cache else None,
    )
    compilation.plan.retiring.append(router.retire)
    choose: Callable[[Exchange], Any] = router.choose
    if model.ftp:
        from .ftp import compile_ftp  # it asks for the reactor

        choose = compile_ftp(compilation, model, choose, chain)
    filters, chain = chain, compile_reception(compilation, name, model, chain, choose)
    pipeline = compilation.pipeline(
        name, Direction.FORWARD, model.trust_proxy, choose, chain, model.response_buffer
    )
    compilation.listen(model.listen, pipeline, proxied=model.proxy_protocol)
    if model.tls is not None:
        with compilation.at(*key, "tls"):
            compilation.listen_with_tls(model.tls, pipeline, proxied=model.proxy_protocol)
    datagrams = None
    if model.udp:
        reactor = environment.reactor
        datagrams = DatagramPolicy(router.judge_datagrams, router.outgoing, reactor)
    bare = evolve(pipeline, chain=filters)
    for_socks = evolve(bare, choose=router.choose_for_socks, datagrams=datagrams)
    compilation.listen(model.socks, for_socks, socks=True, proxied=model.proxy_protocol)
    if model.intercept:
        # The reception is not for clients that know of no proxy: its paths are their servers' too.
        compile_interception(
            compilation,
            name,
            model,
            bare,
            make_servers(None),
            lambda host, port: make_connector(host, port, ()),
        )
