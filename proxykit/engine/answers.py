"""The responses that the proxy gives itself: small, and in the words that the client asked for."""

from __future__ import annotations

import json
import math
from html import escape
from http import HTTPStatus

from ..errors import ProxykitError
from ..message.fields import Headers
from ..message.response import Response
from .exchange import Exchange

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{status} {phrase}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:38em;margin:4em auto;padding:0 1em;color:#222}}
h1{{font-size:1.4em}}p.id{{color:#777;font-size:.85em}}</style></head>
<body><h1>{status} {phrase}</h1><p>{detail}</p><p class="id">Exchange {id}</p></body>
</html>
"""


def preferred_type(accept: bytes | None) -> str:
    """Choose among HTML, JSON and plain text by Accept (RFC 9110 section 12.5.1).

    :returns: a media type; plain text for whom anything will do, as for command-line clients.
    """
    ranked: list[tuple[float, int, str]] = []
    offers = {
        "text/html": "text/html",
        "application/xhtml+xml": "text/html",
        "application/json": "application/json",
        "text/plain": "text/plain",
    }
    for position, entry in enumerate((accept or b"").decode("latin-1").split(",")[:32]):
        media_range, *parameters = entry.split(";")
        offer = offers.get(media_range.strip().lower())
        quality = _quality(parameters)
        if offer is not None and quality > 0:
            ranked.append((-quality, position, offer))
    return min(ranked)[2] if ranked else "text/plain"


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def error_answer(error: ProxykitError, exchange: Exchange | None, proxy: str) -> Response:
    """Make the response to an exchange that went wrong.

    :param exchange: ``None`` when there is none, for no request could be read.
    :param proxy: the proxy's name in Proxy-Status (RFC 9209).
    """
    detail = str(error)
    exchange_id = exchange.id if exchange is not None else ""
    accept = exchange.request.section.values.get(b"accept") if exchange is not None else None
    headers = Headers(
        [
            (b"Proxy-Status", proxy_status(error, proxy)),
            (b"Cache-Control", b"no-store"),
        ]
    )
    if error.retry_after_seconds is not None:
        headers.add(b"Retry-After", _whole_seconds(error.retry_after_seconds))
    status, phrase = error.status, _phrase(error.status)
    media_type = preferred_type(accept)
    if media_type == "application/json":
        told = {"status": status, "error": error.error_type, "detail": detail, "id": exchange_id}
        text = json.dumps({**told, **error.facts})
    elif media_type == "text/html":
        text = _PAGE.format(
            status=status, phrase=phrase, detail=escape(detail), id=escape(exchange_id)
        )
    else:
        text = f"{status} {phrase}: {detail}\nexchange {exchange_id}\n"
    charset = "" if media_type == "application/json" else "; charset=utf-8"
    headers.add(b"Content-Type", (media_type + charset).encode("ascii"))
    return Response(status, headers, text.encode("utf-8"))


def refusal(
    exchange: Exchange, error: ProxykitError, retry_after_seconds: float | None = None
) -> Response:
    """Make the answer by which a filter refuses an exchange, and note on the exchange why.

    A filter that returns this, and does not raise the error, has its answer pass the response
    filters: a browser's script, for instance, may then read it if ``cors`` lets it.

    :param retry_after_seconds: after which the client may ask again (RFC 9110 section 10.2.3),
        rounded up to whole ones; ``None`` to say nothing of that.
    """
    exchange.error_type = error.error_type
    exchange.detail = str(error)
    name = exchange.pipeline.rules.pseudonym.decode("ascii")
    response = error_answer(error, exchange, name)
    if retry_after_seconds is not None:
        response.headers.set(b"Retry-After", _whole_seconds(retry_after_seconds))
    return response


def _whole_seconds(seconds: float) -> bytes:
    return b"%d" % max(1, math.ceil(seconds))


def proxy_status(error: ProxykitError, proxy: str) -> bytes:
    """Write a Proxy-Status field (RFC 9209): a member with its error and details."""
    details = "".join(c for c in str(error) if " " <= c <= "~")
    details = details.replace("\\", "\\\\").replace('"', '\\"')
    return f'{proxy}; error={error.error_type}; details="{details}"'.encode("ascii")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
