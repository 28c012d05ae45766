"""Compiles a configuration into what runs: pools, routes, filters, pipelines, listeners.

Everything that can be wrong is found here, before anything that runs is touched; what comes out
has opened no socket yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..config.models import Configuration
from ..config.problems import ConfigurationErrors
from ..observe.admin.token import check_token_file
from .cache import compile_cache
from .compilation import CachePlan, Compilation, Environment, Plan
from .forward import compile_forward
from .pool import compile_pool
from .reverse import compile_reverse


def compile_plan(
    configuration: Configuration,
    environment: Environment,
    observers: tuple[Callable[[Any], None], ...],
) -> Plan:
    """Compile a configuration.

    :param observers: told of each finished exchange, the access log above all.
    :raises ConfigurationErrors: for all that only shows when it is built, a certificate without
        its key for instance.
    """
    compilation = Compilation(configuration, environment, observers)
    if configuration.admin is not None:
        with compilation.at("admin", "token_file"):
            check_token_file(configuration.directory / configuration.admin.token_file)
    for name, cache in configuration.cache.items():
        with compilation.at("cache", name):
            compilation.caches[name] = CachePlan(compile_cache(compilation, name, cache))
    for name, pool in configuration.pool.items():
        with compilation.at("pool", name):
            compilation.pools[name] = compile_pool(compilation, name, pool)
    for name, forward in configuration.forward.items():
        with compilation.at("forward", name):
            compile_forward(compilation, f"forward.{name}", forward)
    for name, reverse in configuration.reverse.items():
        with compilation.at("reverse", name):
            compile_reverse(compilation, f"reverse.{name}", reverse)
    if compilation.problems:
        raise ConfigurationErrors(compilation.problems)
    return compilation.plan
