"""What a listener's plan means to the reactor: where to listen, and what is spoken there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.endpoints import _parse, serverFromString

from ..engine.intercepted import InterceptedProtocol
from ..engine.server import ServerProtocol
from ..net.original_destination import TransparentEndpoint, local_address, redirected_from
from .compilation import ListenerPlan


def endpoint_of(plan: ListenerPlan, reactor: Any) -> Any:
    """Give the ``IStreamServerEndpoint`` of a plan."""
    if plan.intercept != "tproxy":
        return serverFromString(reactor, plan.endpoint)
    _, options = _parse(plan.endpoint)
    return TransparentEndpoint(reactor, options.get("interface", ""), _port(plan))


def protocol_of(plan: ListenerPlan) -> Callable[[Any, str], Any]:
    """Give what makes the protocol of each of a plan's connections."""
    if not plan.intercept:
        return ServerProtocol
    find = local_address if plan.intercept == "tproxy" else redirected_from
    return partial(InterceptedProtocol, find_destination=find, own_port=_port(plan))


def _port(plan: ListenerPlan) -> int:
    arguments, _ = _parse(plan.endpoint)
    return int(arguments[1])


def serves_like(plan: ListenerPlan, other: ListenerPlan) -> bool:
    """Say whether a socket that is open for one plan can serve another."""
    return (plan.tls is None, plan.intercept) == (other.tls is None, other.intercept)
