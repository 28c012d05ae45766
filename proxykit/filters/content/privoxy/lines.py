"""The lines of Privoxy's files: comments, continuations, white space."""

from __future__ import annotations

import re
from collections.abc import Iterator

# A number sign begins a comment anywhere, unless a backslash stands before it.
_COMMENT = re.compile(r"(?<!\\)#.*")


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give what the lines say, each with the number of the physical line on which it begins.

    A backslash at the end joins the next line, white space and all, also behind a comment.
    """
    joined = ""
    begun = 0
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        goes_on = line.endswith("\\")
        if goes_on:
            line = line[:-1]
        joined += _COMMENT.sub("", line).replace("\\#", "#")
        begun = begun or number
        if goes_on:
            continue
        if stripped := joined.strip():
            yield begun, stripped
        joined, begun = "", 0
    if stripped := joined.strip():
        yield begun, stripped
