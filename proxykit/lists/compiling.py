"""Makes a table out of a list's file: in a process of its own, because a million lines take long.

``python -m proxykit.lists.compiling KIND FILE`` writes the table to standard output, which must be
a file. A file that cannot be made a table of ends it with status 1 and the reason.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .entries import ENTRY_READERS
from .lines import Judge, Record
from .table import TableError, write_table

BLOCKLIST = "blocklist"
KINDS = (BLOCKLIST, *ENTRY_READERS)
"""What a list's lines can be."""

LARGEST_FILE = 256 * 1024 * 1024
"""Bytes. A million domains take 20 MB."""

_MOST_EXAMPLES = 20


def compile_file(kind: str, path: Path, file: BinaryIO) -> None:
    """Make a table.

    :param kind: one of ``KINDS``.
    :param path: the list.
    :param file: where the table goes.
    :raises TableError: when it cannot be made.
    """
    try:
        with path.open("rb") as lines:
            if os.fstat(lines.fileno()).st_size > LARGEST_FILE:
                raise TableError(f"the list is larger than {LARGEST_FILE >> 20} MiB")
            compile_lines(kind, lines, file)
    except OSError as error:
        raise TableError(f"the list cannot be read: {error.strerror}") from error


def compile_lines(kind: str, lines: Iterable[bytes], file: BinaryIO) -> None:
    """Make a table of lines.

    :raises TableError: when it cannot be made.
    """
    report: dict[str, Any] = {}
    write_table(_records(kind, lines, report), report, file)


def _records(kind: str, lines: Iterable[bytes], report: dict[str, Any]) -> Iterator[Record]:
    if kind == BLOCKLIST:
        judge = Judge()
        yield from judge.records(lines)
        report.update(judge.report())
    else:
        yield from _entries(kind, lines, report)


def _entries(kind: str, lines: Iterable[bytes], report: dict[str, Any]) -> Iterator[Record]:
    """Read a list of one kind of entry, one a line, ``#`` before comments."""
    read = ENTRY_READERS[kind]
    names = 0
    skipped: Counter[str] = Counter()
    examples: list[dict[str, Any]] = []
    prefixes: set[str] = set()
    for number, line in enumerate(lines, 1):
        text = line.decode("utf-8", "replace").strip(" \t\r\n\ufeff")
        text = "" if text.startswith("#") else text.partition(" #")[0].rstrip()
        if not text:
            continue
        try:
            key, value = read(text)
            if b"\n" in key or b"\0" in key:
                raise ValueError("the line holds control characters")
        except ValueError as error:
            skipped[str(error).partition(", got ")[0]] += 1
            if len(examples) < _MOST_EXAMPLES:
                examples.append({"line": number, "text": text[:200], "reason": str(error)})
            continue
        names += 1
        if kind == "networks":
            prefixes.add(key.partition(b":")[0].decode("ascii"))
        yield key, b"%b%d" % (value, number)
    report.update(
        names=names, skipped=dict(skipped), examples=examples, prefixes=sorted(prefixes),
        rules=0, exceptions=0, important=0, ignored={}, kinds=[], top_level=True,
    )  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run the process."""
    kind, path = arguments
    os.nice(5)  # whoever is served comes first
    try:
        with os.fdopen(os.dup(1), "wb") as file:
            compile_file(kind, Path(path), file)
    except (TableError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
