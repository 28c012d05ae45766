"""Regular expressions for content: RE2's, whose time is linear in the text, and none else.

RE2 does without backtracking, and so without look-around and back-references. Content is bytes; an
expression sees them as UTF-8 or as Latin-1, each byte a character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import re2
from attrs import frozen

_MOST_INSTRUCTIONS = 1000
"""The largest compiled expression. Those that people write have under 100; RE2's slowest way takes
5 ns for each instruction and byte, and cannot be interrupted."""

# What RE2 says of what it does not do, and what that is called.
_WORDS = (
    (re.compile(r"invalid perl operator: \(\?<?[=!]"), "look-around"),
    (re.compile(r"invalid escape sequence: \\[1-9]"), "a back-reference"),
    (re.compile(r"bad repetition operator: .*\+\Z"), "a possessive quantifier"),
    (re.compile(r"invalid perl operator: \(\?>"), "an atomic group"),
)


@frozen(slots=True, eq=False, repr=False)
class Expression:
    """A compiled expression.

    :ivar instructions: its compiled size, to which the longest time for a text is proportional.
    :ivar groups: how many groups it has.
    :ivar find: gives the matches in bytes, from the left, none of them overlapping; each has
        ``span(group)``, which is ``(-1, -1)`` for a group that has no part in it.
    :ivar search: gives the first match, or ``None``.
    """

    instructions: int
    groups: int
    find: Callable[[bytes], Iterator[Any]]
    search: Callable[[bytes], Any]


def compiled(source: bytes, *, utf8: bool = False) -> Expression:
    """Compile an expression.

    :param source: in RE2's syntax, encoded as the texts will be.
    :param utf8: whether texts are UTF-8; else each byte is a character.
    :raises ValueError: when it is none, needs what RE2 does not do, or is too large.
    """
    options = re2.Options()
    options.log_errors = False
    if not utf8:
        options.encoding = re2.Options.Encoding.LATIN1
    try:
        expression = re2.compile(source, options)
    except re2.error as error:
        raise ValueError(_reason(error)) from None
    size = max(expression.programsize, expression.reverseprogramsize)
    if size > _MOST_INSTRUCTIONS:
        raise ValueError("the regular expression is too large; its repetitions multiply")
    return Expression(size, expression.groups, expression.finditer, expression.search)


def _reason(error: re2.error) -> str:
    reason = error.args[0] if error.args else "?"
    if isinstance(reason, bytes):
        reason = reason.decode("utf-8", "replace")
    for known, words in _WORDS:
        if known.match(reason):
            return f"{words} cannot be had in time linear in the text (RE2: {reason})"
    return f"this is no regular expression of RE2's: {reason}"
