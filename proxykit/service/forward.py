"""Compiles forward listeners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve

from ..config.forward import ForwardListener
from ..engine.exchange import Exchange
from ..engine.forwarding import Direction
from ..forward.router import ForwardRouter
from ..upstream.connector import TcpConnector
from ..upstream.server import PoolLimits, Server
from .compilation import Compilation
from .intercept import compile_interception
from .reception import compile_reception


def compile_forward(compilation: Compilation, name: str, model: ForwardListener) -> None:
    """Compile one forward listener into the plan."""
    environment = compilation.environment
    limits = PoolLimits(connections=model.max_connections, response_seconds=model.response_timeout)

    def make_server(server_name: str, connector: TcpConnector) -> Server:
        return Server(
            server_name,
            connector,
            limits,
            environment.reactor,
            environment.sweeper,
            compilation.head_limits,
        )

    def make_connector(host: str, port: int) -> TcpConnector:
        return TcpConnector(
            environment.reactor,
            environment.resolver,
            host,
            port,
            connect_seconds=model.connect_timeout,
        )

    chain = compilation.chain(model.filters)
    router = ForwardRouter(
        environment.resolver,
        make_server,
        make_connector,
        chain,
        model.connect_ports,
        allow_private=model.allow_private,
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
    compilation.listen(model.listen, pipeline)
    if model.intercept:
        # The reception is not for clients that know of no proxy: its paths are their servers' too.
        compile_interception(
            compilation, name, model, evolve(pipeline, chain=filters), make_server, make_connector
        )
