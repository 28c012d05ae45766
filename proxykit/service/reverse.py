"""Compiles reverse listeners."""

from __future__ import annotations

from ..config.reverse import ReverseListener
from ..engine.forwarding import Direction
from ..reverse.router import ReverseRouter
from .compilation import Compilation
from .route import compile_route


def compile_reverse(compilation: Compilation, name: str, model: ReverseListener) -> None:
    """Compile one reverse listener into the plan; its pools are there already."""
    chain = compilation.chain(model.filters)
    router = ReverseRouter(
        [
            compile_route(compilation, name, index, each, chain)
            for index, each in enumerate(model.routes)
        ]
    )
    pipeline = compilation.pipeline(
        name, Direction.REVERSE, model.trust_proxy, router.choose, chain, model.response_buffer
    )
    proxied = model.proxy_protocol
    compilation.listen(model.listen, pipeline, proxied=proxied)
    if model.tls is not None:
        compilation.listen_with_tls(model.tls, pipeline, proxied=proxied)
