"""Where in a TOML file a key stands; ``tomllib`` does not tell."""

from __future__ import annotations

import re

KeyPath = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_NOISE = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*$')


class Places:
    """The lines of a TOML text's keys.

    It reads line by line what ``tomllib`` has accepted, and only to find lines: what it does not
    understand (keys inside an inline table) is placed where the enclosing key stands.
    """

    def __init__(self, text: str) -> None:
        """Find the keys."""
        self._lines: dict[KeyPath, int] = {}
        self._arrays: dict[KeyPath, int] = {}
        table: KeyPath = ()
        depth = 0
        quotes = ""
        for number, line in enumerate(text.splitlines(), 1):
            if quotes:
                if quotes in line:
                    quotes = ""
                continue
            if depth == 0:
                header = _HEADER.match(line)
                key = _KEY.match(line)
                if key is not None:
                    self._add(table + self._path(key[1]), number)
                elif header is not None:
                    table = self._table(header[1], header[2], number)
                    continue
            for mark in ('"""', "'''"):
                if line.count(mark) == 1:
                    quotes = mark
            bare = _NOISE.sub("", line)
            depth += bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")
            depth = max(depth, 0)

    def line(self, path: KeyPath) -> int | None:
        """Give the line of a key, or that of the nearest key around it."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None

    def _path(self, text: str) -> KeyPath:
        return tuple(part.strip("\"'") for part in _PART.findall(text))

    def _table(self, bracket: str, text: str, number: int) -> KeyPath:
        """Enter a table; the elements of arrays of tables are counted."""
        resolved: KeyPath = ()
        parts = self._path(text)
        for part in parts[:-1]:
            resolved += (part,)
            if resolved in self._arrays:
                resolved += (self._arrays[resolved],)
        resolved += parts[-1:]
        if bracket == "[[":
            index = self._arrays.get(resolved, -1) + 1
            self._arrays[resolved] = index
            self._add(resolved, number)
            resolved += (index,)
        self._add(resolved, number)
        return resolved

    def _add(self, path: KeyPath, number: int) -> None:
        self._lines.setdefault(path, number)
        for end in range(1, len(path)):
            self._lines.setdefault(path[:end], number)
