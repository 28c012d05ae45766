"""Loads configurations and reports everything that is wrong with one at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ..options import NamesPool
from .balancer_entry import BalancerEntry
from .cache import Cache
from .filter_entry import FilterEntry
from .models import Configuration
from .places import KeyPath, Places
from .plugin_entry import PluginEntry
from .problems import ConfigurationErrors, ConfigurationProblem, Origin, key_text
from .registry import balancer_factories, filter_factories, store_factories

__all__ = [
    "ConfigurationErrors",
    "ConfigurationProblem",
    "from_mapping",
    "load",
    "parse",
]


def load(path: Path) -> Configuration:
    """Load a configuration file.

    :raises ConfigurationErrors: when it cannot be read, or for all that is wrong in it.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = ConfigurationProblem("", None, f"cannot be read: {error}", str(path))
        raise ConfigurationErrors([problem]) from error
    return parse(text, path.resolve().parent, str(path))


def parse(text: str, directory: Path, source: str) -> Configuration:
    """Check a configuration's text.

    :param directory: what relative paths are relative to.
    :param source: its name in messages.
    :raises ConfigurationErrors: for all that is wrong in it.
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = re.search(r"\(at line (\d+), column \d+\)", str(error))
        message = re.sub(r" \(at .*\)$", "", str(error))
        line = int(where[1]) if where else None
        if "at end of document" in str(error):
            line = max(1, len(text.splitlines()))
        problem = ConfigurationProblem("", line, f"is not TOML: {message}", source)
        raise ConfigurationErrors([problem]) from error
    return from_mapping(data, directory, source, Places(text))


def from_mapping(
    data: Mapping[str, Any],
    directory: Path,
    source: str = "options",
    places: Places | None = None,
) -> Configuration:
    """Check a configuration that was read already.

    :raises ConfigurationErrors: for all that is wrong in it.
    """
    origin = Origin(source, places)
    problem = origin.problem
    try:
        configuration = Configuration.model_validate(data)
    except ValidationError as error:
        # Filters and balancers are checked all the same: all that is wrong is said at once.
        found = [problem(*each) for each in _schema_problems(Configuration, error, ())]
        found += [problem(*each) for each in _filter_problems_in(data)]
        found += [problem(*each) for each in _balancer_problems_in(data)]
        found += [problem(*each) for each in _cache_problems_in(data)]
        found += [problem(*each) for each in _name_problems_in(data)]
        raise ConfigurationErrors(found) from error
    configuration.place(directory, origin)
    found = [problem(*each) for each in _cross_problems(configuration)]
    if found:
        raise ConfigurationErrors(found)
    return configuration


# --- what a model finds -----------------------------------------------------------------------


def _schema_problems(
    model: type[BaseModel], error: ValidationError, prefix: KeyPath
) -> Iterator[tuple[KeyPath, str]]:
    for each in error.errors(include_url=False):
        location = each["loc"]
        yield prefix + location, _message(model, each, location)


def _message(model: type[BaseModel], error: Any, location: KeyPath) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        near = get_close_matches(str(location[-1]), known, 1)
        return f"unknown key; did you mean {near[0]!r}?" if near else "unknown key"
    if kind == "missing":
        return "is missing"
    if kind == "too_short":
        return f"needs at least {error['ctx']['min_length']}"
    if kind == "too_long":
        return f"takes at most {error['ctx']['max_length']}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:] if kind != "value_error" else message


def _known_keys(model: Any, location: KeyPath) -> list[str]:
    """Give the keys of the model that a location leads to."""
    for part in location:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = _fields(model).get(str(part))
            model = field.annotation if field is not None else None
        else:
            model = _inside(model)
        model = _without_none(model)
    return list(_fields(model)) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """Give a model's fields by the names that a configuration has for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _inside(annotation: Any) -> Any:
    """Give the type of the items of a list or of the values of a dict."""
    arguments = get_args(annotation)
    if not arguments:
        return None
    item = arguments[-1] if get_origin(annotation) is dict else arguments[0]
    return get_args(item)[0] if hasattr(item, "__metadata__") else item


def _unannotated(annotation: Any) -> Any:
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def _without_none(annotation: Any) -> Any:
    models = [
        each
        for each in map(_unannotated, get_args(annotation))
        if isinstance(each, type) and issubclass(each, BaseModel)
    ]
    return models[0] if models and get_origin(annotation) not in (list, dict) else annotation


# --- what goes across models ------------------------------------------------------------------


def _cross_problems(configuration: Configuration) -> Iterator[tuple[KeyPath, str]]:
    balancers = balancer_factories()
    for name, pool in configuration.pool.items():
        yield from _resolve_balancer(pool.balance, balancers, ("pool", name, "balance"))
    yield from _cache_problems(configuration)
    for name, reverse in configuration.reverse.items():
        for index, route in enumerate(reverse.routes):
            for key, pool_name in route.pool_names().items():
                if pool_name not in configuration.pool:
                    place = ("reverse", name, "routes", index, *key)
                    yield place, _unknown(pool_name, configuration.pool, "pool")
    factories = filter_factories()
    for path, entry in _filter_entries(configuration):
        yield from _resolve(entry, factories, path)
        for option, pool_name in _pools_named_by(entry.options):
            if pool_name not in configuration.pool:
                yield (*path, option), _unknown(pool_name, configuration.pool, "pool")
    yield from _doubled_listeners(configuration)
    if not configuration.forward and not configuration.reverse:
        yield (), "nothing to serve: there is neither a forward nor a reverse listener"


def _cache_problems(configuration: Configuration) -> Iterator[tuple[KeyPath, str]]:
    for name, cache in configuration.cache.items():
        yield from _resolve_store(cache, name)
    for kind in ("forward", "reverse"):
        for name, listener in getattr(configuration, kind).items():
            uses: list[tuple[KeyPath, Any]] = [
                ((kind, name, "cache"), getattr(listener, "cache", None))
            ]
            for index, route in enumerate(getattr(listener, "routes", ())):
                uses.append(((kind, name, "routes", index, "cache"), route.cache))
            for place, use in uses:
                if use is not None and use.use not in configuration.cache:
                    yield place, _unknown(use.use, configuration.cache, "cache")


def _cache_problems_in(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Check the stores of a configuration that is wrong elsewhere."""
    caches = data.get("cache")
    for name, value in caches.items() if isinstance(caches, Mapping) else ():
        try:
            cache = Cache.model_validate(value)
        except ValidationError:
            continue  # said already
        yield from _resolve_store(cache, name)


def _name_problems_in(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Check the names of pools and caches in a configuration that is wrong elsewhere."""
    for kind in ("forward", "reverse"):
        for name, listener in _tables(data.get(kind)):
            yield from _name_problems_of(listener, (kind, name), data)
            routes = listener.get("routes")
            for index, route in enumerate(routes if isinstance(routes, list) else ()):
                if isinstance(route, Mapping):
                    yield from _name_problems_of(route, (kind, name, "routes", index), data)


def _name_problems_of(
    where: Mapping[str, Any], path: KeyPath, data: Mapping[str, Any]
) -> Iterator[tuple[KeyPath, str]]:
    cache = where.get("cache")
    split = where.get("split")
    shares = split.get("pools") if isinstance(split, Mapping) else None
    named: list[tuple[KeyPath, str, Any]] = [
        (("pool",), "pool", where.get("pool")),
        (("cache",), "cache", cache.get("use") if isinstance(cache, Mapping) else cache),
    ]
    for pool in shares if isinstance(shares, Mapping) else ():
        named.append((("split", "pools", pool), "pool", pool))
    for key, kind, name in named:
        table = data.get(kind)
        known = list(table) if isinstance(table, Mapping) else []
        if isinstance(name, str) and name not in known:
            yield (*path, *key), _unknown(name, known, kind)


def _tables(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Give the tables in a table that may be none."""
    if not isinstance(value, Mapping):
        return []
    return [(name, each) for name, each in value.items() if isinstance(each, Mapping)]


def _resolve_store(cache: Cache, name: str) -> Iterator[tuple[KeyPath, str]]:
    factories = store_factories()
    factory = factories.get(cache.store)
    if factory is None:
        yield ("cache", name, "store"), _unknown(cache.store, factories, "store")
        return
    try:
        options = factory.options.model_validate(cache.model_extra or {})
    except ValidationError as error:
        known = [*Cache.model_fields, *factory.options.model_fields]
        for problem in error.errors(include_url=False):
            place: KeyPath = ("cache", name, *problem["loc"])
            if problem["type"] == "extra_forbidden":
                near = get_close_matches(str(problem["loc"][-1]), known, 1)
                yield place, f"unknown key; did you mean {near[0]!r}?" if near else "unknown key"
            else:
                yield place, _message(factory.options, problem, problem["loc"])
    else:
        cache.resolve(factory, options)


def _filter_entries(configuration: Configuration) -> Iterator[tuple[KeyPath, FilterEntry]]:
    for kind in ("forward", "reverse"):
        for name, listener in getattr(configuration, kind).items():
            for index, entry in enumerate(listener.filters):
                yield (kind, name, "filters", index), entry
            for number, route in enumerate(getattr(listener, "routes", ())):
                for index, entry in enumerate(route.filters):
                    yield (kind, name, "routes", number, "filters", index), entry


def _pools_named_by(options: Any) -> Iterator[tuple[str, str]]:
    """Give the keys of a filter's options that name a pool, with what they name."""
    for key, field in type(options).model_fields.items() if options is not None else ():
        value = getattr(options, key)
        if value is not None and any(isinstance(mark, NamesPool) for mark in field.metadata):
            yield key, value


def _filter_problems_in(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Check the filters of a configuration that is wrong elsewhere."""
    factories = filter_factories()

    def lists(where: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
        if isinstance(where, Mapping):
            for key, value in where.items():
                if key == "filters" and isinstance(value, list):
                    yield from (((*path, key, i), each) for i, each in enumerate(value))
                else:
                    yield from lists(value, (*path, key))
        elif isinstance(where, list):
            for index, each in enumerate(where):
                yield from lists(each, (*path, index))

    for path, each in lists({k: data[k] for k in ("forward", "reverse") if k in data}, ()):
        if isinstance(each, Mapping) and isinstance(each.get("use"), str):
            yield from _resolve(FilterEntry.model_validate(each), factories, path)


def _resolve(
    entry: FilterEntry, factories: Mapping[str, Any], path: KeyPath
) -> Iterator[tuple[KeyPath, str]]:
    factory = factories.get(entry.use)
    if factory is None:
        yield (*path, "use"), _unknown(entry.use, factories, "filter")
        return
    yield from _check_options(entry, factory, path)


def _check_options(
    entry: PluginEntry, factory: Any, path: KeyPath
) -> Iterator[tuple[KeyPath, str]]:
    try:
        entry.resolve(factory, factory.options.model_validate(entry.model_extra or {}))
    except ValidationError as error:
        yield from _schema_problems(factory.options, error, path)


def _balancer_problems_in(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Check the balancers of a configuration that is wrong elsewhere."""
    factories = balancer_factories()
    pools = data.get("pool")
    for name, pool in pools.items() if isinstance(pools, Mapping) else ():
        balance = pool.get("balance") if isinstance(pool, Mapping) else None
        if isinstance(balance, str):
            balance = {"use": balance}
        if isinstance(balance, Mapping) and isinstance(balance.get("use"), str):
            entry = BalancerEntry.model_validate(balance)
            yield from _resolve_balancer(entry, factories, ("pool", name, "balance"))


def _resolve_balancer(
    entry: BalancerEntry, factories: Mapping[str, Any], path: KeyPath
) -> Iterator[tuple[KeyPath, str]]:
    factory = factories.get(entry.use)
    if factory is None:
        yield path, _unknown(entry.use, factories, "balancer")
    else:
        yield from _check_options(entry, factory, path)


def _doubled_listeners(configuration: Configuration) -> Iterator[tuple[KeyPath, str]]:
    seen: dict[str, str] = {}
    listeners: list[tuple[KeyPath, list[str]]] = []
    if configuration.admin is not None:
        listeners.append((("admin", "listen"), configuration.admin.listen))
    for name, forward in configuration.forward.items():
        listeners.append((("forward", name, "listen"), forward.listen))
        listeners.append((("forward", name, "socks"), forward.socks))
        if forward.tls is not None:
            listeners.append((("forward", name, "tls", "listen"), forward.tls.listen))
    for name, reverse in configuration.reverse.items():
        listeners.append((("reverse", name, "listen"), reverse.listen))
        if reverse.tls is not None:
            listeners.append((("reverse", name, "tls", "listen"), reverse.tls.listen))
    for path, endpoints in listeners:
        for endpoint in endpoints:
            if endpoint in seen:
                yield path, f"{endpoint} is also what {seen[endpoint]} listens on"
            else:
                seen[endpoint] = key_text(path)


def _unknown(name: str, known: Iterable[str], kind: str) -> str:
    near = get_close_matches(name, list(known), 1)
    return f"there is no {kind} {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
