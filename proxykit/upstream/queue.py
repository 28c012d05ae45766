"""Who waits for a connection to a server: bounded, and fair between clients."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Generic, TypeVar

_T = TypeVar("_T")


class FairQueue(Generic[_T]):
    """A bounded queue that serves its keys by turns, and each key in the order of arrival.

    A client that asks a thousand times waits for itself and not before everyone else. With one key
    it is a plain queue.
    """

    def __init__(self, most: int) -> None:
        """Make an empty queue.

        :param most: how many items may wait.
        """
        self.most = most
        self._size = 0
        # In the order of the turns: the key that is served next stands first.
        self._waiting: dict[str, deque[_T]] = {}

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[_T]:
        """Give every item, key by key."""
        return chain.from_iterable(self._waiting.values())

    def append(self, key: str, item: _T) -> None:
        """Put an item at the end of its key's line, whatever the bound: see ``make_room``."""
        line = self._waiting.get(key)
        if line is None:
            line = self._waiting[key] = deque()
        line.append(item)
        self._size += 1

    def make_room(self, key: str) -> _T | None:
        """Give up the place of whoever holds too many, so that ``key`` may have one.

        :returns: the newest item of the key that has most, which is no longer in the queue;
            ``None`` when no key has more than ``key`` would have then.
        """
        greedy = max(self._waiting, key=lambda each: len(self._waiting[each]), default=None)
        if greedy is None or len(self._waiting[greedy]) <= len(self._waiting.get(key, ())) + 1:
            return None
        item = self._waiting[greedy].pop()
        self._size -= 1
        return item

    def popleft(self) -> _T:
        """Take the item whose turn it is.

        :raises IndexError: when there is none.
        """
        if not self._size:
            raise IndexError("the queue is empty")
        key = next(iter(self._waiting))
        line = self._waiting.pop(key)
        item = line.popleft()
        if line:
            self._waiting[key] = line  # at the end of the turns
        self._size -= 1
        return item

    def remove(self, key: str, item: _T) -> None:
        """Take out an item that waits no longer; one that is not there is no fault."""
        line = self._waiting.get(key)
        if line is None or item not in line:
            return
        line.remove(item)
        if not line:
            del self._waiting[key]
        self._size -= 1
