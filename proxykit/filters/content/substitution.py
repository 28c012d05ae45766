"""One substitution on content: what an expression matches, and what stands there instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic

from attrs import frozen

from .expressions import Expression, compiled


class GaveUp(Exception):
    """Filtering one content would take more time or memory than it may; says which."""


@frozen(slots=True)
class Budget:
    """What filtering one content may take.

    :ivar until: on the clock of ``time.monotonic``; looked at between matches.
    :ivar size: the most bytes that may come out of any step.
    :ivar work: the most of bytes times instructions for a step, which bounds the time of a match:
        that cannot be interrupted, and takes 5 ns for each at the worst.
    """

    until: float
    size: int
    work: int


@frozen(slots=True)
class Fact:
    """A place in a replacement for something that is known of the exchange.

    :ivar name: a key of the facts that ``apply`` is given.
    """

    name: str


Part = str | int | Fact
"""A part of a replacement: a text, a group's number, or a fact."""


@frozen(slots=True, eq=False)
class Substitution:
    """A substitution for texts in UTF-8 and for texts in which each byte is a character.

    :ivar once: whether only the first match is replaced.
    """

    once: bool
    _utf8: tuple[Expression, tuple[bytes | int | Fact, ...]]
    _latin: tuple[Expression, tuple[bytes | int | Fact, ...]] | None

    @classmethod
    def of_text(cls, source: str, parts: Sequence[Part], *, once: bool) -> Substitution:
        """Compile one that is meant as text: its letters match that letter in UTF-8 and Latin-1.

        :raises ValueError: see ``compiled``.
        """
        utf8 = compiled(source.encode("utf-8"), utf8=True), _encoded(parts, "utf-8")
        try:
            latin = compiled(source.encode("latin-1")), _encoded(parts, "latin-1")
        except UnicodeEncodeError:
            return cls(once, utf8, None)  # no Latin-1 text has these letters
        return cls(once, utf8, latin)

    @classmethod
    def of_bytes(cls, source: str, parts: Sequence[Part], *, once: bool) -> Substitution:
        """Compile one that is meant as bytes, whatever they stand for.

        :param source: each character below U+0100 stands for a byte.
        :raises ValueError: see ``compiled``.
        """
        both = compiled(source.encode("latin-1")), _encoded(parts, "latin-1")
        return cls(once, both, both)

    @property
    def groups(self) -> int:
        """How many groups the expression has."""
        return self._utf8[0].groups

    def apply(
        self, text: bytes, budget: Budget, *, utf8: bool = False, facts: Mapping[str, bytes] = {}
    ) -> bytes:
        """Replace what matches.

        :param utf8: whether the text is valid UTF-8.
        :param facts: for the ``Fact`` parts.
        :returns: the same object when nothing did.
        :raises GaveUp: when the budget does not suffice.
        """
        chosen = self._utf8 if utf8 else self._latin
        if chosen is None:
            return text
        expression, parts = chosen
        if len(text) * expression.instructions > budget.work:
            raise GaveUp("it is too large for one of the expressions")
        pieces: list[bytes] = []
        end = size = 0
        last = (-1, -1)
        for match in expression.find(text):
            begin, stop = span = match.span()
            # Behind an empty match the binding goes on at the next byte: in the middle of a
            # character, or where it finds the same match again.
            if span == last or (begin == stop and utf8 and _is_inside(text, begin)):
                continue
            last = span
            before, end = end, stop
            piece = _rendered(parts, match, text, facts)
            pieces += (text[before:begin], piece)
            size += begin - before + len(piece)
            if self.once:
                break
            if size > budget.size:
                raise GaveUp("the replacements make it too large")
            if monotonic() > budget.until:
                raise GaveUp("it takes too long")
        if not pieces:
            return text
        pieces.append(text[end:])
        return b"".join(pieces)


def _is_inside(text: bytes, position: int) -> bool:
    """Say whether a position is in the middle of a character in UTF-8 (RFC 3629 section 3)."""
    return text[position : position + 1] >= b"\x80" and text[position] < 0xC0


def _encoded(parts: Sequence[Part], encoding: str) -> tuple[bytes | int | Fact, ...]:
    return tuple(part.encode(encoding) if isinstance(part, str) else part for part in parts)


def _rendered(
    parts: tuple[bytes | int | Fact, ...],
    match: object,
    text: bytes,
    facts: Mapping[str, bytes],
) -> bytes:
    if len(parts) == 1 and isinstance(parts[0], bytes):
        return parts[0]
    pieces: list[bytes] = []
    for part in parts:
        if isinstance(part, bytes):
            pieces.append(part)
        elif isinstance(part, Fact):
            pieces.append(facts.get(part.name, b""))
        else:
            begin, end = match.span(part)  # type: ignore[attr-defined]
            pieces.append(text[begin:end])  # (-1, -1) is empty too
    return b"".join(pieces)
