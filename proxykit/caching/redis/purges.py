"""What the stores that share a server purge: a short list there, the newest first.

Whoever looks something up reads the newest of it along, so that nothing that was being fetched
meanwhile is stored. Who finds that it has missed some takes everything for purged.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..purging import EVERYTHING, Purged
from .client import Command

_NAME_SIZE = 8
_MOST_KEPT = 64
_READ = 16
_MOST_UNHEARD = 1024
_KEPT_SECONDS = 86_400


class PurgeList:
    """See above.

    :ivar newest: the name of the last one that was read, ``None`` before the first time.
    """

    def __init__(self, key: bytes) -> None:
        """Begin.

        :param key: the list's.
        """
        self._key = key
        self._owner = os.urandom(_NAME_SIZE)
        self.newest: bytes | None = None
        self._unheard: list[Purged] = []

    def note(self, purged: Purged) -> list[Command]:
        """Give the commands that let the others know of a purge."""
        entry = os.urandom(_NAME_SIZE) + self._owner + purged.pack()
        return [
            (b"LPUSH", self._key, entry),
            (b"LTRIM", self._key, 0, _MOST_KEPT - 1),
            (b"EXPIRE", self._key, _KEPT_SECONDS),
        ]

    def reading(self) -> Command:
        """Give the command that reads the newest."""
        return (b"LRANGE", self._key, 0, _READ - 1)

    def take(self, answer: Any) -> None:
        """Take what was read."""
        entries = _entries(answer)
        if self.newest is not None:
            self._unheard += self.since(self.newest, entries)
            if len(self._unheard) > _MOST_UNHEARD:
                self._unheard = [EVERYTHING]
        self.newest = entries[0][:_NAME_SIZE] if entries else b""

    def hear(self) -> Sequence[Purged]:
        """Give what others have purged, as it was read since this was called last."""
        heard, self._unheard = self._unheard, []
        return heard

    def since(self, known: bytes | None, answer: Any) -> list[Purged]:
        """Give what others have purged since, in order.

        :param known: what ``newest`` was.
        :param answer: what was read.
        """
        newer: list[bytes] = []
        entries = _entries(answer)
        for entry in entries:
            if entry[:_NAME_SIZE] == known:
                break
            newer.append(entry)
        else:
            # Before the first purge there is no list; one that is gone may have held anything.
            if known or len(entries) >= _READ:
                return [EVERYTHING]
        return [
            Purged.unpack(entry[2 * _NAME_SIZE :])
            for entry in reversed(newer)
            if entry[_NAME_SIZE : 2 * _NAME_SIZE] != self._owner
        ]


def _entries(answer: Any) -> list[bytes]:
    if type(answer) is not list:
        return []
    return [each for each in answer if type(each) is bytes]
