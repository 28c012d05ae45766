"""Compiles interception for a forward listener."""

from __future__ import annotations

import sys
from collections.abc import Callable

from attrs import evolve

from ..config.forward import ForwardListener
from ..engine.pipeline import Pipeline
from ..errors import ConfigurationError
from ..forward.intercept import InterceptRouter
from ..upstream.connector import TcpConnector
from ..upstream.server import Server
from .compilation import Compilation


def compile_interception(
    compilation: Compilation,
    name: str,
    model: ForwardListener,
    pipeline: Pipeline,
    make_server: Callable[[str, TcpConnector], Server],
    make_connector: Callable[[str, int], TcpConnector],
) -> None:
    """Plan to serve where the network leads clients.

    :param pipeline: the listener's policy, of which only the router is another here.
    :raises ConfigurationError: where the system cannot do it.
    """
    if sys.platform != "linux":
        raise ConfigurationError(f"{name}.intercept: only Linux can tell where clients meant to go")
    for each in model.intercept:
        router = InterceptRouter(
            compilation.environment.resolver,
            make_server,
            make_connector,
            pipeline.chain,
            model.connect_ports,
            allow_private=model.allow_private,
            host_check=each.host_check,
        )
        compilation.plan.retiring.append(router.retire)
        policy = evolve(pipeline, choose=router.choose)
        compilation.listen([each.listen], policy, intercept=each.mode)
