"""Writes HTTP/1.1 messages (RFC 9112): checked values in, bytes out."""

from __future__ import annotations

from collections.abc import Iterable

from ..message.fields import HOP_BY_HOP, Field, FieldSection
from ..message.response import REASONS

LAST_CHUNK = b"0\r\n\r\n"

# RFC 9110 section 6.5.1: fields that a trailer section must not carry, for they are needed to
# frame, route, authenticate or read the message before its end. A server that puts trailers among
# the fields would take a client's for a proxy's.
_NOT_IN_TRAILERS = HOP_BY_HOP | {
    b"age",
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"expect",
    b"expires",
    b"forwarded",
    b"host",
    b"location",
    b"max-forwards",
    b"range",
    b"set-cookie",
    b"trailer",
    b"vary",
    b"via",
    b"www-authenticate",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-real-ip",
}

STATUS_LINES = {
    status: b"HTTP/1.1 %d %s\r\n" % (status, reason) for status, reason in REASONS.items()
}


def status_line(status: int, reason: bytes) -> bytes:
    """Write a status line (RFC 9112 section 4)."""
    if REASONS.get(status) == reason:
        return STATUS_LINES[status]
    return b"HTTP/1.1 %d %s\r\n" % (status, reason)


def field_lines(fields: Iterable[Field]) -> bytes:
    """Write field lines, without the empty line behind them."""
    return b"".join([b"%s: %s\r\n" % field for field in fields])


def chunk(data: bytes) -> bytes:
    """Write one chunk (RFC 9112 section 7.1).

    :param data: not empty, for an empty chunk is the last.
    """
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: FieldSection) -> bytes:
    """Write the end of chunked content, with those of the trailers that may be passed on."""
    if not trailers.fields:
        return LAST_CHUNK
    kept = [field for field in trailers.fields if field[0].lower() not in _NOT_IN_TRAILERS]
    return b"0\r\n" + field_lines(kept) + b"\r\n"
