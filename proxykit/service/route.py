"""Compiles one route: what it takes, where it leads, what happens on the way."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from attrs import evolve

from ..caching.route_cache import RouteCache
from ..config.route import Route as RouteModel
from ..config.route import Split as SplitModel
from ..config.route import Static as StaticModel
from ..engine.pipeline import Chain, Route
from ..errors import ConfigurationError
from ..reverse.conditions import (
    Condition,
    Conditions,
    HostMatch,
    client_condition,
    header_condition,
    method_condition,
    query_condition,
)
from ..reverse.error_pages import ErrorPages, Page
from ..reverse.fixed_answers import Answer, fixed_response, redirect
from ..reverse.pool import Pool
from ..reverse.rewriting import rewrite_of
from ..reverse.split import (
    Choice,
    StickyCookie,
    always,
    mark_of,
    split_at_random,
    split_by_client,
    split_by_cookie,
)
from ..reverse.static_files import StaticFiles, StaticOptions
from ..reverse.templates import Rewrite
from .cache import use_cache
from .compilation import Compilation


def compile_route(
    compilation: Compilation, listener: str, index: int, model: RouteModel, outer: Chain
) -> tuple[Conditions, Choice]:
    """Compile one route; its pools are there already.

    :param listener: the name of its listener.
    :param index: its number among its listener's routes.
    :param outer: the listener's filters.
    """
    name = model.name or str(index)
    pages = _error_pages(compilation, model)
    inner = compilation.chain(model.filters, (*listener.split("."), "routes", index))
    if pages is not None and model.intercept_errors:
        # Outermost on the way back, so that the route's other filters see what the server said.
        inner = Chain.of([pages]).then(inner)
    rewrite = rewrite_of(
        model.strip_prefix or "",
        [(rule.match, rule.to) for rule in model.rewrite],
        model.add_prefix or "",
    )
    pool = compilation.pool(model.pool) if model.pool is not None else None
    route = Route(
        name=name,
        chain=_whole_chain(outer, inner, pool),
        inner=inner,
        upstream=pool,
        answer=_answer(compilation, model, rewrite),
        rewrite=rewrite,
        body_size=_body_size(model),
        error_page=None if pages is None else pages.page,
        cache=_cache(compilation, listener, name, model),
    )
    conditions = Conditions(HostMatch.of(model.host), model.path_match, _others(model))
    if model.split is not None:
        return conditions, _split(compilation, model.split, route, outer)
    return conditions, always(route)


def _cache(
    compilation: Compilation, listener: str, name: str, model: RouteModel
) -> RouteCache | None:
    if model.cache is None:
        return None
    names = [name] if model.split is None else [f"{name}/{pool}" for pool in model.split.pools]
    return use_cache(compilation, listener, model.cache, forward=False, routes=names)


def _whole_chain(outer: Chain, inner: Chain, pool: Pool | None) -> Chain:
    """Give all filters of a route, with what binds clients to its pool's servers innermost.

    It must see what the servers sent, and filters may see what it sets.
    """
    chain = outer.then(inner)
    if pool is None or pool.sticky is None:
        return chain
    return chain.then(Chain.of([pool.sticky]))


def _others(model: RouteModel) -> tuple[Condition, ...]:
    conditions: list[Condition] = []
    if model.methods:
        conditions.append(method_condition(model.methods))
    if model.client:
        conditions.append(client_condition(model.client))
    conditions += [header_condition(name, wanted) for name, wanted in model.headers.items()]
    conditions += [query_condition(name, wanted) for name, wanted in model.query.items()]
    return tuple(conditions)


def _error_pages(compilation: Compilation, model: RouteModel) -> ErrorPages | None:
    if not model.error_pages:
        return None
    directory = compilation.context.directory
    return ErrorPages(
        {status: Page.read(directory / file) for status, file in model.error_pages.items()}
    )


def _body_size(model: RouteModel) -> int | None:
    if "body_size" not in model.limits.model_fields_set:
        return None
    return sys.maxsize if model.limits.body_size is None else model.limits.body_size


def _answer(compilation: Compilation, model: RouteModel, rewrite: Rewrite | None) -> Answer | None:
    if model.redirect is not None:
        pattern = model.path_match.pattern if model.path_match is not None else None
        return redirect(model.redirect.to, model.redirect.status, pattern, rewrite)
    if model.respond is not None:
        fixed = model.respond
        return fixed_response(fixed.status, fixed.body, fixed.content_type, fixed.headers.items())
    if model.static is not None:
        return _static(compilation, model.static, rewrite)
    return None


def _static(compilation: Compilation, model: StaticModel, rewrite: Rewrite | None) -> Answer:
    root = compilation.context.directory / model.root
    if not root.is_dir():
        raise ConfigurationError(f"static: {root} is no folder")
    options = StaticOptions(
        tuple(model.index), model.dotfiles, model.charset, model.cache_control, model.fallback or ""
    )
    return StaticFiles(root, options, rewrite, compilation.environment.reactor).answer


def _split(compilation: Compilation, model: SplitModel, route: Route, outer: Chain) -> Choice:
    """Make a route of each way, which the log tells apart, and the choice among them."""
    weights = list(model.pools.values())
    sticky = model.sticky
    marks = [mark_of(pool) for pool in model.pools]
    pools = {name: compilation.pool(name) for name in model.pools}
    ways: Sequence[Route] = [
        evolve(
            route,
            name=f"{route.name}/{name}",
            upstream=pool,
            chain=_whole_chain(outer, route.inner, pool),
        )
        for name, pool in pools.items()
    ]
    if sticky is None:
        return split_at_random(ways, weights)
    if sticky.cookie is None:
        return split_by_client(ways, weights, route.name)
    seconds = None if sticky.ttl is None else int(sticky.ttl)
    ways = [
        evolve(
            way,
            chain=_whole_chain(outer, _with_cookie(way.inner, sticky.cookie, mark, seconds), pool),
        )
        for way, mark, pool in zip(ways, marks, pools.values(), strict=True)
    ]
    return split_by_cookie(ways, weights, sticky.cookie, marks)


def _with_cookie(inner: Chain, cookie: str, mark: str, seconds: int | None) -> Chain:
    return Chain.of([StickyCookie(cookie, mark, seconds)]).then(inner)
