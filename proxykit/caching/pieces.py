"""Content in memory, as the pieces in which it came: appended to, and read from any place."""

from __future__ import annotations

from bisect import bisect_right

from zope.interface import implementer

from ..interfaces import IStoredBody

BLOCK = 256 * 1024
"""Pieces are joined up to this size, in bytes, once the content is complete."""


@implementer(IStoredBody)
class Pieces:
    """Content that grows at its end, and that may be forgotten from its beginning.

    :ivar size: how many bytes were appended, forgotten ones too.
    :ivar whole: all of it as one object, if it is complete and one piece.
    """

    __slots__ = ("_pieces", "_starts", "complete", "size")

    def __init__(self) -> None:
        """Begin empty."""
        self._pieces: list[bytes] = []
        self._starts: list[int] = []
        self.complete = False
        self.size = 0

    @classmethod
    def of(cls, content: bytes) -> Pieces:
        """Make complete content."""
        pieces = cls()
        if content:
            pieces.append(content)
        pieces.complete = True
        return pieces

    @property
    def whole(self) -> bytes | None:
        """See ``IStoredBody``."""
        if not self.complete or len(self._pieces) > 1:
            return None
        return self._pieces[0] if self._pieces else b""

    @property
    def held(self) -> int:
        """How many bytes are still held."""
        return self.size - self._starts[0] if self._starts else 0

    def append(self, data: bytes) -> None:
        """Take more; ``data`` is not empty."""
        self._starts.append(self.size)
        self._pieces.append(data)
        self.size += len(data)

    def read(self, offset: int, most: int) -> bytes:
        """See ``IStoredBody``."""
        index = bisect_right(self._starts, offset) - 1
        if index < 0:
            return b""
        piece = self._pieces[index]
        start = offset - self._starts[index]
        if start == 0 and len(piece) <= most:
            return piece  # the very object: nothing is copied
        return piece[start : start + most]

    def file_region(self) -> None:
        """See ``IStoredBody``: it lies in no file."""

    def forget(self, before: int) -> None:
        """Let go of the pieces that lie wholly before an offset."""
        index = bisect_right(self._starts, before) - 1
        if index > 0:
            del self._starts[:index]
            del self._pieces[:index]

    def finish(self) -> None:
        """Say that all is there, and join small pieces: each costs more than its bytes."""
        self.complete = True
        if len(self._pieces) < 2:
            return
        joined: list[bytes] = []
        gathered: list[bytes] = []
        size = 0
        for piece in self._pieces:
            if gathered and size + len(piece) > BLOCK:
                joined.append(b"".join(gathered))
                gathered, size = [], 0
            gathered.append(piece)
            size += len(piece)
        joined.append(b"".join(gathered))
        self._starts.clear()
        position = self.size - sum(map(len, joined))
        for piece in joined:
            self._starts.append(position)
            position += len(piece)
        self._pieces = joined
