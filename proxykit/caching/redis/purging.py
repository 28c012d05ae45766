"""Purges what is in Redis: by key, by tag, and by prefix."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from ..keys import PARTS
from ..purging import Purged
from ..stored import StoredHead
from .client import RedisAway, RedisClient, RedisRefused, as_nothing
from .names import Names
from .purges import PurgeList
from .reading import Reading
from .records import NAME_SIZE
from .writing import Writing

_log = Logger()

_SCANNED_AT_ONCE = 500


class Purging:
    """Purges for one store, and lets the others know."""

    __slots__ = ("_client", "_clock", "_names", "_purges", "_reading", "_writing")

    def __init__(
        self,
        client: RedisClient,
        names: Names,
        purges: PurgeList,
        reading: Reading,
        writing: Writing,
        clock: Callable[[], float],
    ) -> None:
        """Take what it purges with.

        :param purges: where others find what was purged.
        :param clock: gives the seconds since 1970.
        """
        self._client = client
        self._names = names
        self._purges = purges
        self._reading = reading
        self._writing = writing
        self._clock = clock

    def by_key(self, key: bytes, *, soft: bool) -> Deferred[int]:
        """Purge a URI's key, and those that rules made of it; give how many responses it took."""
        self._note("key", key, soft=soft)
        ruled = self._client.send(b"SMEMBERS", self._names.ruled(key))
        first = self._purge_key(key, soft=soft, only=None)

        def purge_ruled(keys: Any) -> Deferred[list[int]]:
            found = [each for each in keys if each.startswith(key + PARTS)]
            counts = [self._purge_key(each, soft=soft, only=None) for each in found]
            return gatherResults([first, *counts], consumeErrors=True)

        return ruled.addCallback(purge_ruled).addCallbacks(sum, _none_purged)

    def by_tag(self, tag: bytes, *, soft: bool) -> Deferred[int]:
        """Purge what carries a tag; give how many responses that are."""
        self._note("tag", tag, soft=soft)

        def purge_members(members: Any) -> Deferred[list[int]]:
            keys = dict.fromkeys(each[NAME_SIZE:] for each in members)
            only = partial(_carries, tag)
            counts = [self._purge_key(key, soft=soft, only=only) for key in keys]
            if not soft:
                self._client.send_all([(b"UNLINK", self._names.tag(tag))])
            return gatherResults(counts, consumeErrors=True)

        members = self._client.send(b"SMEMBERS", self._names.tag(tag))
        return members.addCallback(purge_members).addCallbacks(sum, _none_purged)

    def by_prefix(self, prefix: bytes, *, soft: bool) -> Deferred[int]:
        """Purge what is under keys that begin so; looks at every key of the server."""
        self._note("prefix", prefix, soft=soft)
        return Deferred.fromCoroutine(self._purge_scanned(prefix, soft=soft))

    def _note(self, by: str, what: bytes, *, soft: bool) -> None:
        """Let the others know, before anything is purged."""
        self._client.send_all(self._purges.note(Purged.of(by, what, soft=soft)))

    def _purge_key(
        self, key: bytes, *, soft: bool, only: Callable[[StoredHead], bool] | None
    ) -> Deferred[int]:
        answer = self._client.send(b"HGETALL", self._names.entry(key))
        if not soft and only is None:
            # Whoever asks next must not find it, though its content is still there.
            self._client.send_all([(b"UNLINK", self._names.entry(key))])

        def purge(raw: Any) -> int:
            count = 0
            for each in self._reading.parsed(key, raw):
                if only is not None and not only(each.head):
                    continue
                count += 1
                if soft:
                    self._writing.write(key, each.body, each.head.expired(self._clock()), ())
                else:
                    self._writing.remove(each.body)
            return count

        return answer.addCallbacks(purge, _none_purged)

    async def _purge_scanned(self, prefix: bytes, *, soft: bool) -> int:
        pattern = self._names.entries(prefix)
        count = 0
        cursor: Any = b"0"
        try:
            while True:
                answer = await self._client.send(
                    b"SCAN", cursor, b"MATCH", pattern, b"COUNT", _SCANNED_AT_ONCE
                )
                cursor, names = answer
                for name in dict.fromkeys(names):
                    count += await self._purge_key(self._names.key(name), soft=soft, only=None)
                if cursor == b"0":
                    return count
        except (RedisAway, RedisRefused, TypeError, ValueError) as error:
            _log.warn("a purge was not finished: {error}", error=str(error))
            return count


def _none_purged(failure: Any) -> int:
    return len(as_nothing(failure))


def _carries(tag: bytes, head: StoredHead) -> bool:
    return tag in head.tags
