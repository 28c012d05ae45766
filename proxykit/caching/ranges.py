"""Ranges: RFC 9110 section 14, and RFC 9111 sections 3.3 and 3.4."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from attrs import frozen

_SPEC = re.compile(rb"[ \t]*+([0-9]*+)-([0-9]*+)[ \t]*+\Z")
_CONTENT_RANGE = re.compile(rb"bytes[ \t]++([0-9]{1,15}+)-([0-9]{1,15}+)/([0-9]{1,15}+|\*)\Z", re.I)
_MOST_RANGES = 16
_MOST = 10**15  # behind the end of any content: RFC 9110 section 14.1.2 has numbers of any length


@frozen(slots=True)
class Span:
    """Bytes from ``start`` up to, but without, ``stop``."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many bytes that is."""
        return self.stop - self.start


@frozen(slots=True)
class ContentRange:
    """What a Content-Range field says (RFC 9110 section 14.4).

    :ivar complete: the length of the whole, ``None`` for ``*``.
    """

    span: Span
    complete: int | None


class RangeRequest:
    """A Range field whose unit is bytes: what is asked for, of whatever length the whole has.

    :ivar specs: pairs of first and last position as they were written; the first is ``None`` for
        a suffix, the last is for an open end.
    """

    __slots__ = ("specs",)

    def __init__(self, specs: tuple[tuple[int | None, int | None], ...]) -> None:
        """Take the pairs."""
        self.specs = specs

    def spans(self, complete: int) -> list[Span]:
        """Give the parts of a whole that are asked for and exist, in order; none: 416."""
        found: list[Span] = []
        for first, last in self.specs:
            if first is None:
                assert last is not None
                start, stop = max(0, complete - last), complete
            else:
                start, stop = first, complete if last is None else min(last + 1, complete)
            if start < stop:
                found.append(Span(start, stop))
        return found


def parse_range(value: bytes | None) -> RangeRequest | None:
    """Parse a Range field (RFC 9110 section 14.2).

    :returns: ``None`` when there is none, when it is malformed, of another unit, or asks for more
        parts than anybody needs: it is then as if there were none, which a server may always do.
    """
    if value is None or len(value) > 512:
        return None
    unit, equals, rest = value.partition(b"=")
    if not equals or unit.strip(b" \t").lower() != b"bytes":
        return None
    specs: list[tuple[int | None, int | None]] = []
    for each in rest.split(b","):
        if not each.strip(b" \t"):
            continue
        match = _SPEC.match(each)
        if match is None or len(specs) >= _MOST_RANGES:
            return None
        first, last = (int(each) if each else None for each in match.groups())
        if first is None and last is None:
            return None
        if first is not None and last is not None and last < first:
            return None
        specs.append((_bounded(first), _bounded(last)))
    return RangeRequest(tuple(specs)) if specs else None


def _bounded(position: int | None) -> int | None:
    return None if position is None else min(position, _MOST)


def reasonable(spans: Sequence[Span], complete: int) -> bool:
    """Say whether spans are worth being sent as parts (RFC 9110 section 14.2).

    Many small, overlapping or unordered ranges are an attack on the bandwidth; the whole is sent
    instead. So it is when the parts together are no less than the whole.
    """
    if len(spans) == 1:
        return True
    ordered = all(one.stop <= other.start for one, other in pairwise(spans))
    return ordered and sum(span.size for span in spans) < complete


def parse_content_range(value: bytes | None) -> ContentRange | None:
    """Parse a Content-Range field; ``None`` when there is none, or none of bytes that is right."""
    match = _CONTENT_RANGE.match(value) if value is not None else None
    if match is None:
        return None
    start, last = int(match[1]), int(match[2])
    complete = None if match[3] == b"*" else int(match[3])
    if last < start or (complete is not None and last >= complete):
        return None
    return ContentRange(Span(start, last + 1), complete)


def content_range(span: Span, complete: int) -> bytes:
    """Write the value of a Content-Range field."""
    return b"bytes %d-%d/%d" % (span.start, span.stop - 1, complete)


def part_heads(
    spans: Sequence[Span], complete: int, media_type: bytes | None, boundary: bytes
) -> tuple[list[bytes], bytes]:
    """Write what stands between the parts of a multipart/byteranges (RFC 9110 section 14.6).

    :returns: what stands before each part, and what stands behind the last.
    """
    kind = b"Content-Type: %s\r\n" % media_type if media_type is not None else b""
    heads = [
        b"%s--%s\r\n%sContent-Range: %s\r\n\r\n"
        % (b"\r\n" if index else b"", boundary, kind, content_range(span, complete))
        for index, span in enumerate(spans)
    ]
    return heads, b"\r\n--%s--\r\n" % boundary
