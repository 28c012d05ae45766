"""Field sections that were parsed before, so that a head which repeats is not parsed again."""

from __future__ import annotations

from ..errors import BadRequest, BadResponse, HeadTooLarge
from ..message.fields import FieldSection
from .grammar import FIELD, FIELD_SECTION

_ENTRIES = 1024
_LONGEST = 4096  # so the table never holds more than 4 MiB of what peers sent
_MARKS = 8192


class RememberedSections:
    """Parses field sections and remembers by their bytes those that come more than once.

    A hit costs a hash of the bytes, 0.2 µs; a miss with nine fields 4 µs. What is seen for the
    first time leaves a mark only: heads that never repeat push out none that do, and their memory
    is used again while it is in the processor's cache (benchmark ``reverse-varied``). A table that
    is full is emptied: that is cheaper than keeping an order.
    """

    __slots__ = ("_error", "_marks", "_sections")

    def __init__(self, error: type[BadRequest] | type[BadResponse]) -> None:
        """Make an empty table.

        :param error: what to raise for a section that breaks the grammar.
        """
        self._error = error
        self._sections: dict[bytes, FieldSection] = {}
        self._marks: set[int] = set()

    def parse(self, block: bytes, most_fields: int) -> FieldSection:
        """Give the section that a block of field lines holds.

        :param block: the lines with their line ends, without the empty line behind them.
        :param most_fields: the limit on their number.
        :raises ProxykitError: ``HeadTooLarge`` for too many, else the table's own error.
        """
        section = self._sections.get(block)
        if section is None:
            section = self._parse(block)
            if len(block) <= _LONGEST:
                self._note(block, section)
        if len(section.fields) > most_fields:
            if self._error is BadRequest:
                raise HeadTooLarge(f"the head has more than {most_fields} fields")
            raise self._error(f"the head has more than {most_fields} fields")
        return section

    def _parse(self, block: bytes) -> FieldSection:
        if not block:
            # One of this table's own: what is noted in a response's section says nothing of a
            # request, whose Host would be taken for checked.
            return FieldSection((), b"")
        if FIELD_SECTION.match(block) is None:
            raise self._error(_what_is_wrong(block))
        fields = FIELD.findall(block)
        if b" \r\n" in block or b":  " in block or b"\t" in block:
            # White space around a value is no part of it (RFC 9110 section 5.5), nor passed on.
            return FieldSection(tuple([(name, value.rstrip(b" \t")) for name, value in fields]))
        return FieldSection(tuple(fields), block)

    def _note(self, block: bytes, section: FieldSection) -> None:
        mark = hash(block)
        if mark in self._marks:
            if len(self._sections) >= _ENTRIES:
                self._sections.clear()
            self._sections[block] = section
        else:
            if len(self._marks) >= _MARKS:
                self._marks.clear()
            self._marks.add(mark)


def _what_is_wrong(block: bytes) -> str:
    """Say in words why a block is no field section."""
    if b"\0" in block:
        return "a field holds a NUL"
    for line in block.split(b"\r\n"):
        if line[:1] in (b" ", b"\t"):
            return "a field is folded over lines"
        if b"\n" in line or b"\r" in line:
            return "a field holds a bare CR or LF"
        name, colon, _ = line.partition(b":")
        if line and not colon:
            return "a field line has no colon"
        if name.endswith((b" ", b"\t")):
            return "white space stands before a field's colon"
    return "a field's name or value holds a character that it may not"
