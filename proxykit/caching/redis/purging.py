"""Purges what is in Redis: by key, by tag, and by prefix.

To find what a purge takes needs an answer or more. Until it is done, what it takes is not given to
anybody who looks it up; and what could not be done because the server was away is done when it is
back, before anything that it takes is believed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..keys import PARTS
from ..purging import Purged
from ..stored import StoredHead
from .client import RedisAway, RedisClient, RedisRefused, innermost
from .names import Names
from .purges import PurgeList
from .reading import Reading
from .records import NAME_SIZE
from .writing import Writing

_log = Logger()

_SCANNED_AT_ONCE = 500
_MOST_UNDONE = 1024
_AGAIN_SECONDS = 1.0


@frozen(slots=True, eq=False)
class Purge:
    """What somebody wants to be gone, or stale.

    :ivar by: ``key``, ``tag`` or ``prefix``.
    :ivar purged: the same, as others are let know of it.
    """

    by: str
    what: bytes
    soft: bool
    purged: Purged = field(init=False)

    @purged.default
    def _as_purged(self) -> Purged:
        return Purged.of(self.by, self.what, soft=self.soft)


class Purging:
    """Purges for one store, and lets the others know."""

    __slots__ = (
        "_client",
        "_clock",
        "_names",
        "_purges",
        "_reading",
        "_trying_again",
        "_undone",
        "_writing",
    )

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
        :param reading: is told what not to give to anybody.
        :param clock: gives the seconds since 1970.
        """
        self._client = client
        self._names = names
        self._purges = purges
        self._reading = reading
        self._writing = writing
        self._clock = clock
        self._undone: list[Purge] = []
        self._trying_again = False
        client.when_back(self._catch_up)

    def purge(self, by: str, what: bytes, *, soft: bool) -> int | Deferred[int]:
        """Purge; a prefix has every key of the server looked at.

        :param by: ``key`` (and what rules made of it), ``tag`` or ``prefix``.
        :returns: how many responses it took, as far as that is known: none while the server is
            away.
        """
        purge = Purge(by, what, soft)
        self._reading.purging.append(purge.purged)
        if not self._client.is_usable:
            self._postpone(purge)
            return 0
        return self._begin(purge)

    def _begin(self, purge: Purge) -> Deferred[int]:
        # The others know before anything is purged.
        self._client.send_all(self._purges.note(purge.purged))
        doing = Deferred.fromCoroutine(self._do(purge))
        return doing.addCallbacks(partial(self._done, purge), partial(self._failed, purge))

    async def _do(self, purge: Purge) -> int:
        if purge.by == "key":
            count = await self._purge_uri(purge.what, soft=purge.soft)
        elif purge.by == "tag":
            count = await self._purge_tag(purge.what, soft=purge.soft)
        else:
            count = await self._purge_scanned(purge.what, soft=purge.soft)
        # Lookups that were sent before the last removal are answered before this.
        await self._client.send(b"PING")
        return count

    def _done(self, purge: Purge, count: int) -> int:
        self._reading.purging.remove(purge.purged)
        return count

    def _failed(self, purge: Purge, failure: Failure) -> int:
        failure = innermost(failure)
        if failure.check(RedisAway):
            self._postpone(purge)
        else:
            self._reading.purging.remove(purge.purged)
            failure.trap(RedisRefused, TypeError, ValueError)
            _log.warn("a purge was not finished: {error}", error=failure.getErrorMessage())
        return 0

    # --- while the server is away -------------------------------------------------------------

    def _postpone(self, purge: Purge) -> None:
        self._undone.append(purge)
        if len(self._undone) > _MOST_UNDONE:
            everything = Purge("prefix", b"", soft=False)
            self._reading.purging.append(everything.purged)
            for each in self._undone:
                self._reading.purging.remove(each.purged)
            self._undone = [everything]
        if self._client.is_usable and not self._trying_again:
            # It was only slow, and nobody will say that it is back.
            self._trying_again = True
            self._client.call_later(_AGAIN_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._trying_again = False
        if self._client.is_usable:
            self._catch_up()

    def _catch_up(self) -> None:
        undone, self._undone = self._undone, []
        for purge in undone:
            self._begin(purge)

    # --- how ----------------------------------------------------------------------------------

    async def _purge_uri(self, key: bytes, *, soft: bool) -> int:
        ruled = self._client.send(b"SMEMBERS", self._names.ruled(key))
        first = self._purge_key(key, soft=soft)
        keys, count = await gatherResults([ruled, first], consumeErrors=True)
        found = [each for each in keys if each.startswith(key + PARTS)]
        counts = [self._purge_key(each, soft=soft) for each in found]
        return sum(await gatherResults(counts, consumeErrors=True), count)

    async def _purge_tag(self, tag: bytes, *, soft: bool) -> int:
        members = await self._client.send(b"SMEMBERS", self._names.tag(tag))
        keys = dict.fromkeys(each[NAME_SIZE:] for each in members)
        counts = [self._purge_key(key, soft=soft, only=partial(_carries, tag)) for key in keys]
        if not soft:
            self._client.send_all([(b"UNLINK", self._names.tag(tag))])
        return sum(await gatherResults(counts, consumeErrors=True))

    async def _purge_scanned(self, prefix: bytes, *, soft: bool) -> int:
        pattern = self._names.entries(prefix)
        count = 0
        cursor: Any = b"0"
        while True:
            cursor, names = await self._client.send(
                b"SCAN", cursor, b"MATCH", pattern, b"COUNT", _SCANNED_AT_ONCE
            )
            for name in dict.fromkeys(names):
                count += await self._purge_key(self._names.key(name), soft=soft)
            if cursor == b"0":
                return count

    def _purge_key(
        self, key: bytes, *, soft: bool, only: Callable[[StoredHead], bool] | None = None
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

        return answer.addCallback(purge)


def _carries(tag: bytes, head: StoredHead) -> bool:
    return tag in head.tags
