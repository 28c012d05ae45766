"""What a listener's plan means to the reactor: where to listen, and what is spoken there."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
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


def address_text(address: Any) -> str:
    """Write where something listens as operators write it: ``127.0.0.1:8080``, ``[::1]:8080``.

    :param address: an ``IAddress``.
    """
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    if isinstance(address, UNIXAddress) and address.name is not None:
        return f"unix:{os.fsdecode(address.name)}"
    return str(address)


def _port(plan: ListenerPlan) -> int:
    arguments, _ = _parse(plan.endpoint)
    return int(arguments[1])
