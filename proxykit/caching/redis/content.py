"""Content in Redis: small with its record, large in chunks under keys of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from attrs import define
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ...interfaces import ICacheWriter, IStoredBody
from ..packing import CHECKSUM_SIZE, checksum
from ..pieces import BLOCK, Pieces
from ..stored import StoredHead

CHUNK = BLOCK
"""The size of a chunk, in bytes."""

INLINE = 16 * 1024
"""Content up to this size stands in the record, in bytes."""


def chunks_of(size: int) -> int:
    """Give how many chunks content of a size has."""
    return -(-size // CHUNK)


def is_chunk(data: Any, size: int, index: int, checksums: bytes) -> bool:
    """Say whether something is the chunk of content of a size that it should be."""
    start = index * CHECKSUM_SIZE
    return (
        type(data) is bytes
        and len(data) == min(CHUNK, size - index * CHUNK)
        and checksum(data) == checksums[start : start + CHECKSUM_SIZE]
    )


def cut_in_chunks(content: Pieces) -> list[bytes]:
    """Cut complete content in chunks."""
    data = content.whole
    if data is None:
        pieces = []
        position = 0
        while piece := content.read(position, CHUNK):
            pieces.append(piece)
            position += len(piece)
        data = b"".join(pieces)
    if len(data) <= CHUNK:
        return [data] if data else []
    return [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]


class Chunks(Protocol):
    """What a body needs of its store."""

    def chunk(self, name: bytes, index: int) -> Deferred[Any]:
        """Get a chunk of a response's content.

        :param name: the response's.
        """

    def lost(self, body: RedisBody) -> None:
        """Forget what is not as it was stored."""


class Shelf(Protocol):
    """What a writer needs of its store."""

    def reserve(self, change: int) -> bool:
        """Count content in memory; say whether there is room for it."""

    def put(
        self, body: RedisBody, head: StoredHead, replaces: Callable[[StoredHead], bool]
    ) -> None:
        """Take a response whose content is complete."""


@implementer(IStoredBody)
@define(slots=True, eq=False)
class RedisBody:
    """See ``IStoredBody``.

    :ivar key: what it is stored under.
    :ivar name: its own.
    :ivar content: all of it, where that is in memory.
    :ivar last: the chunk that was read last, and which one it is.
    """

    chunks: Chunks
    key: bytes
    name: bytes
    size: int = 0
    checksums: bytes = b""
    content: Pieces | None = None
    last: tuple[int, bytes] = (-1, b"")

    @property
    def whole(self) -> bytes | None:
        """See ``IStoredBody``."""
        if self.content is not None:
            return self.content.whole
        return self.last[1] if self.size <= CHUNK and self.last[0] == 0 else None

    def read(self, offset: int, most: int) -> bytes | Awaitable[bytes]:
        """See ``IStoredBody``."""
        if self.content is not None:
            return self.content.read(offset, most)
        if offset >= self.size:
            return b""
        index = offset // CHUNK
        if self.last[0] == index:
            return self._cut(offset, most)
        return self._fetch(index, offset, most)

    def file_region(self) -> None:
        """See ``IStoredBody``."""

    def _fetch(self, index: int, offset: int, most: int) -> Deferred[bytes]:
        def got(data: Any) -> bytes:
            if not is_chunk(data, self.size, index, self.checksums):
                self.chunks.lost(self)
                return b""  # then the response is cut off: see ``caching.reader``
            self.last = (index, data)
            return self._cut(offset, most)

        return self.chunks.chunk(self.name, index).addCallbacks(got, lambda failure: b"")

    def _cut(self, offset: int, most: int) -> bytes:
        start = offset % CHUNK
        data = self.last[1]
        return data if start == 0 and len(data) <= most else data[start : start + most]


@implementer(ICacheWriter)
class RedisWriter:
    """See ``ICacheWriter``: content is sent when it is complete, and held in memory until then.

    :ivar body: a ``RedisBody``.
    """

    __slots__ = ("_store", "body")

    def __init__(self, store: Shelf, body: RedisBody) -> None:
        """Begin; the body has no content yet."""
        self._store = store
        self.body = body

    def write(self, data: bytes) -> bool:
        """See ``ICacheWriter``."""
        content = self.body.content
        if content is None or not self._store.reserve(len(data)):
            return False
        content.append(data)
        self.body.size += len(data)
        return True

    def commit(self, head: StoredHead, replaces: Callable[[StoredHead], bool]) -> None:
        """See ``ICacheWriter``."""
        self._store.reserve(-self.body.size)
        assert self.body.content is not None
        self.body.content.finish()
        self._store.put(self.body, head, replaces)

    def abort(self) -> None:
        """See ``ICacheWriter``."""
        self._store.reserve(-self.body.size)
