"""The conditions of paths and URLs: prefixes in tables, regular expressions many at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from ...engine.exchange import Exchange
from ...message.path import normalised_path
from ...message.pattern import Pattern
from .options import is_list
from .tables import Condition, InLists, Lists, Steps, bits_of, rules_by

_MOST_TOGETHER = 300  # instructions of expressions that are tried as one


class _Expressions:
    """Regular expressions of rules; those that do not match are tried many at once."""

    def __init__(self, entries: Iterable[tuple[int, str]]) -> None:
        self._groups: list[tuple[Pattern | None, list[tuple[int, Pattern]]]] = []
        together: list[tuple[int, Pattern]] = []
        size = 0
        for text, bits in rules_by(entries).items():
            pattern = Pattern.of(text)
            if together and size + pattern.instructions > _MOST_TOGETHER:
                self._add(together)
                together, size = [], 0
            together.append((bits, pattern))
            size += pattern.instructions
        if together:
            self._add(together)
        self.instructions = 2 * sum(
            each.instructions for _, group in self._groups for _, each in group
        )

    def _add(self, group: list[tuple[int, Pattern]]) -> None:
        combined = None
        if len(group) > 1:
            text = "|".join(f"(?:{pattern.text})" for _, pattern in group)
            combined = Pattern.of(text, most_instructions=2 * _MOST_TOGETHER)
        self._groups.append((combined, group))

    def steps(self, text: str) -> Steps:
        """Give the rules of which an expression matches a text."""
        found = 0
        for combined, group in self._groups:
            if combined is not None:
                yield
                if not combined.search(text):
                    continue
            for bits, pattern in group:
                yield
                if pattern.search(text):
                    found |= bits
        return found


def _finished(steps: Steps) -> int:
    try:
        while True:
            next(steps)
    except StopIteration as end:
        found: int = end.value
        return found


def path_condition(entries: Sequence[tuple[int, Any]]) -> Condition:
    """Compile the rules' paths: pairs of a rule's bit and what ``PathMatch`` takes."""
    exact = rules_by((bit, _written(text[1:].strip())) for bit, text in entries if text[0] == "=")
    prefixes = rules_by((bit, _written(text)) for bit, text in entries if text[0] == "/")
    root = prefixes.pop("/", 0)
    # Most paths begin with a segment that no rule's does.
    first_segments = frozenset("/" + text.split("/")[1] for text in prefixes)
    # As many segments as any prefix has, and the one behind.
    depth = max((text.count("/") + 1 for text in prefixes), default=0)
    expressions = _Expressions((b, text[1:].strip()) for b, text in entries if text[0] == "~")

    def in_tables(path: str) -> int:
        found = exact.get(path, 0) | (root if path[:1] == "/" else 0)
        end = path.find("/", 1)
        if (path if end < 0 else path[:end]) not in first_segments:
            return found
        # A prefix ends where a segment does: behind a slash, before one, or at the end.
        found |= prefixes.get(path, 0)
        left, at = depth, end
        while left and at >= 0:
            found |= prefixes.get(path[:at], 0) | prefixes.get(path[: at + 1], 0)
            left, at = left - 1, path.find("/", at + 1)
        return found

    def matched(exchange: Exchange) -> int:
        request = exchange.request
        # Nobody can see a path inside a tunnel.
        return 0 if request.method == b"CONNECT" else in_tables(normalised_path(request.path))

    def steps(exchange: Exchange) -> Steps:
        if exchange.request.method == b"CONNECT":
            return 0
        path = normalised_path(exchange.request.path)
        found = yield from expressions.steps(path)
        return found | in_tables(path)

    if not expressions.instructions:
        return Condition("path", bits_of(entries), matched)
    return Condition(
        "path",
        bits_of(entries),
        lambda exchange: _finished(steps(exchange)),
        steps=steps,
        instructions=expressions.instructions,
    )


def _written(path: str) -> str:
    """Give what a rule says in the form that paths are matched in."""
    return normalised_path(quote(path, safe="/%:@!$&'()*+,;=~"))


def url_condition(entries: Sequence[tuple[int, Any]], lists: Lists) -> Condition:
    """Compile the rules' URLs: pairs of a rule's bit and an expression or a list's name."""
    expressions = _Expressions((bit, text) for bit, text in entries if not is_list(text))
    in_lists = InLists(entries, "url", lists)

    def steps(exchange: Exchange) -> Steps:
        without_scheme = url_of(exchange)
        found = in_lists.rules(without_scheme)
        if expressions.instructions:
            tunnel = exchange.request.method == b"CONNECT"
            text = without_scheme if tunnel else f"{exchange.scheme}://{without_scheme}"
            found |= yield from expressions.steps(text)
        return found

    return Condition(
        "url",
        bits_of(entries),
        lambda exchange: _finished(steps(exchange)),
        steps=steps,
        instructions=expressions.instructions,
    )


def url_of(exchange: Exchange) -> str:
    """Give an exchange's URL without its scheme; of a tunnel ``HOST:PORT``."""
    request = exchange.request
    authority = exchange.authority
    if request.method == b"CONNECT":
        return authority.text()
    host = authority.text(443 if exchange.scheme == "https" else 80)
    query = request.query
    path = normalised_path(request.path)
    return f"{host}{path}?{query}" if query else host + path
