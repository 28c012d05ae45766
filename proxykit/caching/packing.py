"""Stored heads as bytes, for stores that outlive the process.

What is unpacked may come from a disk that lies or from a store that others write to: it is judged
as a peer's bytes are. Field names and values go through the grammar again, so that nothing in a
store can split a response.
"""

from __future__ import annotations

import math
from typing import Any

import msgpack
from xxhash import xxh3_64_digest

from ..message.fields import Field, FieldSection, checked_field
from .policy import Terms
from .ranges import Span
from .stored import Selecting, StoredHead

CHECKSUM_SIZE = 8
"""How long a checksum is, in bytes."""

_MOST_FIELDS = 4096


class Unreadable(Exception):
    """Bytes that are no record, or not one of ours."""


def checksum(data: Any) -> bytes:
    """Give the checksum of a bytes-like object: XXH3, for what breaks by accident."""
    return xxh3_64_digest(data)


def sealed(data: bytes) -> bytes:
    """Give bytes with their checksum in front."""
    return checksum(data) + data


def unsealed(data: bytes) -> bytes:
    """Take the checksum off.

    :raises Unreadable: when it is not the right one.
    """
    content = data[CHECKSUM_SIZE:]
    if len(data) < CHECKSUM_SIZE or checksum(content) != data[:CHECKSUM_SIZE]:
        raise Unreadable("the checksum is wrong")
    return content


def pack(value: Any) -> bytes:
    """Pack numbers, bytes, ``None`` and lists of these."""
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(data: bytes) -> Any:
    """Give what was packed.

    :raises Unreadable: when nothing was.
    """
    try:
        # Nothing can be larger than what it is unpacked from: the lengths in it are not believed.
        return msgpack.unpackb(data, use_list=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise Unreadable(f"it cannot be unpacked: {error}") from error


def pack_head(head: StoredHead) -> tuple[Any, ...]:
    """Give a head as what ``pack`` takes."""
    terms, span = head.terms, head.span
    return (
        head.status,
        head.reason,
        head.version,
        head.section.fields,
        head.responded_at,
        head.initial_age,
        (
            terms.lifetime,
            terms.validated_only,
            terms.never_stale,
            terms.stale_while_revalidate,
            terms.stale_if_error,
            terms.immutable,
        ),
        head.selecting,
        sorted(head.tags),
        None if span is None else (span.start, span.stop),
        head.complete,
    )


def unpack_head(value: Any) -> StoredHead:
    """Make the head of what ``pack_head`` gave.

    :raises Unreadable: when that is no head.
    """
    try:
        return _head(*value)
    except (TypeError, ValueError) as error:
        raise Unreadable(f"it is no head: {error}") from error


def _head(
    status: Any,
    reason: Any,
    version: Any,
    fields: Any,
    responded_at: Any,
    initial_age: Any,
    terms: Any,
    selecting: Any,
    tags: Any,
    span: Any,
    complete: Any,
) -> StoredHead:
    lifetime, validated_only, never_stale, while_revalidate, if_error, immutable = terms
    return StoredHead(
        _integer(status, 100, 999),
        checked_field(b"x", _bytes(reason))[1],
        _integer(version, 0, 1),
        FieldSection(_fields(fields)),
        _seconds(responded_at),
        _seconds(initial_age),
        Terms(
            _seconds(lifetime),
            _flag(validated_only),
            _flag(never_stale),
            _seconds(while_revalidate),
            _seconds(if_error),
            _flag(immutable),
        ),
        _selecting(selecting),
        frozenset(_bytes(tag) for tag in tags),
        None if span is None else _span(*span),
        None if complete is None else _integer(complete, 0, 2**63),
    )


def _fields(value: Any) -> tuple[Field, ...]:
    if len(value) > _MOST_FIELDS:
        raise ValueError("it has too many fields")
    return tuple(checked_field(_bytes(name), _bytes(content)) for name, content in value)


def _selecting(value: Any) -> Selecting:
    return tuple(
        (_bytes(name), None if content is None else _bytes(content)) for name, content in value
    )


def _span(start: Any, stop: Any) -> Span:
    return Span(_integer(start, 0, 2**63), _integer(stop, start + 1, 2**63))


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise TypeError(f"{value!r:.40} are no bytes")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(f"{value!r:.40} is no flag")
    return value


def _integer(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{value!r:.40} is out of range")
    return value


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r:.40} is no time")
    return float(value)
