"""Exchanges as filters meet them, without a proxy around them."""

from __future__ import annotations

from typing import Any

from proxykit.engine.exchange import Exchange
from proxykit.engine.forwarding import Direction, ForwardingRules
from proxykit.engine.pipeline import Pipeline
from proxykit.http1.limits import HeadLimits
from proxykit.http1.reader import RequestReader, ResponseReader


def exchange(
    target: str = "/", *fields: str, method: str = "GET", client: str = "192.0.2.1"
) -> Exchange:
    """Give an exchange that begins with a request."""
    lines = "".join(f"{line}\r\n" for line in fields)
    if not any(line.lower().startswith("host:") for line in fields):
        lines += "Host: www.example.com\r\n"
    reader = RequestReader(HeadLimits())
    reader.feed(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
    rules = ForwardingRules(Direction.REVERSE, b"p")
    nowhere: Any = None
    pipeline = Pipeline("reverse.x", lambda exchange: nowhere, rules, nowhere)
    request: Any = reader.next_event()
    return Exchange(pipeline, request, client, client, "http", 0.0)


def received(*fields: str, status: int = 200, method: str = "GET") -> Any:
    """Give a response as it was read from a server; its content is still to come."""
    lines = "".join(f"{line}\r\n" for line in fields)
    reader = ResponseReader(HeadLimits())
    reader.expect(method.encode())
    reader.feed(f"HTTP/1.1 {status} x\r\n{lines}\r\n".encode("latin-1"))
    return reader.next_event()
