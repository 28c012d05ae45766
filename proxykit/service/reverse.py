"""Compiles reverse listeners."""

from __future__ import annotations

from ..config.reverse import ReverseListener
from ..engine.forwarding import Direction
from ..reverse.router import ReverseRouter
from .compilation import Compilation
from .route import compile_route


def compile_reverse(compilation: Compilation, name: str, model: ReverseListener) -> None:
    """Compile one reverse listener into the plan; its pools are there already."""
    key = tuple(name.split("."))
    chain = compilation.chain(model.filters, key)
    routes = []
    for index, each in enumerate(model.routes):
        with compilation.at(*key, "routes", index):
            routes.append(compile_route(compilation, name, index, each, chain))
    router = ReverseRouter(routes)
    pipeline = compilation.pipeline(
        name, Direction.REVERSE, model.trust_proxy, router.choose, chain, model.response_buffer
    )
    proxied = model.proxy_protocol
    compilation.listen(model.listen, pipeline, proxied=proxied)
    if model.tls is not None:
        with compilation.at(*key, "tls"):
            compilation.listen_with_tls(model.tls, pipeline, proxied=proxied)
