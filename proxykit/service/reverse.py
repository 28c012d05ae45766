"""Compiles reverse listeners and their routes."""

from __future__ import annotations

from collections.abc import Callable

from ..config.reverse import ReverseListener
from ..config.reverse import Route as RouteModel
from ..engine.exchange import Exchange
from ..engine.forwarding import Direction
from ..engine.pipeline import Chain, Route
from ..message.path import PathMatch
from ..message.response import Response
from ..net.tls import server_context
from ..reverse.router import ReverseRouter, RouteMatch
from .cache import use_cache
from .compilation import Compilation


def compile_reverse(compilation: Compilation, name: str, model: ReverseListener) -> None:
    """Compile one reverse listener into the plan; its pools are there already."""
    chain = compilation.chain(model.filters)
    router = ReverseRouter(
        [_route(compilation, name, index, each, chain) for index, each in enumerate(model.routes)]
    )
    pipeline = compilation.pipeline(
        name, Direction.REVERSE, model.trust_proxy, router.choose, chain
    )
    compilation.listen(model.listen, pipeline)
    if model.tls is not None:
        pair = model.tls.certificates[0]
        directory = compilation.context.directory
        tls = server_context(directory / pair.certificate, directory / pair.key)
        compilation.listen(model.tls.listen, pipeline, tls)


def _route(
    compilation: Compilation, listener: str, index: int, model: RouteModel, outer: Chain
) -> RouteMatch:
    inner = compilation.chain(model.filters)
    route = Route(
        name=model.name or str(index),
        chain=outer.then(inner),
        inner=inner,
        upstream=compilation.pools[model.pool] if model.pool is not None else None,
        answer=_redirect(model.redirect.to, model.redirect.status) if model.redirect else None,
        strip_prefix=(model.strip_prefix or "").rstrip("/").encode("ascii"),
        cache=use_cache(compilation, listener, model.cache, forward=False) if model.cache else None,
    )
    path = PathMatch.of(model.path) if model.path is not None else None
    methods = frozenset(method.encode("ascii") for method in model.methods)
    return RouteMatch(route, tuple(host.lower() for host in model.host), path, methods)


def _redirect(to: str, status: int) -> Callable[[Exchange], Response]:
    def answer(exchange: Exchange) -> Response:
        location = to.replace("{uri}", exchange.request.origin_target.decode("ascii"))
        location = location.replace("{host}", exchange.host)
        return Response(status, [(b"Location", location.encode("ascii"))])

    return answer
