"""Counts what is named most, in bounded memory, however many names there are."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from attrs import define

from .entries import Entry

CAPACITY = 20_000
"""Names that one table counts exactly: some 8 MiB."""


@define(slots=True, eq=False)
class Row:
    """What was counted for one name.

    :ivar missed: of its weight at most so much was counted before the name had a row and is in no
        figure here; 0 as long as there were never more names than rows.
    """

    name: tuple[str, ...]
    requests: int = 0
    refused: int = 0
    failed: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    missed: int = 0
    weight: int = 0

    def add(self, entry: Entry) -> None:
        """Count an exchange."""
        self.requests += 1
        self.refused += entry.is_refused
        self.failed += entry.is_failed
        self.received_bytes += entry.received_bytes
        self.sent_bytes += entry.sent_bytes


class Counters:
    """Rows for the heaviest names.

    The Space-Saving algorithm (Metwally, Agrawal, El Abbadi, 2005): when there is no row left, a
    new name takes that of the lightest and inherits its weight. Whatever weighs more than the
    total divided by the number of rows is sure to have one.
    """

    def __init__(self, weigh: Callable[[Entry], int], capacity: int = CAPACITY) -> None:
        """Begin with no row.

        :param weigh: gives what an exchange counts for when rows are ranked.
        """
        self._weigh = weigh
        self._capacity = capacity
        self._rows: dict[tuple[str, ...], Row] = {}
        # Each row once, with a weight that it has or once had. Made when it is first needed.
        self._lightest: list[tuple[int, tuple[str, ...]]] = []
        self.is_exact = True

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, name: tuple[str, ...], entry: Entry) -> None:
        """Count an exchange for a name."""
        row = self._rows.get(name)
        if row is None:
            missed = self._make_room() if len(self._rows) >= self._capacity else 0
            row = self._rows[name] = Row(name, missed=missed, weight=missed)
            if not self.is_exact:
                heappush(self._lightest, (missed, name))
        row.add(entry)
        row.weight += self._weigh(entry)

    def ranked(self) -> list[Row]:
        """Give the rows, the heaviest first."""
        return sorted(self._rows.values(), key=lambda row: (-row.weight, row.name))

    def _make_room(self) -> int:
        """Take away the lightest row; give its weight."""
        if self.is_exact:
            self.is_exact = False
            self._lightest = [(row.weight, row.name) for row in self._rows.values()]
            heapify(self._lightest)
        while True:
            noted, name = heappop(self._lightest)
            weight = self._rows[name].weight
            if noted == weight:
                del self._rows[name]
                return weight
            heappush(self._lightest, (weight, name))
