"""Readers of a message's content, one for each framing (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

from typing import Protocol

from ..errors import BadRequest, BadResponse
from ..message.fields import EMPTY_SECTION, FieldSection
from .grammar import CHUNK_SIZE, FIELD, FIELD_SECTION

_LONGEST_LINE = 4096
_MOST_OVERHEAD = 64 * 1024  # bytes of chunk lines in a row that carry next to no data
_LONGEST_TRAILERS = 16 * 1024


class ContentReader(Protocol):
    """Takes what arrived behind a head.

    :ivar trailers: the trailer section, meaningful once the content is complete.
    """

    trailers: FieldSection

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take bytes.

        :returns: the content in them, and what is left behind the end of the message, or ``None``
            while the message has not ended.
        """

    def close(self) -> bool:
        """Say whether the message is complete when the connection ends here."""


class LengthReader:
    """Reads content of a known length."""

    __slots__ = ("_left", "trailers")

    def __init__(self, size: int) -> None:
        """Expect ``size`` bytes."""
        self._left = size
        self.trailers = EMPTY_SECTION

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """See ``ContentReader``."""
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data, None
        if left == 0:
            self._left = 0
            return data, b""
        end = self._left
        self._left = 0
        return data[:end], data[end:]

    def close(self) -> bool:
        """See ``ContentReader``."""
        return self._left == 0


class UntilCloseReader:
    """Reads content that ends with the connection."""

    __slots__ = ("trailers",)

    def __init__(self) -> None:
        """Expect anything."""
        self.trailers = EMPTY_SECTION

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """See ``ContentReader``."""
        return data, None

    def close(self) -> bool:
        """See ``ContentReader``."""
        return True


class ChunkedReader:
    """Reads chunked content (RFC 9112 section 7.1).

    Chunk extensions are read over and not passed on. Content made of tiny chunks under long
    extensions is refused: it is work without a purpose.
    """

    __slots__ = ("_buffer", "_error", "_left", "_overhead", "trailers")

    # _left counts the bytes of the chunk that are still to come with its CRLF; these two stand
    # for the places where a line is expected.
    _AT_SIZE = 0
    _AT_TRAILERS = -1

    def __init__(self, error: type[BadRequest] | type[BadResponse]) -> None:
        """Expect a chunk.

        :param error: what to raise for a fault.
        """
        self._error = error
        self._buffer = b""
        self._left = self._AT_SIZE
        self._overhead = 0
        self.trailers = EMPTY_SECTION

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """See ``ContentReader``.

        :raises BadRequest, BadResponse: for anything but chunks as they should be.
        """
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[bytes] = []
        position = 0
        length = len(data)
        while position < length or self._left == self._AT_TRAILERS:
            if self._left > 0:
                position = self._take_data(data, position, pieces)
                continue
            if self._left == self._AT_TRAILERS:
                end = self._take_trailers(data, position)
                if end is None:
                    self._buffer = data[position:]
                    break
                return b"".join(pieces), data[end:]
            match = CHUNK_SIZE.match(data, position)
            if match is None:
                self._hold_line(data[position:])
                break
            position = self._begin_chunk(match.group(1), match.end() - position, match.end())
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), None

    def close(self) -> bool:
        """See ``ContentReader``: the end is told by the last chunk alone."""
        return False

    def _begin_chunk(self, digits: bytes, line: int, end: int) -> int:
        size = int(digits, 16)
        self._overhead = max(0, self._overhead + line - size)
        if self._overhead > _MOST_OVERHEAD:
            raise self._error("the chunks carry more overhead than data")
        self._left = size + 2 if size else self._AT_TRAILERS
        return end

    def _take_data(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """Take chunk data and the CRLF behind it; give the new position."""
        available = len(data) - position
        size = min(self._left - 2, available)
        if size > 0:
            pieces.append(data[position : position + size] if size < len(data) else data)
            self._left -= size
            position += size
        while 0 < self._left <= 2 and position < len(data):
            if data[position] != (0x0D if self._left == 2 else 0x0A):
                raise self._error("a chunk is longer than it said")
            self._left -= 1
            position += 1
        return position

    def _take_trailers(self, data: bytes, position: int) -> int | None:
        """Take the trailer section; give the position behind it, ``None`` if it is not all here."""
        if data.startswith(b"\r\n", position):
            return position + 2
        end = data.find(b"\r\n\r\n", position)
        if end < 0:
            if len(data) - position > _LONGEST_TRAILERS:
                raise self._error("the trailer section is too large")
            if b"\n" in data[position:].replace(b"\r\n", b""):
                raise self._error("a line of the trailer section ends in a bare LF")
            return None
        block = data[position : end + 2]
        if len(block) > _LONGEST_TRAILERS or FIELD_SECTION.match(block) is None:
            raise self._error("the trailer section breaks the grammar")
        self.trailers = FieldSection(
            tuple((name, value.rstrip(b" \t")) for name, value in FIELD.findall(block))
        )
        return end + 4

    def _hold_line(self, line: bytes) -> None:
        """Keep the beginning of a chunk's line, if it can still become one."""
        if b"\n" in line or len(line) > _LONGEST_LINE:
            raise self._error("a chunk's size is not plain hexadecimal")
        size = line.split(b";", 1)[0].rstrip(b" \t\r")
        if size.strip(b"0123456789abcdefABCDEF") or len(size) > 15:
            raise self._error("a chunk's size is not plain hexadecimal")
        self._buffer = line
