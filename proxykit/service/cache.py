"""Compiles caches, and how routes and listeners use them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from weakref import finalize

from ..caching.control import Purger
from ..caching.route_cache import RouteCache, RuleMatch
from ..caching.rules import CacheRules, Query
from ..caching.shared import SharedCache
from ..config.cache import Cache, CacheRule, CacheRuleOptions, CacheUse
from ..engine.exchange import Exchange
from ..errors import ConfigurationError
from ..message.path import PathMatch, normalised_path
from ..message.pattern import Pattern
from ..message.target import DEFAULT_PORTS
from ..reverse.router import host_matches
from .compilation import Compilation


def compile_cache(compilation: Compilation, name: str, model: Cache) -> SharedCache:
    """Compile one cache; one that was defined in the same way before is gone on with.

    Its store is closed when no plan and no exchange uses it any more.
    """
    kept = compilation.environment.caches
    definition = f"{name} {model.model_dump_json()}"
    shared = kept.get(definition)
    if shared is None:
        store = model.factory.build(model.options, compilation.context)
        shared = SharedCache(
            store, compilation.environment.sweeper, model.max_object_size, model.lock_timeout
        )
        finalize(shared, store.close).atexit = False
        kept[definition] = shared
    return shared


def use_cache(
    compilation: Compilation,
    listener: str,
    model: CacheUse,
    *,
    forward: bool,
    routes: Iterable[str] = ("",),
) -> RouteCache:
    """Make the cache of a route or of a listener.

    :param listener: its name, which keeps a reverse listener's keys apart from others'.
    :param forward: of a forward listener.
    :param routes: the names of the routes that use it, ``""`` for all of the listener's.
    """
    namespace = "forward" if forward else listener
    cache = compilation.cache(model.use)
    cache.namespaces.add(namespace.encode("ascii"))
    cache.listeners.add(listener)
    for route in routes:
        compilation.plan.cache_uses[listener, route] = model.use
    shared = cache.shared
    for each in (*model.rules, model):
        if each.slice_size is not None and not 4096 <= each.slice_size <= shared.max_object_size:
            raise ConfigurationError(
                f"cache {model.use}: slice_size must be at least 4KiB and no more than the "
                f"cache's max_object_size, which is {shared.max_object_size} bytes"
            )
    rules = [RuleMatch(_rules(each, forward=forward), _takes(each)) for each in model.rules]
    rules.append(RuleMatch(_rules(model, forward=forward)))
    purger = Purger(shared, tuple(model.purge_from)) if model.purge_from else None
    return RouteCache(shared, namespace.encode("ascii"), rules, forward=forward, purger=purger)


def _rules(model: CacheRuleOptions, *, forward: bool) -> CacheRules:
    def names(values: list[str]) -> tuple[bytes, ...]:
        return tuple(value.encode("ascii") for value in values)

    return CacheRules(
        bypass=model.bypass,
        bypass_cookies=frozenset(names(model.bypass_cookies)),
        lifetime=model.lifetime,
        force_lifetime=model.force_lifetime,
        lifetimes={int(status): seconds for status, seconds in model.lifetimes.items()},
        heuristic_part=(None if model.heuristic_percent is None else model.heuristic_percent / 100),
        heuristic_limit=model.heuristic_limit,
        stale_while_revalidate=model.stale_while_revalidate,
        stale_if_error=model.stale_if_error,
        allow_set_cookie=model.allow_set_cookie,
        allow_errors=model.allow_errors,
        obey_clients=model.obey_clients,
        offline=model.offline,
        query=Query(model.query),
        query_ignore=names(model.query_ignore),
        query_only=names(model.query_only),
        key_headers=tuple(name.lower() for name in names(model.key_headers)),
        key_cookies=names(model.key_cookies),
        slice_size=model.slice_size or 0,
        # RFC 9213 section 3.1: CDN-Cache-Control is for caches that act for the origin.
        targets=() if forward else (b"cdn-cache-control",),
        tags=not forward,
    )


def _takes(model: CacheRule) -> Callable[[Exchange], bool] | None:
    hosts = tuple(model.host)
    path = PathMatch.of(model.path) if model.path is not None else None
    patterns = tuple(Pattern.of(text) for text in model.url)
    if not hosts and path is None and not patterns:
        return None

    def takes(exchange: Exchange) -> bool:
        if hosts and not any(host_matches(host, exchange.host) for host in hosts):
            return False
        if path is not None and not path.matches(normalised_path(exchange.request.path)):
            return False
        return not patterns or any(each.search(_url(exchange)) for each in patterns)

    return takes


def _url(exchange: Exchange) -> str:
    """Write the URL that an exchange asks for, its path and query as the client wrote them."""
    scheme = exchange.request.target.scheme or exchange.scheme
    authority = exchange.authority.text(DEFAULT_PORTS.get(scheme))
    return f"{scheme}://{authority}{exchange.request.origin_target.decode('latin-1')}"
