"""Regular expressions that no text can stall: RE2's syntax, time linear in the text.

Python's ``re`` backtracks, and a client who chooses the text chooses how long. RE2 does without
backtracking, and so without back-references and look-around.
"""

from __future__ import annotations

import re2
from attrs import frozen

_MOST_INSTRUCTIONS = 300
"""The largest compiled expression. RE2's slowest way takes 80 ns for each instruction and
character: with this, 25 ms for a text of 8 KiB. Expressions that people write have under 100."""


@frozen(slots=True, eq=False, repr=False)
class Pattern:
    """A compiled expression.

    :ivar text: as it was written.
    :ivar instructions: its compiled size; the time for a text is at most proportional to it.
    """

    text: str
    instructions: int
    _search: object

    @classmethod
    def of(
        cls, text: str, *, case_sensitive: bool = True, most_instructions: int = _MOST_INSTRUCTIONS
    ) -> Pattern:
        """Compile an expression.

        :raises ValueError: when it is none of RE2's, or is so large that it could hold up others.
        """
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True
        options.case_sensitive = case_sensitive
        try:
            compiled = re2.compile(text, options)
        except re2.error as error:
            reason = error.args[0] if error.args else "?"
            if isinstance(reason, bytes):
                reason = reason.decode("utf-8", "replace")
            raise ValueError(f"this is no regular expression (RE2's syntax): {reason}") from None
        size = max(compiled.programsize, compiled.reverseprogramsize)
        if size > most_instructions:
            raise ValueError("the regular expression is too large; its repetitions multiply")
        return cls(text, size, compiled.search)

    def search(self, text: str) -> bool:
        """Say whether it matches anywhere in a text."""
        # Bytes are searched without a table of the characters' offsets, four times as fast.
        return self._search(text.encode("utf-8", "replace")) is not None  # type: ignore[operator]

    def __repr__(self) -> str:
        return f"<Pattern {self.text!r}>"
