"""What compiled conditions are made of: sets of rules as numbers, by what rules have."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

from attrs import frozen

from ...engine.exchange import Exchange
from ...lists.entries import ENTRY_FINDERS
from ...lists.watched import WatchedList
from .options import LIST_KINDS, is_list

Lists = Mapping[tuple[str, str], WatchedList]
"""Lists by their names and their kinds."""

Steps = Generator[None, None, int]


@frozen(slots=True, eq=False)
class Condition:
    """One kind of condition of all rules.

    :ivar name: the rules' key for it.
    :ivar rules: those that have it.
    :ivar matched: gives those of them whose condition an exchange matches.
    :ivar forget: called when a list has changed.
    :ivar steps: the same as ``matched``, to be put off after each step; for what may take long.
    :ivar instructions: the size of its regular expressions together.
    """

    name: str
    rules: int
    matched: Callable[[Exchange], int]
    forget: Callable[[], None] = lambda: None
    steps: Callable[[Exchange], Steps] | None = None
    instructions: int = 0


def bits_of(entries: Iterable[tuple[int, Any]]) -> int:
    """Give the rules of pairs of a rule's bit and a value."""
    bits = 0
    for bit, _ in entries:
        bits |= bit
    return bits


def rules_by(entries: Iterable[tuple[int, Any]]) -> dict[Any, int]:
    """Give the rules that have each value."""
    table: dict[Any, int] = {}
    for bit, key in entries:
        table[key] = table.get(key, 0) | bit
    return table


class InLists:
    """Which rules name a list that has a value in it."""

    def __init__(self, entries: Iterable[tuple[int, Any]], condition: str, lists: Lists) -> None:
        """Find the lists that a condition of rules names."""
        kind = LIST_KINDS[condition]
        self._find = ENTRY_FINDERS[kind]
        named = [(bit, value[1:]) for bit, value in entries if is_list(value)]
        self._lists = tuple((mask, lists[name, kind]) for name, mask in rules_by(named).items())

    def rules(self, value: str) -> int:
        """Give the rules with a list that has a value in it."""
        found = 0
        for bits, each in self._lists:
            if each.table is not None and self._find(each.table, value):
                found |= bits
        return found
