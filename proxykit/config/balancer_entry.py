"""The model of a pool's balancer: its kind's name, and that kind's own options."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from .plugin_entry import PluginEntry


class BalancerEntry(PluginEntry):
    """A balancer, by the name of its kind; the other keys are that kind's options."""

    use: str = Field(description="The balancer's name; `proxykit plugins` lists them.")


def _entry(value: object) -> object:
    return {"use": value} if isinstance(value, str) else value


NamedBalancer = Annotated[BalancerEntry, BeforeValidator(_entry)]
"""A balancer, which may be written as its name alone."""
