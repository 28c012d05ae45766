"""What is written to Redis of a response, for how long, and what is removed with it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from ..keys import PARTS
from ..stored import StoredHead
from .client import Command, RedisClient, as_nothing
from .content import INLINE, RedisBody, chunks_of
from .names import Names
from .records import NAME_SIZE, pack_response

_LONGEST_SECONDS = 30 * 86_400
_SHORTEST_SECONDS = 60
_VALIDATED_SECONDS = 86_400  # how long what can be validated is kept past its freshness


class Writing:
    """Writes and removes responses; whoever needs no result goes on at once."""

    __slots__ = ("_client", "_clock", "_names")

    def __init__(self, client: RedisClient, names: Names, clock: Callable[[], float]) -> None:
        """Write for one store.

        :param clock: gives the seconds since 1970.
        """
        self._client = client
        self._names = names
        self._clock = clock

    def write(
        self, key: bytes, body: RedisBody, head: StoredHead, chunks: Sequence[bytes]
    ) -> Deferred[Any] | None:
        """Send a record, and chunks before it; give what fires when that was done."""
        seconds = self._useful_seconds(head)
        record = pack_response(key, head, body)
        if record is None:
            return None
        commands: list[Command] = []
        for index in range(chunks_of(body.size) if body.size > INLINE else 0):
            name = self._names.chunk(body.name, index)
            if chunks:
                commands.append((b"SET", name, chunks[index], b"EX", seconds))
            else:
                commands.append((b"EXPIRE", name, seconds))
        commands.append((b"HSET", self._names.entry(key), body.name, record))
        # The longest of any response under the key; GT needs a time to compare with.
        commands.append((b"EXPIRE", self._names.entry(key), seconds, b"NX"))
        commands.append((b"EXPIRE", self._names.entry(key), seconds, b"GT"))
        for tag in head.tags:
            commands += self._tag_commands(tag, body.name + key)
        uri, parts, _ = key.partition(PARTS)
        if parts:
            commands.append((b"SADD", self._names.ruled(uri), key))
            commands.append((b"EXPIRE", self._names.ruled(uri), _LONGEST_SECONDS))
        return self._client.send_all(commands)

    def _tag_commands(self, tag: bytes, member: bytes) -> list[Command]:
        name = self._names.tag(tag)
        if random.random() < 0.1:
            self._weed(name)
        return [(b"SADD", name, member), (b"EXPIRE", name, _LONGEST_SECONDS)]

    def _weed(self, name: bytes) -> None:
        """Take some of what is gone out of a tag's set: else one that is used long only grows."""

        def check(members: Any) -> None:
            for member in members:
                key = self._names.entry(member[NAME_SIZE:])
                self._client.send(b"HEXISTS", key, member[:NAME_SIZE]).addCallbacks(
                    lambda there, member=member: (
                        None if there else self._client.send_all([(b"SREM", name, member)])
                    ),
                    as_nothing,
                )

        self._client.send(b"SRANDMEMBER", name, 30).addCallbacks(check, as_nothing)

    def remove(self, body: RedisBody) -> Deferred[Any] | None:
        """Remove a response; give what fires when that was done."""
        commands: list[Command] = [(b"HDEL", self._names.entry(body.key), body.name)]
        if body.size > INLINE:
            names = [self._names.chunk(body.name, index) for index in range(chunks_of(body.size))]
            commands.append((b"UNLINK", *names))
        return self._client.send_all(commands)

    def _useful_seconds(self, head: StoredHead) -> int:
        terms = head.terms
        left = terms.lifetime - head.age(self._clock())
        left += max(terms.stale_while_revalidate, terms.stale_if_error)
        values = head.section.values
        if b"etag" in values or b"last-modified" in values:
            left = max(0.0, left) + _VALIDATED_SECONDS
        return int(min(max(left, _SHORTEST_SECONDS), _LONGEST_SECONDS))
