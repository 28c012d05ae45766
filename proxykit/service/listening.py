"""What a listener's plan means to the reactor: where to listen, and what is spoken there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.endpoints import _parse, serverFromString

from ..engine.intercepted import InterceptedProtocol
from ..engine.server import ServerProtocol
from ..engine.socks import SocksProtocol
from ..net.original_destination import TransparentEndpoint, local_address, redirected_from
from .compilation import ListenerPlan


def endpoint_of(plan: ListenerPlan, reactor: Any) -> Any:
    """Give the ``IStreamServerEndpoint`` of a plan."""
    if plan.intercept != "tproxy":
        return serverFromString(reactor, plan.endpoint)
    _, options = _parse(plan.endpoint)
    return TransparentEndpoint(reactor, options.get("interface", ""), _port(plan))


def protocol_of(plan: ListenerPlan) -> Callable[..., Any]:
    """Give what makes the protocol of each of a plan's connections."""
    if plan.socks:
        return SocksProtocol
    if not plan.intercept:
        return ServerProtocol
    find = local_address if plan.intercept == "tproxy" else redirected_from
    return partial(InterceptedProtocol, find_destination=find, own_port=_port(plan))


def _port(plan: ListenerPlan) -> int:
    arguments, _ = _parse(plan.endpoint)
    return int(arguments[1])
