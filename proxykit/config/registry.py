"""The plug-ins that can be named, found by ``twisted.plugin``."""

from __future__ import annotations

from typing import Any

from twisted.plugin import getPlugins

from ..interfaces import IBalancerFactory, ICacheStoreFactory, IFilterFactory


def filter_factories() -> dict[str, Any]:
    """Give every ``IFilterFactory`` by its name."""
    return {factory.name: factory for factory in _found(IFilterFactory)}


def balancer_factories() -> dict[str, Any]:
    """Give every ``IBalancerFactory`` by its name."""
    return {factory.name: factory for factory in _found(IBalancerFactory)}


def store_factories() -> dict[str, Any]:
    """Give every ``ICacheStoreFactory`` by its name."""
    return {factory.name: factory for factory in _found(ICacheStoreFactory)}


def _found(interface: Any) -> list[Any]:
    # Ours come last in Twisted's order of files by chance only; a name that is taken stays taken
    # by the built-in, so that installing a package cannot replace a filter unseen.
    found = list(getPlugins(interface))
    return sorted(found, key=lambda factory: type(factory).__module__.startswith("proxykit."))
