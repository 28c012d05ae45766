"""Reads contents into memory that were asked for again while they were at hand."""

from __future__ import annotations

from functools import partial

from ..pieces import Pieces
from .body import DiskBody, load_all
from .front import Front, FrontEntry
from .opened import OpenedDirectory


class Promotion:
    """Brings a front's entries into memory."""

    __slots__ = ("_front",)

    def __init__(self, front: Front) -> None:
        """Promote what is in a front."""
        self._front = front

    def begin(self, disk: OpenedDirectory, entry: FrontEntry) -> None:
        """Have an entry's contents read in a thread, if it is worth that; else never again."""
        worth = self._front.is_worth_memory(entry)
        entry.promoting = True
        if worth:
            bodies = [each.body for each in entry.responses if each.body.content is None]
            disk.in_thread(load_all, bodies).addCallbacks(
                partial(self._end, entry, bodies), lambda failure: None
            )

    def _end(
        self, entry: FrontEntry, bodies: list[DiskBody], contents: list[Pieces] | None
    ) -> None:
        if contents is not None and self._front.get(entry.key) is entry:
            for body, content in zip(bodies, contents, strict=True):
                body.content = content
            self._front.put(entry.key, entry.value, entry.responses)
