"""Formats of access log lines, compiled once: a record in, a line out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from string import Formatter
from time import localtime, strftime
from typing import Any

from ..engine.record import ExchangeRecord
from ..errors import ConfigurationError
from .privacy import OPEN, Privacy

Format = Callable[[ExchangeRecord], str]

# What would forge a line, end a quoted value, or is no printable ASCII.
_UNSAFE = re.compile(rb"[^ !#-\[\]-~]")
_SAFE = bytes(byte for byte in range(256) if not _UNSAFE.match(bytes([byte])))


def compile_format(text: str, privacy: Privacy = OPEN) -> Format:
    """Compile a format.

    :param text: ``common``, ``combined``, ``json``, or a format string with ``{fields}``.
    :param privacy: what is left out; a log that says everything costs nothing more for it.
    :raises ConfigurationError: for a field that there is not.
    """
    line = _compiled(text)
    if privacy.is_open:
        return line
    return lambda record: line(privacy.apply(record))


def _compiled(text: str) -> Format:
    if text == "common":
        return common
    if text == "combined":
        return combined
    if text == "json":
        return json_line
    return _custom(text)


def safe(value: bytes) -> str:
    """Give a peer's bytes so that they cannot forge a line: others are written in hex."""
    if value.translate(None, _SAFE):
        value = _UNSAFE.sub(lambda match: b"\\x%02X" % match[0][0], value)
    return value.decode("ascii")


class _Timestamp:
    """The time as logs write it, made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, seconds: float) -> str:
        second = int(seconds)
        if second != self._second:
            self._second = second
            self._text = strftime("%d/%b/%Y:%H:%M:%S %z", localtime(second))
        return self._text


_timestamp = _Timestamp()


def common(record: ExchangeRecord) -> str:
    """The Common Log Format."""
    return '%s - %s [%s] "%s %s %s" %s %s' % _common_values(record)


def combined(record: ExchangeRecord) -> str:
    """The Combined Log Format: the common one with Referer and User-Agent."""
    return '%s - %s [%s] "%s %s %s" %s %s "%s" "%s"' % (
        *_common_values(record),
        safe(record.referer) if record.referer else "-",
        safe(record.user_agent) if record.user_agent else "-",
    )


def _common_values(record: ExchangeRecord) -> tuple[Any, ...]:
    return (
        record.client_address or "unix:",
        safe(record.user.encode("utf-8")) if record.user else "-",
        _timestamp(record.started_at),
        safe(record.method),
        safe(record.target),
        record.protocol or f"HTTP/1.{record.version}",
        record.status or "-",
        record.sent_bytes or "-",
    )


def _values(record: ExchangeRecord) -> dict[str, object]:
    """Give everything there is to log, by the names that formats use."""
    upstream = record.upstream_seconds
    return {
        "time": record.started_at,
        "id": record.exchange_id,
        "listener": record.listener,
        "client_address": record.client_address,
        "user": safe(record.user.encode("utf-8")),
        "method": safe(record.method),
        "target": safe(record.target),
        "version": "" if record.protocol else f"HTTP/1.{record.version}",
        "host": record.host,
        "status": record.status,
        "upstream": record.upstream,
        "route": record.route,
        "duration_ms": round(record.duration_seconds * 1000, 3),
        "upstream_ms": None if upstream is None else round(upstream * 1000, 3),
        "received_bytes": record.received_bytes,
        "sent_bytes": record.sent_bytes,
        "referer": safe(record.referer),
        "user_agent": safe(record.user_agent),
        "error": record.error_type,
        "detail": record.detail,
        "tunnel": record.tunnel,
        "reused": record.reused,
        "protocol": record.protocol or "HTTP",
        "attempts": record.attempts,
        "cache": record.cache,
    }


_NOBODY = ExchangeRecord(
    "", "", "", "", b"", b"", 1, "", 0, "", "", 0.0, 0.0, None, 0, 0, b"", b"", "", "", False, False
)
FIELDS = (*_values(_NOBODY), "local_time")
"""What a format string may name."""


def json_line(record: ExchangeRecord) -> str:
    """One JSON object with everything."""
    return json.dumps(_values(record), separators=(",", ":"))


def _custom(text: str) -> Format:
    try:
        names = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise ConfigurationError(f"the log format is malformed: {error}") from error
    unknown = sorted(names.difference(FIELDS))
    if unknown:
        raise ConfigurationError(
            f"the log format names {unknown[0]!r}; there are: {', '.join(FIELDS)}"
        )
    if not names:
        raise ConfigurationError(
            f"the log format {text!r} is neither common, combined nor json and names no field"
        )

    def line(record: ExchangeRecord) -> str:
        values = _values(record)
        values["local_time"] = _timestamp(record.started_at)
        return text.format_map(values).replace("\n", " ")

    try:
        line(_NOBODY)
    except (KeyError, TypeError, ValueError) as error:
        # What is said behind a colon; some numbers are none at times.
        raise ConfigurationError(f"the log format {text!r} cannot be filled in: {error}") from error
    return line
