"""What patterns and replacements are told of an exchange."""

from __future__ import annotations

from collections.abc import Mapping

from ...engine.exchange import Exchange
from ...message.target import DEFAULT_PORTS


def path_of(exchange: Exchange) -> bytes:
    """Give path and query as they are asked for; ``/`` of a tunnel, inside which nobody sees."""
    request = exchange.request
    return b"/" if request.method == b"CONNECT" else request.origin_target


def server_origin(exchange: Exchange) -> bytes:
    """Give scheme and authority of what is asked for."""
    default = DEFAULT_PORTS.get(exchange.scheme)
    return f"{exchange.scheme}://{exchange.authority.text(default)}".encode("ascii")


def url_of(exchange: Exchange) -> bytes:
    """Give the URL that is asked for."""
    return server_origin(exchange) + path_of(exchange)


def facts_of(exchange: Exchange) -> Mapping[str, bytes]:
    """Give the values of the variables that a replacement may have."""
    return {
        "host": exchange.host.encode("ascii"),
        "origin": exchange.client_address.encode("ascii"),
        "path": path_of(exchange),
        "url": url_of(exchange),
    }
