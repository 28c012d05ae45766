"""Makes requests that no client sends: to explain what would become of one, or to fill a cache."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from ..engine.exchange import Exchange
from ..engine.forwarding import Direction
from ..engine.pipeline import Pipeline
from ..errors import BadRequest
from ..http1.limits import HeadLimits
from ..http1.reader import RequestReader
from ..message.request import Request


def exchange_for(
    pipeline: Pipeline, url: str, client: str, method: str, fields: Sequence[str]
) -> Exchange:
    """Make an exchange as it begins when a client has sent a request.

    :param url: an http or https URL. Of an https URL a forward proxy sees a CONNECT.
    :param client: the client's IP address.
    :param fields: field lines.
    :raises BadRequest: when that is no request.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadRequest(f"expected an http or https URL, got {url!r}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise BadRequest(f"expected an http or https URL, got {url!r}")
    method, scheme = method.upper(), parts.scheme
    origin = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc
    if pipeline.rules.direction is Direction.REVERSE:
        target = origin
    elif scheme == "https" or method == "CONNECT":
        method, scheme = "CONNECT", "http"
        target = host = host if port else f"{host}:{443 if parts.scheme == 'https' else 80}"
    else:
        target = f"http://{parts.netloc}{origin}"
    reader = RequestReader(HeadLimits())
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, "", ""]
    reader.feed("\r\n".join(lines).encode("utf-8"))
    request: Any = reader.next_event()
    if not isinstance(request, Request) or reader.buffered:
        raise BadRequest("that is no request")
    return Exchange(pipeline, request, client, client, scheme, monotonic())
