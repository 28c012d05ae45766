"""Range requests (RFC 9110 section 14): one range of bytes."""

from __future__ import annotations

import re

from attrs import frozen

_ONE_RANGE = re.compile(
    rb"bytes[ \t]*=[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))\Z", re.I
)


class NotSatisfiable(Exception):
    """The range lies outside of the content (RFC 9110 section 15.5.17)."""


@frozen(slots=True)
class ByteRange:
    """A part of some content.

    :ivar start: of its first byte.
    :ivar size: in bytes, never 0.
    """

    start: int
    size: int

    def content_range(self, complete: int) -> bytes:
        """Write Content-Range (RFC 9110 section 14.4).

        :param complete: the size of the whole content.
        """
        return b"bytes %d-%d/%d" % (self.start, self.start + self.size - 1, complete)


def byte_range(value: bytes | None, complete: int) -> ByteRange | None:
    """Read a Range field.

    A server may ignore Range (section 14.2), and for several ranges at once this one does: many
    small and overlapping ones are an old way to make a server work (section 17.15).

    :param complete: the size of the whole content, in bytes.
    :returns: the part that is asked for; ``None`` for all of it.
    :raises NotSatisfiable: when no byte is where the range lies.
    """
    match = _ONE_RANGE.match(value) if value is not None else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        wanted = int(suffix)
        if wanted == 0:
            raise NotSatisfiable
        # Of no content, the last bytes are all of it.
        return ByteRange(max(complete - wanted, 0), min(wanted, complete)) if complete else None
    start = int(first)
    end = int(last) if last else complete - 1
    if last and end < start:
        return None  # section 14.1.1: not valid, so the field is ignored
    if start >= complete:
        raise NotSatisfiable
    return ByteRange(start, min(end, complete - 1) - start + 1)
