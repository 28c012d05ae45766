"""An entry on its way to the disk: readable while it arrives, written by the clerk."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from zope.interface import implementer

from ...interfaces import ICacheWriter
from ..pieces import Pieces
from ..stored import StoredHead
from .body import Disk, DiskBody
from .clerk import Append, Discard
from .files import WrittenFile

_PORTION = 256 * 1024  # what is written at a time; smaller content goes with its entry


class Shelf(Disk, Protocol):
    """What a writer needs of its store."""

    def give(self, change: Any, done: Callable[[Any], None] | None = None) -> None:
        """Give the clerk something to do; ``done`` is called with what came of it."""

    def reserve(self, size: int) -> bool:
        """Count what is being written; say whether there is room for it."""

    def release_memory(self, size: int) -> None:
        """Count what is in memory no more."""

    def settle(self, body: DiskBody, result: Any = None) -> None:
        """Count what is written, or will never be."""

    def put(
        self, writer: DiskWriter, head: StoredHead, replaces: Callable[[StoredHead], bool]
    ) -> None:
        """Take a response whose content is complete."""


@implementer(ICacheWriter)
class DiskWriter:
    """See ``ICacheWriter``.

    :ivar body: a ``DiskBody``.
    :ivar written: the file, as the clerk knows it.
    :ivar rest: what the clerk has not been given yet.
    """

    __slots__ = ("_failed", "_rest_size", "_store", "body", "rest", "written")

    def __init__(self, store: Shelf, key: bytes, number: int) -> None:
        """Begin; ``number`` is this entry's alone."""
        self._store = store
        self.body = DiskBody(store, key, number, pieces=Pieces())
        self.written = WrittenFile(number)
        self.rest: list[bytes] = []
        self._rest_size = 0
        self._failed = False

    def write(self, data: bytes) -> bool:
        """See ``ICacheWriter``."""
        body = self.body
        if self._failed or body.pieces is None or not self._store.reserve(len(data)):
            return False
        body.pieces.append(data)
        body.size += len(data)
        self.rest.append(data)
        self._rest_size += len(data)
        if self._rest_size >= _PORTION:
            portion, self.rest = self.rest, []
            size, self._rest_size = self._rest_size, 0
            self._store.give(Append(self.written, portion), partial(self._appended, size))
        return True

    def _appended(self, size: int, done: bool | None) -> None:
        """The clerk has written a portion: it need not be in memory any more."""
        self._store.release_memory(size)
        body = self.body
        if not done:
            self._failed = True
        elif body.pieces is not None:
            body.file = self.written.file
            body.in_file += size
            body.pieces.forget(body.in_file)

    def commit(self, head: StoredHead, replaces: Callable[[StoredHead], bool]) -> None:
        """See ``ICacheWriter``."""
        body = self.body
        assert body.pieces is not None
        if self._rest_size == body.size:
            # Nothing was given to the clerk yet.
            body.pieces.finish()
            body.content, body.pieces = body.pieces, None
        self._store.put(self, head, replaces)

    def abort(self) -> None:
        """See ``ICacheWriter``."""
        self._store.release_memory(self._rest_size)
        self._store.give(Discard(self.written), partial(self._store.settle, self.body))
