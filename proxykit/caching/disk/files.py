"""Files of bodies: written once, block by block with checksums, and read with these."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from xxhash import xxh3_64

from ..packing import CHECKSUM_SIZE, checksum
from .layout import Layout

BLOCK = 64 * 1024
"""Content is checked, and read, in blocks of this size, in bytes."""

_NO_WAIT = getattr(os, "RWF_NOWAIT", 0)
_NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)

# Only the reactor's thread reads without waiting: one buffer is enough, and none is made a read.
_BUFFER = bytearray(BLOCK)
_VIEW = memoryview(_BUFFER)


class Damaged(Exception):
    """Content on disk is not what was written."""


class OpenFile:
    """An open file, closed when nobody needs it any more.

    :ivar descriptor: its descriptor.
    """

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        """Take over a descriptor."""
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class WrittenFile:
    """A body on its way into a file; only the thread that writes uses it.

    :ivar number: the body's.
    :ivar file: the file, ``None`` before anything was written.
    :ivar size: how many bytes were written.

    Once a write has failed nobody knows how much of it was done: it stays failed.
    """

    def __init__(self, number: int) -> None:
        """Begin; the file is made when there is something to write."""
        self.number = number
        self.file: OpenFile | None = None
        self.size = 0
        self._checksums = bytearray()
        self._block = xxh3_64()
        self._failed = False

    def append(self, layout: Layout, pieces: Iterable[bytes]) -> None:
        """Write more.

        :raises OSError: when that cannot be done.
        """
        if self._failed:
            raise OSError(errno.EIO, "an earlier write to the same file failed")
        self._failed = True
        if self.file is None:
            self.file = OpenFile(layout.create(self.number))
        for piece in pieces:
            view = memoryview(piece)
            while view:
                count = os.pwrite(self.file.descriptor, view, self.size)
                self._account(view[:count])
                view = view[count:]
        self._failed = False

    def _account(self, data: memoryview) -> None:
        while data:
            room = BLOCK - self.size % BLOCK
            part = data[:room]
            self._block.update(part)
            self.size += len(part)
            data = data[room:]
            if self.size % BLOCK == 0:
                self._checksums += self._block.digest()
                self._block.reset()

    def checksums(self) -> bytes:
        """Give the checksums of all blocks; nothing is written any more."""
        if self.size % BLOCK:
            return bytes(self._checksums) + self._block.digest()
        return bytes(self._checksums)


def checksums_of(content: bytes) -> bytes:
    """Give the checksums of the blocks of content."""
    view = memoryview(content)
    return b"".join(
        checksum(view[start : start + BLOCK]) for start in range(0, len(content), BLOCK)
    )


def open_body(layout: Layout, number: int, size: int) -> OpenFile:
    """Open the file of a body.

    :raises OSError: when there is none, or it cannot be opened.
    :raises Damaged: when it has another size.
    """
    file = OpenFile(os.open(layout.path(number), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
    if os.fstat(file.descriptor).st_size != size:
        raise Damaged("its size is wrong")
    return file


def block_size(size: int, index: int) -> int:
    """Give how long a block of content of a size is."""
    return min(BLOCK, size - index * BLOCK)


def read_block(file: OpenFile, size: int, index: int, checksums: bytes) -> bytes:
    """Read a block, from the disk if need be.

    :raises OSError: when that fails.
    :raises Damaged: when it is not what was written.
    """
    data = os.pread(file.descriptor, block_size(size, index), index * BLOCK)
    check_block(data, index, checksums)
    return data


def read_block_at_once(file: OpenFile, size: int, index: int, checksums: bytes) -> bytes | None:
    """Read a block that lies in the system's page cache (preadv2(2), ``RWF_NOWAIT``).

    :returns: ``None`` when it is not known to.
    :raises OSError: when reading fails.
    :raises Damaged: when it is not what was written.
    """
    if not _fill(file, size, index):
        return None
    wanted = block_size(size, index)
    data = bytes(_BUFFER) if wanted == BLOCK else bytes(_VIEW[:wanted])
    check_block(data, index, checksums)
    return data


def is_at_hand(file: OpenFile, size: int, index: int, checksums: bytes) -> bool:
    """Say whether a block lies in the page cache, and compare it with its checksum.

    :raises OSError: when reading fails.
    :raises Damaged: when it is not what was written.
    """
    if not _fill(file, size, index):
        return False
    wanted = block_size(size, index)
    check_block(_BUFFER if wanted == BLOCK else _VIEW[:wanted], index, checksums)
    return True


def _fill(file: OpenFile, size: int, index: int) -> bool:
    """Read a block into the buffer, if it lies in the page cache."""
    if not _NO_WAIT:
        return False
    try:
        count = os.preadv(file.descriptor, [_BUFFER], index * BLOCK, _NO_WAIT)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NOT_SUPPORTED:
            return False  # not every file system can tell
        raise
    # Some of it may be; a thread finds out about the rest.
    return count >= block_size(size, index)


def check_block(data: bytes | bytearray | memoryview, index: int, checksums: bytes) -> None:
    """Compare a block with its checksum.

    :raises Damaged: when they differ.
    """
    start = index * CHECKSUM_SIZE
    if checksum(data) != checksums[start : start + CHECKSUM_SIZE]:
        raise Damaged("its checksum is wrong")
