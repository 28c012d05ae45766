"""Looks into the index in the reactor's thread.

That is half a microsecond out of the page cache. When it turns out to come from a disk, threads are
to look for a while, and warm the cache meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

import lmdb

from ..keys import PARTS
from ..purging import Purged
from .complaint import Complaint
from .index import Index
from .records import Record, index_key

_SLOW_SECONDS = 0.01
_COLD_SECONDS = 5.0


class Glance:
    """See above; what cannot be read is as if it were not there, and complained of."""

    __slots__ = ("_cold_until", "_complaint")

    def __init__(self, complaint: Complaint) -> None:
        """Begin warm.

        :param complaint: says what is wrong with the index.
        """
        self._complaint = complaint
        self._cold_until = 0.0

    @property
    def is_cold(self) -> bool:
        """Whether a look took as long as a disk does, a few seconds ago at the most."""
        return self._cold_until > 0 and monotonic() < self._cold_until

    def unreadable(self, error: lmdb.Error) -> tuple[()]:
        """Complain of what cannot be read, and give it as nothing."""
        self._complaint.say(error)
        return ()

    def value(self, index: Index, key: bytes) -> bytes | None:
        """Give what the index holds under a key."""
        started = monotonic()
        try:
            value = index.get(index_key(key))
        except lmdb.Error as error:
            self.unreadable(error)
            return None
        if monotonic() - started > _SLOW_SECONDS:
            self._cold_until = monotonic() + _COLD_SECONDS
        return value

    def records(
        self, index: Index, key: bytes
    ) -> Sequence[tuple[int, Record | None, bytes | None]]:
        """Give what the records under a key say, see ``Index.load``."""
        try:
            return index.load(key)[1]
        except lmdb.Error:
            return ()

    def may_hold(self, index: Index, key: bytes) -> bool:
        """Say whether there may be anything under the key of a URI, or those that rules made of it.

        What cannot be read may be there: the clerk finds out what is the matter.
        """
        try:
            with index.environment.begin() as transaction:
                return self.value(index, key) is not None or any(
                    index.begins_with(transaction, key + PARTS)
                )
        except lmdb.Error:
            return True

    def purges_since(
        self, index: Index, known: int, owner: bytes
    ) -> tuple[int, Sequence[Purged]] | None:
        """Give the number of the newest purge, and what others have purged.

        :param known: the number of the newest that was known.
        :param owner: who asks.
        :returns: ``None`` when that cannot be read.
        """
        try:
            with index.environment.begin() as transaction:
                return index.purges_since(transaction, known, owner)
        except lmdb.Error as error:
            self.unreadable(error)
            return None
