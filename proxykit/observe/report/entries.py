"""Reads the lines of JSON access logs, one at a time."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from io import BufferedReader
from math import isfinite
from typing import IO, Any, cast

from attrs import define

# Heads are limited to some tens of KiB, so an honest line is far shorter.
_LONGEST_LINE = 1024 * 1024
# What is longer names nothing that a table could show.
_LONGEST_TEXT = 256
_GZIP_MAGIC = b"\x1f\x8b"
# A proxy's refusals whatever their status; see errors.py.
_REFUSALS = frozenset({"http_request_denied", "destination_ip_prohibited"})


@define(slots=True, eq=False)
class Entry:
    """What a report needs of one exchange; see ``engine.record.ExchangeRecord``.

    :ivar time: seconds since 1970.
    """

    time: float
    client: str
    user: str
    host: str
    status: int
    received_bytes: int
    sent_bytes: int
    error: str
    detail: str

    @property
    def is_refused(self) -> bool:
        """Whether the proxy would not do it."""
        return bool(self.error) and (0 < self.status < 500 or self.error in _REFUSALS)

    @property
    def is_failed(self) -> bool:
        """Whether the proxy could not do it."""
        return bool(self.error) and not self.is_refused


def entries(stream: IO[bytes]) -> Iterator[Entry | None]:
    """Read a log.

    :param stream: as it lies in a file, gzipped or not.
    :returns: for each line its entry, ``None`` for one that is none; empty lines are passed over.
    :raises OSError: when it cannot be read further, :exc:`EOFError` when gzipped data ends early.
    """
    for line in _lines(_unpacked(stream)):
        if line is None:
            yield None
        elif stripped := line.strip():
            yield _entry(stripped)


def _unpacked(stream: IO[bytes]) -> IO[bytes]:
    buffered = cast(BufferedReader, stream)
    if buffered.peek(2)[:2] == _GZIP_MAGIC:
        return cast("IO[bytes]", gzip.GzipFile(fileobj=stream))
    return stream


def _lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """Give lines, ``None`` for one that is too long to be held."""
    while line := stream.readline(_LONGEST_LINE):
        if len(line) < _LONGEST_LINE or line.endswith(b"\n"):
            yield line
            continue
        while (rest := stream.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
            pass
        yield None


def _entry(line: bytes) -> Entry | None:
    try:
        said = json.loads(line)
        if not isinstance(said, dict):
            return None
        return Entry(
            _time(said["time"]),
            _text(said.get("client_address", "")),
            _text(said.get("user", "")),
            _text(said.get("host", "")),
            _count(said["status"]),
            _count(said.get("received_bytes", 0)),
            _count(said.get("sent_bytes", 0)),
            _text(said.get("error", "")),
            _text(said.get("detail", "")),
        )
    except (ValueError, KeyError, RecursionError):
        return None


def _time(value: Any) -> float:
    # Year 9999; what is later cannot be written as a date.
    if type(value) not in (int, float) or not isfinite(value) or not 0 <= value < 253_402_300_800:
        raise ValueError("not a time")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value[:_LONGEST_TEXT]


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("not a count")
    return value
