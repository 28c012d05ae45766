"""Content of a store on disk, as readers see it: arriving, small and in memory, or in a file."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from attrs import define
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ...interfaces import IStoredBody
from ..pieces import Pieces
from .files import Damaged, OpenFile, read_block, read_block_at_once
from .index import BLOCK


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
    content: bytes | None = None
    pieces: Pieces | None = None
    in_file: int = 0
    file: OpenFile | None = None
    checksums: bytes | None = None

    @property
    def whole(self) -> bytes | None:
        """See ``IStoredBody``: in memory counts the system's page cache, for what is one block."""
        if self.content is not None:
            return self.content
        if self.size > BLOCK or self.file is None or self.checksums is None:
            return None
        try:
            return read_block_at_once(self.file, self.size, 0, self.checksums)
        except (OSError, Damaged) as error:
            self.store.lost(self, error)
            return None

    def read(self, offset: int, most: int) -> bytes | Awaitable[bytes]:
        """See ``IStoredBody``."""
        content = self.content
        if content is not None:
            return content if offset == 0 and len(content) <= most else content[offset:][:most]
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

    def file_region(self) -> tuple[int, int] | None:
        """See ``IStoredBody``. The descriptor is good as long as the body is held.

        What is sent this way was not compared with its checksums.
        """
        if self.file is None or self.checksums is None or self.content is not None:
            return None
        return self.file.descriptor, 0

    def load(self) -> bytes:
        """Read all of it; in a thread.

        :raises OSError: when that cannot be done.
        :raises Damaged: when it is not what was stored.
        """
        assert self.checksums is not None
        file = self._opened()
        blocks = range(-(-self.size // BLOCK))
        return b"".join(read_block(file, self.size, index, self.checksums) for index in blocks)

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
