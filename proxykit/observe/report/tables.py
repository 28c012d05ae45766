"""The tables of a report, filled from the entries of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import gmtime, localtime, strftime
from typing import Literal

from attrs import field, frozen

from .counters import CAPACITY, Counters, Row
from .entries import Entry

Rank = Literal["requests", "bytes"]
Namer = Callable[[Entry], tuple[str, ...] | None]


@frozen(slots=True)
class Table:
    """One way to sum up a log.

    :ivar title: above it.
    :ivar columns: what a name in it consists of.
    :ivar name: gives the row of an exchange, ``None`` for one that is not in this table.
    :ivar by_name: whether its rows stand in the order of their names and all of them are shown.
    """

    title: str
    columns: tuple[str, ...]
    name: Namer = field(repr=False)
    by_name: bool = False


def _tables(hour: Callable[[float], str]) -> dict[str, Table]:
    def refusal(entry: Entry) -> tuple[str, ...] | None:
        return (str(entry.status or "-"), entry.error, entry.detail) if entry.error else None

    return {
        "users": Table("Users", ("user",), lambda entry: (entry.user or "-",)),
        "clients": Table("Clients", ("client",), lambda entry: (entry.client or "unix:",)),
        "hosts": Table("Hosts", ("host",), lambda entry: (entry.host or "-",)),
        "visits": Table(
            "Who fetched from where",
            ("who", "host"),
            lambda entry: (entry.user or entry.client or "unix:", entry.host or "-"),
        ),
        "hours": Table("Hours", ("hour",), lambda entry: (hour(entry.time),), by_name=True),
        "statuses": Table("Statuses", ("status",), lambda entry: (str(entry.status or "-"),), True),
        "refusals": Table("Refused or failed, and why", ("status", "error", "detail"), refusal),
    }


TABLES = tuple(_tables(str))
"""The names of the tables."""


class Report:
    """What a log says.

    Memory does not grow with the log: each table has ``counters.CAPACITY`` rows.

    :ivar totals: of all exchanges that were counted.
    :ivar lines: how many there were, those included that did not count.
    :ivar malformed: lines that are no entry.
    :ivar first: when the first exchange that counted began, in seconds since 1970.
    :ivar last: and the last one.
    """

    def __init__(
        self,
        names: Iterable[str] = TABLES,
        *,
        rank: Rank = "requests",
        utc: bool = False,
        capacity: int = CAPACITY,
    ) -> None:
        """Begin with empty tables.

        :param names: of the tables that are wanted.
        :param rank: what ranks rows, of which the first are shown.
        :param utc: whether hours are UTC's, or else local.
        """
        known = _tables(_Hours(utc=utc))
        self.tables = {name: known[name] for name in names}
        self.totals = Row(())
        self.lines = self.malformed = 0
        self.first: float | None = None
        self.last: float | None = None
        weigh = _requests if rank == "requests" else _bytes
        self._counters = {name: Counters(weigh, capacity) for name in self.tables}
        self._fill = [(self.tables[name].name, self._counters[name].add) for name in self.tables]

    def read(self, entries: Iterable[Entry | None], matches: Callable[[Entry], bool]) -> None:
        """Count the entries that match."""
        for entry in entries:
            self.lines += 1
            if entry is None:
                self.malformed += 1
            elif matches(entry):
                self._count(entry)

    def rows(self, name: str, top: int) -> list[Row]:
        """Give the rows of a table that are to be shown."""
        rows = self._counters[name].ranked()
        if self.tables[name].by_name:
            return sorted(rows, key=lambda row: row.name)
        return rows[:top]

    def names(self, name: str) -> int:
        """Give how many rows a table has."""
        return len(self._counters[name])

    def is_exact(self, name: str) -> bool:
        """Say whether a table's figures are all of the log's."""
        return self._counters[name].is_exact

    def _count(self, entry: Entry) -> None:
        self.totals.add(entry)
        if self.first is None or entry.time < self.first:
            self.first = entry.time
        if self.last is None or entry.time > self.last:
            self.last = entry.time
        for name_of, add in self._fill:
            name = name_of(entry)
            if name is not None:
                add(name, entry)


def _requests(entry: Entry) -> int:
    return 1


def _bytes(entry: Entry) -> int:
    return entry.received_bytes + entry.sent_bytes


class _Hours:
    """Gives the hour of a time; neighbours in a log mostly share theirs."""

    def __init__(self, *, utc: bool) -> None:
        self._split = gmtime if utc else localtime
        self._quarter = -1
        self._text = ""

    def __call__(self, seconds: float) -> str:
        # There are offsets from UTC of half and of quarter hours.
        quarter = int(seconds) // 900
        if quarter != self._quarter:
            self._quarter = quarter
            self._text = strftime("%Y-%m-%d %H:00", self._split(seconds))
        return self._text
