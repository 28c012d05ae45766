"""Fields of a message (RFC 9110 section 5): as they were read, and as a plug-in changes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

Field = tuple[bytes, bytes]

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""One character of a token (RFC 9110 section 5.6.2), as a regular expression's class."""

_NAME = re.compile(TOKEN + rb"+\Z")
# Field values may hold visible characters, obs-text, and spaces and tabs that are not at an end.
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?\Z")

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",  # never a standard; clients of old proxies send it
        b"te",
        b"transfer-encoding",
        b"upgrade",
        # RFC 9110 section 11.7: meant for the first proxy on the way, which is this one.
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-authentication-info",
    }
)
"""Fields that concern one connection only (RFC 9110 section 7.6.1), in lower case."""


_NO_OPTIONS: frozenset[bytes] = frozenset()
_KEEP_ALIVE = frozenset({b"keep-alive"})


def connection_options(value: bytes | None) -> frozenset[bytes]:
    """Give the options of a Connection field (RFC 9110 section 7.6.1), in lower case.

    :param value: the field's combined value, or ``None`` when there is none.
    """
    if not value:
        return _NO_OPTIONS
    value = value.lower()
    if value == b"keep-alive":  # what most clients and servers say
        return _KEEP_ALIVE
    return frozenset(option.strip(b" \t") for option in value.split(b",")) - {b""}


def spellings(name: bytes) -> Iterator[bytes]:
    """Give a field's name with each of its hyphens as itself and as an underscore.

    To servers that are built like CGI (RFC 3875 section 4.1.18), WSGI among them, these are one.
    """
    first, *rest = name.split(b"-")
    for joints in product(b"-_", repeat=len(rest)):
        pairs = zip(joints, rest, strict=True)
        yield first + b"".join(bytes((joint,)) + part for joint, part in pairs)


def lines_without(lines: bytes, names: Iterable[bytes]) -> bytes:
    """Cut fields out of lines.

    To copy what is left as it came costs a tenth of writing it field by field.

    :param lines: see ``FieldSection.lines``.
    :param names: in lower case.
    """
    lowered = b"\r\n" + lines.lower()  # so that each line, the first too, stands behind CRLF
    cuts = []
    for name in names:
        mark = b"\r\n%s:" % name
        start = lowered.find(mark)
        while start >= 0:
            end = lowered.index(b"\r\n", start + 2)
            cuts.append((start, end))
            start = lowered.find(mark, end)
    cuts.sort()
    kept = []
    position = 0
    for start, end in cuts:
        kept.append(lines[position:start])
        position = end
    kept.append(lines[position:])
    return b"".join(kept)


def _combined(fields: Iterable[Field]) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    for name, value in fields:
        key = name.lower()
        values[key] = values[key] + b", " + value if key in values else value
    return values


class FieldSection:
    """The fields of one message as they were read: checked, in order, never changed.

    Sections are remembered by the reader and shared by messages that repeat them, so whoever
    computes something from a section alone may keep it here.

    :ivar fields: the pairs of name and value, as received but for white space around values.
    :ivar values: the combined value (RFC 9110 section 5.3) of each name in lower case.
    :ivar options: the options of the Connection field, in lower case.
    :ivar cache_note: what a cache last made of it, see ``caching.route_cache``.
    :ivar rendering: the last rendering made of this section, see ``engine.forwarding``.
    :ivar declared: the framing that it declares in HTTP/1.1, see ``message.framing``; ``None``
        until it was judged.
    """

    __slots__ = ("_lines", "cache_note", "declared", "fields", "options", "rendering", "values")

    def __init__(self, fields: tuple[Field, ...], lines: bytes | None = None) -> None:
        """Index the fields.

        :param fields: pairs that are known to be valid.
        :param lines: the same as lines, where they are at hand.
        """
        self.fields = fields
        values = {name.lower(): value for name, value in fields}
        if len(values) != len(fields):
            values = _combined(fields)
        self.values = values
        self._lines = lines
        self.options = connection_options(values.get(b"connection"))
        self.rendering: tuple[object, bytes] | None = None
        self.declared: Any = None
        self.cache_note: tuple[object, str, bytes | None, dict[object, bool]] | None = None

    @property
    def lines(self) -> bytes:
        """The fields as they stand in a message: a line each, its CRLF included."""
        if self._lines is not None:
            return self._lines
        return b"".join([b"%s: %s\r\n" % field for field in self.fields])

    def get(self, name: bytes) -> bytes | None:
        """Give the combined value of a field.

        :param name: in lower case.
        """
        return self.values.get(name)

    def __repr__(self) -> str:
        return f"<FieldSection {len(self.fields)} fields>"


EMPTY_SECTION = FieldSection(())


class Headers:
    """The header fields of a message as plug-ins see and change them.

    Order, case and repetition are kept; names are looked up without regard to case. Nothing that
    is not a valid field can be put in, so nothing that is put in can split a message.

    :ivar written: the names, in lower case, of what was put in here. These fields are the proxy's
        own, and a peer's Connection field has no say about them.
    """

    __slots__ = ("_fields", "written")

    def __init__(self, fields: Iterable[Field] = ()) -> None:
        """Take fields.

        :param fields: pairs of name and value; each is checked.
        :raises ValueError: when one is no valid field.
        """
        self._fields = [checked_field(name, value) for name, value in fields]
        self.written: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, section: FieldSection) -> Headers:
        """Make a copy that can be changed of a section that was read."""
        headers = cls()
        headers._fields = list(section.fields)
        return headers

    def get(self, name: bytes, default: bytes | None = None) -> bytes | None:
        """Give the combined value (RFC 9110 section 5.3) of a field.

        :param name: in any case.
        :param default: what to give when there is no such field.
        """
        values = self.get_all(name)
        return b", ".join(values) if values else default

    def get_all(self, name: bytes) -> list[bytes]:
        """Give the values of every field of a name, in order."""
        key = name.lower()
        return [value for each, value in self._fields if each.lower() == key]

    def set(self, name: bytes, value: bytes) -> None:
        """Put one field in the place of all of that name, and of those that CGI takes for it.

        :raises ValueError: when that is no valid field.
        """
        field = checked_field(name, value)
        self.remove_alike(name)
        self._fields.append(field)
        self.written |= {name.lower()}

    def add(self, name: bytes, value: bytes) -> None:
        """Add a field behind those that are there.

        :raises ValueError: when that is no valid field.
        """
        self._fields.append(checked_field(name, value))
        self.written |= {name.lower()}

    def remove(self, name: bytes) -> None:
        """Take away every field of a name; none is fine."""
        key = name.lower()
        self._fields = [field for field in self._fields if field[0].lower() != key]

    def remove_alike(self, name: bytes) -> None:
        """Take away every field of a name, with underscores for its hyphens or not.

        What the proxy vouches for a client must not say beside it: see ``spellings``.
        """
        key = name.lower().replace(b"_", b"-")
        self._fields = [
            field for field in self._fields if field[0].lower().replace(b"_", b"-") != key
        ]

    def section(self) -> FieldSection:
        """Give what is in here now as a section."""
        return FieldSection(tuple(self._fields))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, bytes) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"<Headers {len(self._fields)} fields>"


def checked_field(name: bytes, value: bytes) -> Field:
    """Check a field that is about to be written.

    :returns: the pair.
    :raises ValueError: when the name is no token or the value holds what no value may
        (RFC 9110 section 5.5): CR, LF and NUL above all.
    """
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is not a field name")
    if not _VALUE.match(value):
        raise ValueError(f"the value of {name.decode('ascii')} is not a field value")
    return name, value
