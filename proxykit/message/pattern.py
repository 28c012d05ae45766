"""Regular expressions that no text can stall: RE2's syntax, time linear in the text.

Python's ``re`` backtracks, and a client who chooses the text chooses how long. RE2 does without
backtracking, and so without back-references and look-around.
"""

from __future__ import annotations

import re
from typing import Any

import re2
from attrs import frozen

_MOST_INSTRUCTIONS = 300
"""The largest compiled expression. RE2's slowest way takes 80 ns for each instruction and
character: with this, 25 ms for a text of 8 KiB. Expressions that people write have under 100."""

# What RE2 says of what it does not do, and what that is called.
_WORDS = (
    (re.compile(r"invalid perl operator: \(\?<?[=!]"), "look-around"),
    (re.compile(r"invalid escape sequence: \\[1-9k]"), "a back-reference"),
    (re.compile(r"invalid perl operator: \(\?P\Z"), "a back-reference"),
    (re.compile(r"bad repetition operator: .*\+\Z"), "a possessive quantifier"),
    (re.compile(r"invalid perl operator: \(\?>"), "an atomic group"),
    (re.compile(r"invalid perl operator: \(\?\("), "a condition"),
)

# The literal characters at the front of an anchored expression.
_LITERAL = re.compile(r"(?:\^|\\A)((?:[A-Za-z0-9_/~%-]|\\[./~-])+)")
_REPEATS = frozenset("*+?{")


@frozen(slots=True, eq=False, repr=False)
class Pattern:
    """A compiled expression.

    :ivar text: as it was written.
    :ivar instructions: its compiled size; the time for a search is at most proportional to it.
    :ivar groups: the names of its groups: numbers, and names where they have one.
    :ivar front: what every text begins with that it matches, ``""`` where that is not known.
    """

    text: str
    instructions: int
    groups: tuple[str, ...]
    front: str
    _search: Any
    _capture: Any

    @classmethod
    def of(
        cls,
        text: str,
        *,
        case_sensitive: bool = True,
        whole: bool = False,
        most_instructions: int = _MOST_INSTRUCTIONS,
    ) -> Pattern:
        """Compile an expression.

        :param whole: whether it has to match the whole of a text, and not anywhere in it.
        :raises ValueError: when it is none of RE2's, or is so large that it could hold up others.
        """
        capturing = _compiled(text, case_sensitive)
        if whole:
            capturing = _compiled(rf"\A(?:{text})\z", case_sensitive)
        numbers = range(1, capturing.groups + 1)
        groups = (*map(str, numbers), *capturing.groupindex)
        searching = capturing
        if groups:
            # What groups hold is found more slowly than whether there is a match.
            searching = _compiled(capturing.pattern, case_sensitive, never_capture=True)
        size = max(searching.programsize, searching.reverseprogramsize)
        if size > most_instructions:
            raise ValueError("the regular expression is too large; its repetitions multiply")
        front = _front(rf"\A{text}" if whole else text) if case_sensitive else ""
        return cls(text, size, groups, front, searching.search, capturing.search)

    def search(self, text: str) -> bool:
        """Say whether it matches anywhere in a text."""
        # RE2 is asked for 1.5 µs, this is 0.1: most paths are none of an expression's.
        if not text.startswith(self.front):
            return False
        # Bytes are searched without a table of the characters' offsets, four times as fast.
        return self._search(text.encode("utf-8", "replace")) is not None

    def search_bytes(self, data: bytes) -> bool:
        """Say whether it matches anywhere in what is UTF-8, or mostly."""
        return self._search(data) is not None

    def captures(self, text: str) -> dict[str, str] | None:
        """Give what the groups hold in the first match, ``""`` for those that had no part in it.

        :returns: a text for each of ``groups``, and as ``"0"`` all that matched; ``None`` when
            there is no match.
        """
        if not text.startswith(self.front):
            return None
        match = self._capture(text.encode("utf-8", "replace"))
        if match is None:
            return None
        return {
            name: (match[int(name) if name.isdecimal() else name] or b"").decode("utf-8")
            for name in ("0", *self.groups)
        }

    def __repr__(self) -> str:
        return f"<Pattern {self.text!r}>"


def _compiled(text: str, case_sensitive: bool, *, never_capture: bool = False) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = never_capture
    options.case_sensitive = case_sensitive
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise ValueError(why_not(error)) from None


def why_not(error: re2.error) -> str:
    """Say in a sentence why RE2 does not take an expression."""
    said = error.args[0] if error.args else "?"
    if isinstance(said, bytes):
        said = said.decode("utf-8", "replace")
    for known, words in _WORDS:
        if known.match(said):
            return f"{words} cannot be had in time linear in the text (RE2: {said})"
    return f"this is no regular expression of RE2's: {said}"


def _front(source: str) -> str:
    """Give the literal text that an anchored expression begins with.

    It errs on the side of giving none: an alternative anywhere, or flags, and it gives up.
    """
    match = _LITERAL.match(source)
    if match is None or "|" in source or "(?" in source:
        return ""
    literal = match[1]
    if source[match.end() : match.end() + 1] in _REPEATS:
        literal = literal[: -2 if literal[-2:-1] == "\\" else -1]
    return literal.replace("\\", "")
