"""Says what a store in Redis holds, in many small questions: none of them keeps the server busy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import DeferredList

from ..packing import Unreadable
from ..stored import ShownBody, StoredResponse, StoreStatistics
from .client import RedisClient, RedisRefused
from .content import Chunks
from .names import Names
from .records import unpack_response

_SCANNED_AT_ONCE = 500
_MOST_COUNTED = 20  # times _SCANNED_AT_ONCE; of more keys, the rest is reckoned
_MOST_SEARCHED = 1000
_READ_AT_ONCE = 16


async def sum_up(client: RedisClient, prefix: bytes, limit: int | None) -> StoreStatistics:
    """Sum up what is there, for all who use the server.

    How much room is taken, and how often something gave way, the server knows only of all that is
    in it. How many entries there are is counted, or where there are more than some 10,000 keys,
    reckoned from so many of them.

    :param prefix: what the names of entries begin with.
    :param limit: in bytes, ``None`` for the server's own.
    :raises RedisAway: when the server does not answer.
    """
    memory = await client.send(b"INFO", b"memory")
    stats = await client.send(b"INFO", b"stats")
    every = await client.send(b"DBSIZE")
    scanned = ours = 0
    cursor: Any = b"0"
    for _ in range(_MOST_COUNTED):
        cursor, names = await client.send(b"SCAN", cursor, b"COUNT", _SCANNED_AT_ONCE)
        scanned += len(names)
        ours += sum(name.startswith(prefix) for name in names)
        if cursor == b"0":
            break
    else:
        ours = round(ours * every / scanned) if scanned else 0
    return StoreStatistics(
        ours,
        _number(memory, b"used_memory"),
        limit or _number(memory, b"maxmemory") or None,
        _number(stats, b"evicted_keys"),
    )


async def list_entries(
    client: RedisClient, chunks: Chunks, names: Names, prefix: bytes, limit: int
) -> Sequence[tuple[bytes, Sequence[StoredResponse]]]:
    """List the entries whose keys begin with a prefix; see ``ICacheInspection``.

    :param chunks: the store's, as ``names`` are.
    :raises RedisAway: when the server does not answer.
    """
    found: dict[bytes, Sequence[StoredResponse]] = {}
    cursor: Any = b"0"
    for _ in range(_MOST_SEARCHED):
        cursor, entries = await client.send(
            b"SCAN", cursor, b"MATCH", names.entries(prefix), b"COUNT", _SCANNED_AT_ONCE
        )
        for first in range(0, len(entries), _READ_AT_ONCE):
            if len(found) < limit:
                found |= await _read(client, chunks, names, entries[first : first + _READ_AT_ONCE])
        if cursor == b"0" or len(found) >= limit:
            break
    return list(found.items())[:limit]


async def _read(
    client: RedisClient, chunks: Chunks, names: Names, entries: Sequence[bytes]
) -> dict[bytes, Sequence[StoredResponse]]:
    answers = client.send_together(*((b"HGETALL", entry) for entry in entries))
    found: dict[bytes, Sequence[StoredResponse]] = {}
    results = await DeferredList(answers, consumeErrors=True)
    for entry, (done, raw) in zip(entries, results, strict=True):
        if not done:
            raw.trap(RedisRefused)  # it is of another kind: nothing of ours
        elif responses := _shown(chunks, names.key(entry), raw):
            found[names.key(entry)] = responses
    return found


def _shown(chunks: Chunks, key: bytes, raw: Any) -> list[StoredResponse]:
    responses: list[StoredResponse] = []
    for name, data in zip(raw[::2], raw[1::2], strict=False):
        try:
            stored = unpack_response(chunks, key, name, data)
        except (Unreadable, TypeError, ValueError):
            continue
        responses.append(StoredResponse(stored.head, ShownBody(stored.body.size)))
    return responses


def _number(info: Any, name: bytes) -> int:
    """Give a number out of what INFO says, 0 where it does not."""
    for line in info.splitlines() if type(info) is bytes else ():
        if line.startswith(name + b":") and line[len(name) + 1 :].isdigit():
            return int(line[len(name) + 1 :])
    return 0
