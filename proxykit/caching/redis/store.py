"""The store in Redis or Valkey. See ``ICacheStore``.

What stands there under which name, see ``redis.names``. Nothing needs more than one of these to be
true: whatever is missing, or is not what was written, is a miss. Commands go out on one connection,
in order, so this process sees what it did.
"""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from time import time
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults, succeed
from twisted.logger import Logger
from zope.interface import implementer

from ...interfaces import ICacheInspection, ICacheStore, ISharedCacheStore
from ..keys import PARTS
from ..packing import Unreadable, checksum
from ..purging import Purged, hardest
from ..stored import StoredHead, StoredResponse, StoreStatistics
from .client import Command, RedisAway, RedisClient, RedisRefused
from .content import INLINE, RedisBody, RedisWriter, chunks_of, cut_in_chunks, is_chunk
from .inspection import list_entries, sum_up
from .memory import ServerMemory
from .names import Names
from .purges import PurgeList
from .records import NAME_SIZE, pack_response, unpack_response

_log = Logger()

_MOST_VARIANTS = 64
_MOST_IN_MEMORY = 64 * 1024 * 1024  # content that is arriving, or was sent and not answered yet
_LONGEST_SECONDS = 30 * 86_400
_SHORTEST_SECONDS = 60
_VALIDATED_SECONDS = 86_400  # how long what can be validated is kept past its freshness
_SCANNED_AT_ONCE = 500

Found = tuple[StoredResponse, ...]
_Shown = TypeVar("_Shown")


@implementer(ICacheStore, ISharedCacheStore, ICacheInspection)
class RedisStore:
    """Keeps responses in a server that several machines share.

    :ivar client: the connection.
    """

    at_once = False

    def __init__(
        self,
        client: RedisClient,
        prefix: bytes,
        size: int | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        """Make one.

        :param prefix: of every key in the server.
        :param size: store nothing more while the server uses more memory than that, in bytes.
        :param clock: gives the seconds since 1970.
        """
        self.client = client
        self._names = Names(prefix)
        self._purges = PurgeList(self._names.purges)
        self._withdrawn: set[bytes] = set()
        self._size = size
        self._clock = clock
        self._in_memory = 0
        self._memory = ServerMemory(client, size)

    def __repr__(self) -> str:
        return f"<RedisStore {self.client!r}>"

    # --- ICacheStore --------------------------------------------------------------------------

    def lookup(self, key: bytes) -> Any:
        """See ``ICacheStore``; nothing at once when the server is away."""
        if not self.client.is_usable:
            return ()
        purges, found = self.client.send_together(
            self._purges.reading(), (b"HGETALL", self._names.entry(key))
        )
        purges.addCallbacks(self._purges.take, _nothing)
        return found.addCallbacks(partial(self._found, key), _nothing)

    def hear(self) -> Sequence[Purged]:
        """See ``ISharedCacheStore``: what was read with every lookup."""
        return self._purges.hear()

    def begin(self, key: bytes, size: int | None) -> RedisWriter | None:
        """See ``ICacheStore``."""
        if not self.client.is_usable or self._in_memory + (size or 0) > _MOST_IN_MEMORY:
            return None
        if self._memory.is_full():
            return None
        return RedisWriter(self, key, os.urandom(NAME_SIZE))

    def update(self, key: bytes, stored: StoredResponse, head: StoredHead) -> None:
        """See ``ICacheStore``."""
        stored.head = head
        body: RedisBody = stored.body
        # A record that is gone is not made anew: its content is gone, too.
        self.client.send(b"HEXISTS", self._names.entry(key), body.name).addCallbacks(
            lambda there: self._write(key, body, head, ()) if there else None, _nothing
        )

    def remove(self, key: bytes, stored: StoredResponse) -> None:
        """See ``ICacheStore``."""
        self.client.send_all(self._removal(key, stored.body))

    def purge(self, key: bytes, *, soft: bool) -> int | Deferred[int]:
        """See ``ICacheStore``."""
        if not self.client.is_usable:
            return 0
        self._note("key", key, soft=soft)
        ruled = self.client.send(b"SMEMBERS", self._names.ruled(key))
        first = self._purge_key(key, soft=soft, only=None)

        def purge_ruled(keys: Any) -> Deferred[list[int]]:
            found = [each for each in keys if each.startswith(key + PARTS)]
            counts = [self._purge_key(each, soft=soft, only=None) for each in found]
            return gatherResults([first, *counts], consumeErrors=True)

        return ruled.addCallback(purge_ruled).addCallbacks(sum, _none_purged)

    def purge_tag(self, tag: bytes, *, soft: bool) -> int | Deferred[int]:
        """See ``ICacheStore``."""
        if not self.client.is_usable:
            return 0
        self._note("tag", tag, soft=soft)

        def purge_members(members: Any) -> Deferred[list[int]]:
            keys = dict.fromkeys(each[NAME_SIZE:] for each in members)
            only = partial(_carries, tag)
            counts = [self._purge_key(key, soft=soft, only=only) for key in keys]
            if not soft:
                self.client.send_all([(b"UNLINK", self._names.tag(tag))])
            return gatherResults(counts, consumeErrors=True)

        members = self.client.send(b"SMEMBERS", self._names.tag(tag))
        return members.addCallback(purge_members).addCallbacks(sum, _none_purged)

    def purge_prefix(self, prefix: bytes, *, soft: bool) -> int | Deferred[int]:
        """See ``ICacheStore``; looks at every key of the server."""
        if not self.client.is_usable:
            return 0
        self._note("prefix", prefix, soft=soft)
        return Deferred.fromCoroutine(self._purge_scanned(prefix, soft=soft))

    async def statistics(self) -> StoreStatistics | None:
        """See ``ICacheInspection``; some of it is the server's, whoever else uses that."""
        return await self._inspect(sum_up(self.client, self._names.entry(b""), self._size))

    async def entries(
        self, prefix: bytes, limit: int
    ) -> Sequence[tuple[bytes, Sequence[StoredResponse]]] | None:
        """See ``ICacheInspection``; of a very large database not all of it is searched."""
        return await self._inspect(list_entries(self, self._names, prefix, limit))

    async def _inspect(self, asking: Awaitable[_Shown]) -> _Shown | None:
        try:
            return await asking
        except (RedisAway, RedisRefused, TypeError, ValueError):
            return None

    def close(self) -> None:
        """See ``ICacheStore``."""
        self.client.close()

    # --- called by writers and bodies ---------------------------------------------------------

    def reserve(self, change: int) -> bool:
        """Count content in memory; say whether there is room for it."""
        if change > 0 and self._in_memory + change > _MOST_IN_MEMORY:
            return False
        self._in_memory += change
        return True

    def put(
        self, body: RedisBody, head: StoredHead, replaces: Callable[[StoredHead], bool]
    ) -> None:
        """Take a response whose content is complete."""
        content = body.content
        assert content is not None
        chunks = cut_in_chunks(content)
        body.checksums = b"".join(map(checksum, chunks))
        client = self.client
        if not client.is_usable:
            return
        # Evaluated against what is there now: nobody waits for it.
        client.send(b"HGETALL", self._names.entry(body.key)).addCallbacks(
            lambda raw: self._replace(body.key, raw, replaces, head), _nothing
        )
        self._in_memory += body.size

        def sent(_: Any) -> None:
            self._in_memory -= body.size

        written = self._write(body.key, body, head, chunks)
        (written or succeed(None)).addBoth(sent)
        # Who purged before it was there did not find it, and stands in the list by now; who
        # purges later finds it.
        client.send(*self._purges.reading()).addCallbacks(
            partial(self._judge, body, head, self._purges.newest), _nothing
        )

    def _judge(self, body: RedisBody, head: StoredHead, known: bytes | None, answer: Any) -> None:
        """Give up what others purged while it was on its way here."""
        purges = self._purges.since(known, answer)
        if purges and hardest(purges, body.key, head.tags) is not None:
            # Lookups that were sent meanwhile are answered behind this, and may still find it.
            self._withdrawn.add(body.name)
            removed = self.client.send_all(self._removal(body.key, body))
            (removed or succeed(None)).addBoth(lambda _: self._withdrawn.discard(body.name))

    def chunk(self, name: bytes, index: int) -> Deferred[Any]:
        """Get a chunk."""
        return self.client.send(b"GET", self._names.chunk(name, index))

    def lost(self, body: RedisBody) -> None:
        """Forget what is not as it was stored."""
        self.client.send_all(self._removal(body.key, body))

    # --- reading ------------------------------------------------------------------------------

    def _found(self, key: bytes, raw: Any) -> Found | Deferred[Found]:
        """Make what is stored out of an answer, and see whether its content is there."""
        responses = list(self._parsed(key, raw))
        if not responses:
            return ()
        checks = [self._check(each) for each in responses]
        if all(check is None for check in checks):
            return self._ordered(responses)
        waiting = gatherResults(
            [succeed(True) if check is None else check for check in checks], consumeErrors=True
        )
        return waiting.addCallbacks(
            lambda good: self._ordered(
                [each for each, is_good in zip(responses, good, strict=True) if is_good]
            ),
            _nothing,
        )

    def _ordered(self, responses: list[StoredResponse]) -> Found:
        responses.sort(key=lambda each: -each.head.responded_at)
        return tuple(responses)

    def _parsed(self, key: bytes, raw: Any) -> Iterator[StoredResponse]:
        if type(raw) is not list:
            return
        for name, data in zip(raw[::2], raw[1::2], strict=False):
            if name in self._withdrawn:
                continue
            try:
                yield unpack_response(self, key, name, data)
            except (Unreadable, TypeError, ValueError) as error:
                _log.warn("what is stored in Redis is not usable: {error}", error=str(error))
                self.client.send_all([(b"HDEL", self._names.entry(key), name)])

    def _check(self, response: StoredResponse) -> Deferred[bool] | None:
        """Get the first chunk, and ask whether the others are there."""
        body: RedisBody = response.body
        if body.content is not None:
            return None
        others = [self._names.chunk(body.name, index) for index in range(1, chunks_of(body.size))]

        def check(answers: list[Any]) -> bool:
            first, *counts = answers
            if counts and counts[0] != len(others):
                self.lost(body)
                return False
            if not is_chunk(first, body.size, 0, body.checksums):
                self.lost(body)
                return False
            body.last = (0, first)
            return True

        asked = [self.chunk(body.name, 0)]
        if others:
            asked.append(self.client.send(b"EXISTS", *others))
        return gatherResults(asked, consumeErrors=True).addCallbacks(check, lambda failure: False)

    # --- writing ------------------------------------------------------------------------------

    def _write(
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
        return self.client.send_all(commands)

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
                self.client.send(b"HEXISTS", key, member[:NAME_SIZE]).addCallbacks(
                    lambda there, member=member: (
                        None if there else self.client.send_all([(b"SREM", name, member)])
                    ),
                    _nothing,
                )

        self.client.send(b"SRANDMEMBER", name, 30).addCallbacks(check, _nothing)

    def _replace(
        self, key: bytes, raw: Any, replaces: Callable[[StoredHead], bool], new: StoredHead
    ) -> None:
        """Remove what a new response takes the place of, and what is too much."""
        kept = 0
        for each in self._ordered(list(self._parsed(key, raw))):
            same = new.span is None and each.head.selecting == new.selecting
            if same or replaces(each.head) or kept >= _MOST_VARIANTS - 1:
                self.client.send_all(self._removal(key, each.body))
            else:
                kept += 1

    def _removal(self, key: bytes, body: RedisBody) -> list[Command]:
        commands: list[Command] = [(b"HDEL", self._names.entry(key), body.name)]
        if body.size > INLINE:
            names = [self._names.chunk(body.name, index) for index in range(chunks_of(body.size))]
            commands.append((b"UNLINK", *names))
        return commands

    def _useful_seconds(self, head: StoredHead) -> int:
        terms = head.terms
        left = terms.lifetime - head.age(self._clock())
        left += max(terms.stale_while_revalidate, terms.stale_if_error)
        values = head.section.values
        if b"etag" in values or b"last-modified" in values:
            left = max(0.0, left) + _VALIDATED_SECONDS
        return int(min(max(left, _SHORTEST_SECONDS), _LONGEST_SECONDS))

    # --- purging ------------------------------------------------------------------------------

    def _note(self, by: str, what: bytes, *, soft: bool) -> None:
        """Let the others know, before anything is purged."""
        self.client.send_all(self._purges.note(Purged.of(by, what, soft=soft)))

    def _purge_key(
        self, key: bytes, *, soft: bool, only: Callable[[StoredHead], bool] | None
    ) -> Deferred[int]:
        answer = self.client.send(b"HGETALL", self._names.entry(key))
        if not soft and only is None:
            # Whoever asks next must not find it, though its content is still there.
            self.client.send_all([(b"UNLINK", self._names.entry(key))])

        def purge(raw: Any) -> int:
            count = 0
            for each in self._parsed(key, raw):
                if only is not None and not only(each.head):
                    continue
                count += 1
                if soft:
                    self._write(key, each.body, each.head.expired(self._clock()), ())
                else:
                    self.client.send_all(self._removal(key, each.body))
            return count

        return answer.addCallbacks(purge, _none_purged)

    async def _purge_scanned(self, prefix: bytes, *, soft: bool) -> int:
        pattern = self._names.entries(prefix)
        count = 0
        cursor: Any = b"0"
        try:
            while True:
                answer = await self.client.send(
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


def _nothing(failure: Any) -> tuple[()]:
    while failure.check(FirstError):
        failure = failure.value.subFailure
    failure.trap(RedisAway, RedisRefused)
    return ()


def _none_purged(failure: Any) -> int:
    return len(_nothing(failure))


def _carries(tag: bytes, head: StoredHead) -> bool:
    return tag in head.tags
