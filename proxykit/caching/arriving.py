"""Content that is still arriving: in a store as long as that takes it, then held for readers."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from .pieces import Pieces


class Arriving:
    """Content as readers see it while a fetch brings it; see ``IStoredBody.read``.

    It begins in a store's writer, or nowhere; from where that takes no more it is held in memory,
    and let go as the readers get on.

    :ivar is_complete: whether all of it has arrived.
    """

    __slots__ = ("_boundary", "_kept", "_tail", "_writer", "is_complete")

    def __init__(self, writer: Any = None) -> None:
        """Begin.

        :param writer: an ``ICacheWriter``, ``None`` to keep nothing.
        """
        self._writer = writer
        self._kept: Any = None if writer is None else writer.body
        self._boundary = 0
        self._tail = Pieces() if writer is None else None
        self.is_complete = False

    @property
    def is_kept(self) -> bool:
        """Whether all of it so far is in the store, so that anybody may begin to read it."""
        return self._tail is None

    @property
    def size(self) -> int:
        """How many bytes have arrived."""
        if self._tail is not None:
            return self._boundary + self._tail.size
        return int(self._kept.size)

    def add(self, data: bytes, limit: int) -> None:
        """Take what arrived.

        :param limit: the store is given no more than so many bytes.
        """
        if self._tail is None:
            if self.size + len(data) <= limit and self._writer.write(data):
                return
            self._boundary = self.size
            self._tail = Pieces()
            self._writer.abort()
            self._writer = None
        self._tail.append(data)

    def read(self, offset: int, most: int) -> bytes | Awaitable[bytes]:
        """See ``IStoredBody``; nothing where nothing is yet."""
        tail = self._tail
        if tail is not None and offset >= self._boundary:
            return tail.read(offset - self._boundary, most)
        if self._kept is None or offset >= self._kept.size:
            return b""
        found: bytes | Awaitable[bytes] = self._kept.read(offset, most)
        return found

    def forget(self, before: int) -> None:
        """Let go of what no reader needs any more; what is in the store stays there."""
        tail = self._tail
        if tail is not None and before >= self._boundary:
            self._kept = None
            tail.forget(before - self._boundary)

    def take_writer(self) -> Any:
        """Give the writer to whoever ends it, ``None`` when nothing is kept."""
        writer, self._writer = self._writer, None
        return writer
