"""Room for what is on its way to a disk: in memory, because the disk may be slow, and on it."""

from __future__ import annotations

_MOST_UNWRITTEN = 64 * 1024 * 1024  # in memory, because the disk is slower than the servers


class Room:
    """Counts what is being written, in bytes.

    :ivar writing: what will be on the disk, or is there, and is no entry yet.
    :ivar unwritten: what of it is in memory.
    """

    __slots__ = ("_most_writing", "unwritten", "writing")

    def __init__(self, most_writing: int) -> None:
        """Begin with nothing.

        :param most_writing: how much may be on the way at a time, in bytes.
        """
        self._most_writing = most_writing
        self.writing = 0
        self.unwritten = 0

    def is_for(self, size: int) -> bool:
        """Say whether something of a size may be begun."""
        return self.writing + size <= self._most_writing

    def reserve(self, size: int) -> bool:
        """Count what has arrived; say whether there is room for it, and count nothing if not."""
        if not self.is_for(size) or self.unwritten + size > _MOST_UNWRITTEN:
            return False
        self.writing += size
        self.unwritten += size
        return True
