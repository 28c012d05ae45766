"""Endpoints as operators write them, as Twisted's endpoint descriptions."""

from __future__ import annotations

import ipaddress
import re

_HOST_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[0-9.]*)):(?P<port>[0-9]{1,5})\Z")
_TWISTED = re.compile(r"[A-Za-z][A-Za-z0-9_-]*:")


def endpoint_description(text: str) -> str:
    """Give the Twisted endpoint description of ``HOST:PORT``, ``:PORT`` or ``unix:/path``.

    Anything else that begins with a word and a colon is taken for a description already.

    :raises ValueError: when it is none of these.
    """
    if text.startswith("unix:/"):
        return "unix:address=" + text.removeprefix("unix:").replace("\\", "\\\\").replace(
            ":", "\\:"
        )
    match = _HOST_PORT.match(text)
    if match is not None:
        port = int(match["port"])
        if port > 65535:
            raise ValueError(f"{port} is not a port")
        host = match["v6"] or match["host"]
        if not host:
            return f"tcp:{port}"
        try:
            address = str(ipaddress.ip_address(host))
        except ValueError:
            raise ValueError(f"{host!r} is not an IP address to listen on") from None
        return f"tcp:{port}:interface=" + address.replace(":", "\\:")
    if text.startswith("localhost:"):
        return endpoint_description("127.0.0.1:" + text.removeprefix("localhost:"))
    if _TWISTED.match(text):
        return text
    raise ValueError(
        f'expected an endpoint such as "127.0.0.1:8080", ":8080" or "unix:/path", got {text!r}'
    )
