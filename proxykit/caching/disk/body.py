"""Content of a store on disk, as readers see it: arriving, small and in memory, or in a file."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Protocol

from attrs import define
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ...interfaces import IStoredBody
from ...net.files import FileRegion
from ..pieces import Pieces
from .files import BLOCK, Damaged, OpenFile, is_at_hand, read_block, read_block_at_once

# What a client does not take at once stays in this process's memory until it does.
_MOST_SENT = 4 * BLOCK
# What was just read is in the page cache for longer than that.
_CHECKED_SECONDS = 1.0


class Disk(Protocol):
    """What a body needs of its store."""

    def in_thread(self, call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Call something in a thread that reads; give a Deferred of its result."""

    def open_file(self, number: int, size: int) -> OpenFile:
        """Open a body's file; may be called in a thread."""

    def lost(self, body: Any, error: Exception) -> None:
        """Forget a body whose content is not what was stored."""


@implementer(IStoredBody)
@define(slots=True, eq=False)
class DiskBody:
    """See ``IStoredBody``.

    :ivar key: what it is stored under.
    :ivar number: its own.
    :ivar size: in bytes.
    :ivar content: all of it, where it is in memory.
    :ivar pieces: what has arrived, while it is being written; what is in the file is let go.
    :ivar in_file: how much of it can be read from its file.
    :ivar file: its file, once it was opened; it stays open as long as anybody has the body.
    :ivar checksums: of its blocks, ``None`` while it is being written: then nobody but this
        process knows it, which believes its own writes.
    """

    store: Disk
    key: bytes
    number: int
    size: int = 0
    content: Pieces | None = None
    pieces: Pieces | None = None
    in_file: int = 0
    file: OpenFile | None = None
    checksums: bytes | None = None
    _region: FileRegion | None = None
    _region_until: float = 0.0

    @property
    def whole(self) -> bytes | None:
        """See ``IStoredBody``."""
        return None if self.content is None else self.content.whole

    def read(self, offset: int, most: int) -> bytes | Awaitable[bytes]:
        """See ``IStoredBody``."""
        if self.content is not None:
            return self.content.read(offset, most)
        if offset >= self.size:
            return b""
        if self.pieces is not None and offset >= self.in_file:
            return self.pieces.read(offset, most)
        if self.checksums is None:
            return self._read_own(offset, min(most, self.in_file - offset))
        index = offset // BLOCK
        if self.file is not None:
            try:
                block = read_block_at_once(self.file, self.size, index, self.checksums)
            except (OSError, Damaged) as error:
                self.store.lost(self, error)
                return b""
            if block is not None:
                return _cut(block, offset, most)
        return self._read_later(offset, most)

    def file_region(self) -> FileRegion | None:
        """See ``IStoredBody``: every block was read and compared, no more than a second ago."""
        region = self._region
        if region is not None and monotonic() < self._region_until:
            return region
        file, checksums = self.file, self.checksums
        if file is None or checksums is None or self.size > _MOST_SENT or not self.size:
            return None
        try:
            for index in range(-(-self.size // BLOCK)):
                if not is_at_hand(file, self.size, index, checksums):
                    return None
        except (OSError, Damaged) as error:
            self.store.lost(self, error)
            return None
        self._region = region = FileRegion(file.descriptor, 0, self.size, file)
        self._region_until = monotonic() + _CHECKED_SECONDS
        return region

    def load(self) -> Pieces:
        """Read all of it into memory; in a thread.

        :raises OSError: when that cannot be done.
        :raises Damaged: when it is not what was stored.
        """
        assert self.checksums is not None
        file = self._opened()
        pieces = Pieces()
        for index in range(-(-self.size // BLOCK)):
            pieces.append(read_block(file, self.size, index, self.checksums))
        pieces.finish()
        return pieces

    def check(self) -> None:
        """Open the file and read its first block; in a thread.

        :raises OSError: when that cannot be done.
        :raises Damaged: when it is not what was stored.
        """
        if self.content is None and self.checksums is not None:
            read_block(self._opened(), self.size, 0, self.checksums)

    # --- parts --------------------------------------------------------------------------------

    def _opened(self) -> OpenFile:
        if self.file is None:
            self.file = self.store.open_file(self.number, self.size)
        return self.file

    def _read_own(self, offset: int, most: int) -> Deferred[bytes]:
        assert self.file is not None
        return self.store.in_thread(_pread, self.file, offset, most)

    def _read_later(self, offset: int, most: int) -> Deferred[bytes]:
        return self.store.in_thread(self._read_block, offset // BLOCK).addCallbacks(
            _cut,
            self._failed,
            callbackArgs=(offset, most),
        )

    def _read_block(self, index: int) -> bytes:
        assert self.checksums is not None
        return read_block(self._opened(), self.size, index, self.checksums)

    def _failed(self, failure: Any) -> bytes:
        failure.trap(OSError, Damaged)
        self.store.lost(self, failure.value)
        return b""  # then the response is cut off: see ``caching.reader``


def _cut(block: bytes, offset: int, most: int) -> bytes:
    start = offset % BLOCK
    return block if start == 0 and len(block) <= most else block[start : start + most]


def _pread(file: OpenFile, offset: int, most: int) -> bytes:
    return os.pread(file.descriptor, most, offset)


def load_all(bodies: list[DiskBody]) -> list[Pieces] | None:
    """In a thread: read contents; ``None`` when some cannot be, which whoever asks finds out."""
    try:
        return [body.load() for body in bodies]
    except (OSError, Damaged):
        return None
