"""Numbers of bodies: given out of ranges that the index knows this process to be using."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define

from .changes import RANGE, Release, Reserve


@define(slots=True, eq=False)
class _Range:
    """A range; ``open`` is how many of its numbers may still become files."""

    first: int
    given: int = 0
    open: int = 0


class Numbers:
    """Gives numbers, and gives ranges up when all of their numbers are settled."""

    def __init__(self, give: Callable[..., None]) -> None:
        """Begin without any.

        :param give: ``Clerk.give``.
        """
        self._give = give
        self._ranges: list[_Range] = []
        self._asked = False

    def prepare(self) -> None:
        """Ask for a range, if there soon will be need."""
        left = sum(RANGE - each.given for each in self._ranges)
        if left < RANGE // 2 and not self._asked:
            self._asked = True
            self._give(Reserve(), self._reserved)

    def _reserved(self, first: int | None) -> None:
        self._asked = False
        if first is not None:
            self.add(first)

    def add(self, first: int) -> None:
        """Take a range that was reserved."""
        self._ranges.append(_Range(first))

    def take(self) -> int | None:
        """Give a number; ``None`` while there are none."""
        self.prepare()
        for each in self._ranges:
            if each.given < RANGE:
                number = each.first + each.given
                each.given += 1
                each.open += 1
                return number
        return None

    def settle(self, number: int) -> None:
        """Note that a number is in the index, or that its file is gone."""
        for each in self._ranges:
            if each.first <= number < each.first + RANGE:
                each.open -= 1
                if each.open == 0 and each.given == RANGE:
                    self._ranges.remove(each)
                    self._give(Release(each.first))
                return

    def release(self) -> Any:
        """Give up every range of which nothing is under way."""
        for each in self._ranges:
            if each.open == 0:
                self._give(Release(each.first))
        self._ranges.clear()
