"""Notes what is asked for, for the order in which things leave the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .changes import Touch
from .front import FrontEntry

_PERIOD_SECONDS = 5.0
_MOST_NOTED = 8192


class Asked:
    """Tells the clerk, once a period, what was asked for in it; a hit writes nothing by itself.

    :ivar period: the number of this one.
    """

    def __init__(self, reactor: Any, give: Callable[[Touch], None]) -> None:
        """Begin with a period in which nothing was asked for.

        :param give: takes a change for the clerk.
        """
        self.period = 0
        self._reactor = reactor
        self._give = give
        self._entries: list[FrontEntry] = []

    def note(self, entry: FrontEntry) -> None:
        """Note an entry; ``entry.period`` says whether it was noted in this period."""
        entry.period = self.period
        if len(self._entries) < _MOST_NOTED:
            self._entries.append(entry)
        if len(self._entries) == 1:
            self._reactor.callLater(_PERIOD_SECONDS, self._tell)

    def _tell(self) -> None:
        entries, self._entries = self._entries, []
        self.period += 1
        self._give(Touch(tuple(each.body.number for entry in entries for each in entry.responses)))
