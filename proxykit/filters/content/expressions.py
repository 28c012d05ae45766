"""Regular expressions for content: RE2's, whose time is linear in the text, and none else.

RE2 does without backtracking, and so without look-around and back-references. Content is bytes; an
expression sees them as UTF-8 or as Latin-1, each byte a character.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import re2
from attrs import frozen

from ...message.pattern import why_not

_MOST_INSTRUCTIONS = 1000
"""The largest compiled expression. Those that people write have under 100; RE2's slowest way takes
5 ns for each instruction and byte, and cannot be interrupted."""


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
        raise ValueError(why_not(error)) from None
    size = max(expression.programsize, expression.reverseprogramsize)
    if size > _MOST_INSTRUCTIONS:
        raise ValueError("the regular expression is too large; its repetitions multiply")
    return Expression(size, expression.groups, expression.finditer, expression.search)
