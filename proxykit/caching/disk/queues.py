"""S3-FIFO over the index: the same order of leaving as ``caching.eviction`` has in memory.

The queues are tables whose keys only grow, so that their heads are where a cursor begins. How often
an entry was asked for is noted by and by (``touch``): a hit writes nothing.
"""

from __future__ import annotations

from typing import Any

from ..eviction import MOST_FREQUENT, SMALL_PART
from .index import Index
from .records import Counters, Place, key_hash, packed_number


class Queues:
    """The queues within one transaction."""

    def __init__(self, index: Index, transaction: Any, counters: Counters, capacity: int) -> None:
        """Take a transaction that writes.

        :param counters: are kept true; who commits saves them.
        :param capacity: what all entries together may take, in bytes.
        """
        self._index = index
        self._transaction = transaction
        self._counters = counters
        self._capacity = capacity

    def add(self, number: int, key: bytes, charge: int, *, has_file: bool) -> None:
        """Take a new entry: one whose key is mourned goes to the main queue at once."""
        note = key_hash(key)
        sequence = self._transaction.pop(note, db=self._index.ghosts)
        if sequence is not None:
            self._transaction.delete(sequence, db=self._index.mourning)
            self._counters.ghosts -= 1
        self._counters.entries += 1
        if has_file:
            self._counters.files += charge
        self._enqueue(number, Place(sequence is not None, 0, 0, charge, has_file))

    def touch(self, number: int) -> None:
        """Note that an entry was asked for."""
        place = self._place(number)
        if place is not None and place.frequency < MOST_FREQUENT:
            place.frequency += 1
            self._save(number, place)

    def remove(self, number: int) -> Place | None:
        """Take an entry out; give where it was."""
        data = self._transaction.pop(packed_number(number), db=self._index.places)
        if data is None:
            return None
        place = Place.unpack(data)
        self._dequeue(place)
        self._counters.entries -= 1
        if place.has_file:
            self._counters.files -= place.charge
        return place

    def mourn(self, key: bytes) -> None:
        """Note the key of what left the small queue, in case it comes back."""
        index, transaction, counters = self._index, self._transaction, self._counters
        note = key_hash(key)
        sequence = packed_number(counters.take())
        before = transaction.replace(note, sequence, db=index.ghosts)
        transaction.put(sequence, note, db=index.mourning)
        if before is not None:
            transaction.delete(before, db=index.mourning)
        else:
            counters.ghosts += 1
        while counters.ghosts > max(counters.entries, 64):
            cursor = transaction.cursor(db=index.mourning)
            if not cursor.first():
                counters.ghosts = 0
                break
            transaction.delete(cursor.value(), db=index.ghosts)
            cursor.delete()
            counters.ghosts -= 1

    def next_to_leave(self) -> tuple[int, bool] | None:
        """Give an entry that is to leave, or ``None`` when there is none.

        Entries that were asked for are moved on the way; call ``remove`` for the one that is given.

        :returns: its number, and whether it leaves the small queue.
        """
        counters = self._counters
        while True:
            from_small = counters.probation > self._capacity * SMALL_PART
            number = self._first(main=not from_small)
            if number is None:
                from_small = not from_small
                number = self._first(main=not from_small)
            if number is None:
                return None
            place = self._place(number)
            if place is None:
                self._drop_first(main=not from_small)
                continue
            if place.frequency == 0:
                return number, from_small
            self._dequeue(place)
            place.frequency = 0 if from_small else place.frequency - 1
            place.main = True
            self._enqueue(number, place)

    # --- parts --------------------------------------------------------------------------------

    def _table(self, *, main: bool) -> Any:
        return self._index.main if main else self._index.probation

    def _first(self, *, main: bool) -> int | None:
        cursor = self._transaction.cursor(db=self._table(main=main))
        return int.from_bytes(cursor.value(), "big") if cursor.first() else None

    def _drop_first(self, *, main: bool) -> None:
        cursor = self._transaction.cursor(db=self._table(main=main))
        if cursor.first():
            cursor.delete()

    def _place(self, number: int) -> Place | None:
        data = self._transaction.get(packed_number(number), db=self._index.places)
        return None if data is None else Place.unpack(data)

    def _save(self, number: int, place: Place) -> None:
        self._transaction.put(packed_number(number), place.pack(), db=self._index.places)

    def _enqueue(self, number: int, place: Place) -> None:
        place.sequence = self._counters.take()
        self._transaction.put(
            packed_number(place.sequence), packed_number(number), db=self._table(main=place.main)
        )
        self._save(number, place)
        self._count(place, place.charge)

    def _dequeue(self, place: Place) -> None:
        self._transaction.delete(packed_number(place.sequence), db=self._table(main=place.main))
        self._count(place, -place.charge)

    def _count(self, place: Place, change: int) -> None:
        if place.main:
            self._counters.main += change
        else:
            self._counters.probation += change
