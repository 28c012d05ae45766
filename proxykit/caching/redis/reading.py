"""Makes responses of what Redis answers, and sees whether their content is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.logger import Logger

from ..packing import Unreadable
from ..stored import StoredResponse
from .client import RedisClient, as_nothing
from .content import RedisBody, chunks_of, is_chunk
from .names import Names
from .records import unpack_response
from .writing import Writing

_log = Logger()

Found = tuple[StoredResponse, ...]


class Reading:
    """Reads what is under a key; see ``content.Chunks``, too.

    :ivar withdrawn: the names of responses that are being removed: they may still be found.
    """

    __slots__ = ("_client", "_names", "_writing", "withdrawn")

    def __init__(self, client: RedisClient, names: Names, writing: Writing) -> None:
        """Read for one store.

        :param writing: removes what is not as it was stored.
        """
        self.withdrawn: set[bytes] = set()
        self._client = client
        self._names = names
        self._writing = writing

    def chunk(self, name: bytes, index: int) -> Deferred[Any]:
        """See ``content.Chunks``."""
        return self._client.send(b"GET", self._names.chunk(name, index))

    def lost(self, body: RedisBody) -> None:
        """See ``content.Chunks``."""
        self._writing.remove(body)

    def found(self, key: bytes, raw: Any) -> Found | Deferred[Found]:
        """Make what is stored out of an answer, and see whether its content is there."""
        responses = list(self.parsed(key, raw))
        if not responses:
            return ()
        checks = [self._check(each) for each in responses]
        if all(check is None for check in checks):
            return newest_first(responses)
        waiting = gatherResults(
            [succeed(True) if check is None else check for check in checks], consumeErrors=True
        )
        return waiting.addCallbacks(
            lambda good: newest_first(
                [each for each, is_good in zip(responses, good, strict=True) if is_good]
            ),
            as_nothing,
        )

    def parsed(self, key: bytes, raw: Any) -> Iterator[StoredResponse]:
        """Make what is stored out of an answer; what is not usable is removed."""
        if type(raw) is not list:
            return
        for name, data in zip(raw[::2], raw[1::2], strict=False):
            if name in self.withdrawn:
                continue
            try:
                yield unpack_response(self, key, name, data)
            except (Unreadable, TypeError, ValueError) as error:
                _log.warn("what is stored in Redis is not usable: {error}", error=str(error))
                self._client.send_all([(b"HDEL", self._names.entry(key), name)])

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
            asked.append(self._client.send(b"EXISTS", *others))
        return gatherResults(asked, consumeErrors=True).addCallbacks(check, lambda failure: False)


def newest_first(responses: list[StoredResponse]) -> Found:
    """Put responses in the order in which they are given."""
    responses.sort(key=lambda each: -each.head.responded_at)
    return tuple(responses)
