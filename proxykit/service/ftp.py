"""Compiles FTP for a forward listener; see ``forward.ftp`` for why nobody else imports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from ..config.forward import ForwardListener
from ..engine.exchange import Exchange
from ..engine.pipeline import Chain
from ..forward.ftp.gateway import FtpGateway
from ..upstream.connector import TcpConnector
from ..upstream.resolution import Addresses
from .compilation import Compilation


def compile_ftp(
    compilation: Compilation,
    model: ForwardListener,
    choose: Callable[[Exchange], Any],
    chain: Chain,
) -> Callable[[Exchange], Any]:
    """Give a listener's router that takes ``ftp`` targets too.

    :param choose: takes all others.
    """
    environment = compilation.environment

    def connect(addresses: Addresses, port: int, build: Callable[[], Any]) -> Deferred[Any]:
        connector = TcpConnector(
            environment.reactor,
            environment.resolver,
            addresses[0],
            port,
            connect_seconds=model.connect_timeout,
        )
        connector.pinned = addresses
        return connector.connect(build)

    gateway = FtpGateway(
        environment.resolver,
        environment.sweeper,
        connect,
        model.response_timeout,
        model.max_connections,
        allow_private=model.allow_private,
    )
    return gateway.router(choose, chain)
