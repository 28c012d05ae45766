"""The answers that are given in the place of what a server would have sent."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import partial
from time import monotonic

from ...engine.answers import refusal
from ...engine.exchange import Exchange
from ...errors import Denied
from ...message.fields import Field
from ...message.response import Response
from .exchange_facts import url_of
from .privoxy.job import Job
from .settings import Settings
from .substitution import Budget, GaveUp

Answer = Callable[[Exchange], Response | None]

_NOT_STORED: Field = (b"Cache-Control", b"no-store")


def answer_of(settings: Settings) -> Answer | None:
    """Give what answers in a server's place: to block goes before to redirect."""
    single = settings.single
    if "block" in single:
        return _blocking(settings)
    if "redirect" in single:
        return _redirecting(single["redirect"])
    return None


# --- to block ---------------------------------------------------------------------------------


def _blocking(settings: Settings) -> Answer:
    single = settings.single
    reason = single["block"].rstrip(".") or "no reason is given"
    error = Denied(f"a content rule blocks this: {reason}")
    if "handle-as-image" in single:
        image = single.get("set-image-blocker", "pattern")
        if image not in _IMAGES:
            return _redirecting(image)
        content = [(b"Content-Type", b"image/png")], _IMAGES[image]
        return partial(_blocked_with, error, *content)
    if "handle-as-empty-document" in single:
        return partial(_blocked_with, error, [(b"Content-Type", b"text/html")], b" ")
    return lambda exchange: refusal(exchange, error)


def _blocked_with(error: Denied, fields: list[Field], body: bytes, exchange: Exchange) -> Response:
    exchange.error_type = error.error_type
    exchange.detail = str(error)
    return Response(error.status, [*fields, _NOT_STORED], body)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


def _png(size: int, rows: bytes, colours: bytes, opacities: bytes = b"") -> bytes:
    """Draw an image of up to 8 pixels on a side, one bit each (PNG, W3C, third edition)."""
    head = struct.pack(">IIBBBBB", size, size, 1, 3, 0, 0, 0)
    pixels = b"".join(b"\0" + bytes([row]) for row in rows)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + _chunk(b"PLTE", colours)
        + (_chunk(b"tRNS", opacities) if opacities else b"")
        + _chunk(b"IDAT", zlib.compress(pixels))
        + _chunk(b"IEND", b"")
    )


_IMAGES = {
    "blank": _png(1, b"\0", b"\xff\xff\xff", b"\0"),
    "pattern": _png(8, b"\xf0" * 4 + b"\x0f" * 4, b"\xff\xff\xff\xcc\xcc\xcc"),
}


# --- to redirect ------------------------------------------------------------------------------


def _redirecting(to: str) -> Answer:
    job = Job.parse(to) if to[:1] == "s" and not to[1:2].isalnum() else None

    def answer(exchange: Exchange) -> Response | None:
        if exchange.request.method == b"CONNECT":
            return None  # no browser follows a redirection of a tunnel
        url = url_of(exchange)
        location = to.encode("latin-1")
        if job is not None:
            budget = Budget(monotonic() + 0.005, 64 * 1024, 10_000_000)
            try:
                location = job.substitution.apply(url, budget)
            except GaveUp:
                return None
        if location == url:
            return None  # it leads where it came from
        try:
            return Response(302, [(b"Location", location), _NOT_STORED])
        except ValueError:
            return None

    return answer
