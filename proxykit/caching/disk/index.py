"""The index of a store on disk: what is stored under which key, in LMDB.

LMDB is read without locks by any number of threads and processes, and written by one at a time;
what a transaction wrote is there as a whole or not at all, whenever its process was killed.

Tables:

    meta       the version, ``Counters``, and how many entries gave way to others
    keys       a key -> numbers and revisions of the responses under it, the newest first
    entries    number -> sealed: key, head, size, checksums of the blocks; see ``Record``
    bodies     number -> content, where that is small
    places     number -> where in which queue it stands, how often it was asked for, what it costs
    probation  sequence -> number: the small queue
    main       sequence -> number: the main queue
    ghosts     a key's hash -> sequence: keys of what was evicted from the small queue
    mourning   sequence -> a key's hash: the order in which these are forgotten
    tags       tag -> numbers
    reserved   first number of a range -> whose it is; see ``disk.transaction``
    doomed     number: a file that is to be removed
    purges     sequence -> who purged, and what: the last ones; see ``Index.purges_since``
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lmdb

from ..packing import Unreadable
from ..purging import EVERYTHING, Purged
from .records import (
    Counters,
    Record,
    index_key,
    packed_number,
    prefix_of,
    unpack_references,
    unpacked_number,
)

OWNER_SIZE = 8
"""How long the name of a store that purges is, in bytes."""

# Address space, not memory: what the index may hold is limited in ``disk.transaction``.
_MAP_SIZE = 2**40 if sys.maxsize > 2**32 else 2**29
_MOST_READERS = 1024
_MOST_PURGES = 256
_LOCK_SIZE = 64 * (_MOST_READERS + 8)


class Broken(Exception):
    """The index cannot be used."""


Found = tuple[int, Record | None, bytes | None]


class Index:
    """See above. What reads may be called in any thread.

    :ivar is_new: whether there was none before.
    """

    def __init__(self, directory: Path) -> None:
        """Open it, or begin it.

        :raises Broken: when what is there is no index of this version.
        :raises OSError: when there is no room for one.
        """
        _allocate(directory / "lock.mdb")
        try:
            # One fdatasync a transaction: a power failure may undo the last, no more.
            self.environment = lmdb.open(
                str(directory),
                map_size=_MAP_SIZE,
                max_dbs=16,
                max_readers=_MOST_READERS,
                max_spare_txns=8,
                metasync=False,
                readahead=False,
                mode=0o700,
            )
        except lmdb.Error as error:
            raise Broken(f"the index cannot be opened: {error}") from error
        try:
            self._open_tables()
        except (lmdb.Error, Broken) as error:
            self.environment.close()
            raise Broken(f"the index cannot be read: {error}") from error

    def _open_tables(self) -> None:
        environment = self.environment
        environment.reader_check()

        def table(name: bytes, *, dupsort: bool = False) -> Any:
            return environment.open_db(name, dupsort=dupsort)

        self.meta = table(b"meta")
        with environment.begin(write=True) as transaction:
            version = transaction.get(b"version", db=self.meta)
            self.is_new = version is None
            if version is None:
                transaction.put(b"version", b"1", db=self.meta)
            elif version != b"1":
                raise Broken(f"it has the version {version!r:.20}")
        self.keys = table(b"keys")
        self.entries = table(b"entries")
        self.bodies = table(b"bodies")
        self.places = table(b"places")
        self.probation = table(b"probation")
        self.main = table(b"main")
        self.ghosts = table(b"ghosts")
        self.mourning = table(b"mourning")
        self.tags = table(b"tags", dupsort=True)
        self.reserved = table(b"reserved")
        self.doomed = table(b"doomed")
        self.purges = table(b"purges")

    def close(self) -> None:
        """Let go of it."""
        self.environment.close()

    # --- reading ------------------------------------------------------------------------------

    def get(self, name: bytes) -> bytes | None:
        """Give what ``keys`` holds under an index key: half a microsecond, if it is in memory."""
        transaction = self.environment.begin(db=self.keys)
        found: bytes | None = transaction.get(name)
        transaction.abort()
        return found

    def load(self, key: bytes) -> tuple[bytes | None, list[Found]]:
        """Give all that is stored under a key.

        :returns: what ``keys`` holds, and of each response there its number, its record (``None``
            when that is unreadable) and its content where the index holds it.
        """
        with self.environment.begin() as transaction:
            value = transaction.get(index_key(key), db=self.keys)
            found = []
            for reference in unpack_references(value):
                name = packed_number(reference.number)
                record = self.record(transaction, name)
                if record is not None and record.key != key:
                    record = None
                found.append((reference.number, record, transaction.get(name, db=self.bodies)))
        return value, found

    def record(self, transaction: Any, name: bytes) -> Record | None:
        """Give a record, ``None`` when there is none that can be read."""
        data = transaction.get(name, db=self.entries)
        try:
            return None if data is None else Record.unpack(data)
        except Unreadable:
            return None

    def begins_with(self, transaction: Any, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give the index keys, and what ``keys`` holds, of all that may begin with a prefix."""
        start = prefix_of(prefix)
        cursor = transaction.cursor(db=self.keys)
        if cursor.set_range(start):
            for name, value in cursor:
                if not name.startswith(start):
                    return
                yield name, value

    def evicted(self, transaction: Any) -> int:
        """Give how many entries gave way to others so far."""
        data = transaction.get(b"evicted", db=self.meta)
        return 0 if data is None else unpacked_number(data)

    def count_evicted(self, transaction: Any, count: int) -> None:
        """Count entries that gave way to others."""
        count += self.evicted(transaction)
        transaction.put(b"evicted", packed_number(count), db=self.meta)

    def note_purge(self, transaction: Any, owner: bytes, purged: Purged) -> None:
        """Remember a purge, and forget the oldest of too many.

        :param owner: who purged, ``OWNER_SIZE`` bytes.
        """
        sequence = self._newest_purge(transaction) + 1
        transaction.put(packed_number(sequence), owner + purged.pack(), db=self.purges)
        if sequence > _MOST_PURGES:
            transaction.delete(packed_number(sequence - _MOST_PURGES), db=self.purges)

    def purges_since(
        self, transaction: Any, known: int, owner: bytes
    ) -> tuple[int, Sequence[Purged]]:
        """Give the sequence of the newest purge, and what others purged after a known one.

        :param known: that one's sequence.
        :param owner: who is no other.
        """
        newest = self._newest_purge(transaction)
        if newest == known:
            return newest, ()
        cursor = transaction.cursor(db=self.purges)
        found: list[Purged] = []
        if not cursor.set_key(packed_number(known + 1)):
            return newest, (EVERYTHING,)  # too many, or it is another index
        for data in cursor.iternext(keys=False):
            if data[:OWNER_SIZE] != owner:
                found.append(Purged.unpack(data[OWNER_SIZE:]))
        return newest, found

    def _newest_purge(self, transaction: Any) -> int:
        cursor = transaction.cursor(db=self.purges)
        return unpacked_number(cursor.key()) if cursor.last() else 0

    def counters(self, transaction: Any) -> Counters:
        """Give the counters."""
        data = transaction.get(b"counters", db=self.meta)
        return Counters() if data is None else Counters.unpack(data)

    def save_counters(self, transaction: Any, counters: Counters) -> None:
        """Store the counters."""
        transaction.put(b"counters", counters.pack(), db=self.meta)

    def live_bytes(self, transaction: Any) -> int:
        """Give how many bytes of the index's file are in use; what was freed is used again."""
        total = 0
        for table in (
            self.keys, self.entries, self.bodies, self.places, self.probation, self.main,
            self.ghosts, self.mourning, self.tags, self.reserved, self.doomed, self.purges,
        ):  # fmt: skip
            stat = transaction.stat(table)
            pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
            total += pages * stat["psize"]
        return total

    def file_bytes(self) -> int:
        """Give how large the index's file is."""
        size: int = (self.environment.info()["last_pgno"] + 1) * self.environment.stat()["psize"]
        return size


def _allocate(path: Path) -> None:
    """Give LMDB's table of readers its room on the disk before it is mapped.

    It is written through the map: a full disk would end the process with a SIGBUS.

    :raises OSError: when there is no room.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, _LOCK_SIZE)
    finally:
        os.close(descriptor)
