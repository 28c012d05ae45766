"""How changes of what is stored on disk are applied: many in one transaction.

A file exists on disk only if its number is in the index: in ``entries``, in ``reserved`` (a range
of numbers that a process may be writing), or in ``doomed`` (about to be removed). So whatever a
killed process leaves behind is found again without looking at a single folder.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Any

from attrs import define, evolve, field, frozen

from ..keys import PARTS
from ..purging import Purged, hardest
from ..stored import StoredHead
from .changes import (
    RANGE,
    Change,
    Purge,
    Put,
    Release,
    Remove,
    Reserve,
    Touch,
    Update,
)
from .files import checksums_of
from .index import Index
from .layout import Layout
from .queues import Queues
from .records import (
    Record,
    Reference,
    index_key,
    pack_references,
    packed_number,
    unpack_references,
    unpacked_number,
)

INLINE = 4096
"""Content up to this size stands in the index, in bytes."""

_MOST_VARIANTS = 64
_FILE_UNIT = 4096  # files take whole blocks of the file system
_EVICTED_AT_ONCE = 500


@frozen(slots=True)
class Limits:
    """How much there may be.

    :ivar size: of all files, the index among them, in bytes.
    """

    size: int

    @property
    def index(self) -> int:
        """How much of the index's file may be in use, in bytes."""
        return max(self.size // 4, 2 * 1024 * 1024)


@define(slots=True)
class Transaction:
    """One transaction's work.

    :ivar doomed: files to be removed once it is committed.
    """

    index: Index
    layout: Layout
    limits: Limits
    transaction: Any
    doomed: list[int] = field(factory=list)
    _counters: Any = None
    _queues: Any = None

    def begin(self) -> None:
        """Read the counters."""
        self._counters = self.index.counters(self.transaction)
        self._queues = Queues(self.index, self.transaction, self._counters, self.limits.size)

    def finish(self) -> None:
        """Save the counters; the transaction can be committed."""
        self.index.save_counters(self.transaction, self._counters)

    # --- changes ------------------------------------------------------------------------------

    def apply(self, change: Change) -> Any:
        """Apply a change.

        :returns: of a put, an update and a removal, what ``keys`` holds now (``None`` for
            nothing); of a purge, how much was purged; of a reservation, the first number.
        """
        match change:
            case Put():
                return self._put(change)
            case Update():
                return self._update(change.key, change.number, change.head)
            case Remove():
                self.drop(change.number, change.key)
                return self._get(self.index.keys, index_key(change.key))
            case Purge():
                self.note(change)
                return self.purge(change, candidates(self.index, self.transaction, change))
            case Touch():
                for number in change.numbers:
                    self._queues.touch(number)
                return None
            case Reserve():
                first = self._counters.take(RANGE)
                self.transaction.put(
                    packed_number(first), self.layout.token, db=self.index.reserved
                )
                return first
            case Release():
                self.transaction.delete(packed_number(change.first), db=self.index.reserved)
                return None

    def _put(self, put: Put) -> bytes | None:
        index, transaction = self.index, self.transaction
        name = packed_number(put.number)
        size = put.size
        _, purges = index.purges_since(transaction, put.heard, put.owner)
        put.stored = not purges or hardest(purges, put.key, put.head.tags) is None
        if not put.stored:
            if put.written.file is not None:
                self._doom(put.number)
            return self._get(index.keys, index_key(put.key))
        if put.written.size + sum(map(len, put.content)) != size:
            raise OSError(errno.EIO, "some of the content was not written")
        put.in_file = self._wants_file(put, size)
        if put.in_file:
            if put.content:
                put.written.append(self.layout, put.content)
                put.content = []  # the transaction may be tried again
            put.checksums = put.written.checksums()
        else:
            content = b"".join(put.content)
            put.checksums = checksums_of(content)
            transaction.put(name, content, db=index.bodies)
        record = Record(put.key, put.head, size, put.checksums).pack()
        transaction.put(name, record, db=index.entries)
        for tag in put.head.tags:
            transaction.put(tag, name, db=index.tags)
        charge = -(-size // _FILE_UNIT) * _FILE_UNIT if put.in_file else size + len(record)
        self._queues.add(put.number, put.key, charge, has_file=put.in_file)
        kept: list[Reference] = []
        for reference in unpack_references(self._get(index.keys, index_key(put.key))):
            if len(kept) >= _MOST_VARIANTS - 1 or self._is_replaced(put, reference.number):
                self._forget(reference.number)
            else:
                kept.append(reference)
        value = pack_references([Reference(put.number, 0), *kept])
        transaction.put(index_key(put.key), value, db=index.keys)
        return value

    def _wants_file(self, put: Put, size: int) -> bool:
        if put.written.file is not None or size > INLINE:
            return True
        # Small files are better than none where the index is full of content.
        return size > 0 and self.index.live_bytes(self.transaction) > self.limits.index // 2

    def _is_replaced(self, put: Put, number: int) -> bool:
        if number in put.known:
            return number in put.replaced
        # Another process put it meanwhile: the same variant, by the same rules, is one too many.
        record = self.index.record(self.transaction, packed_number(number))
        if record is None:
            return True
        head = record.head
        return put.head.span is None and head.selecting == put.head.selecting

    def _update(self, key: bytes, number: int, head: StoredHead) -> bytes | None:
        index, transaction = self.index, self.transaction
        name = packed_number(number)
        value = self._get(index.keys, index_key(key))
        references = unpack_references(value)
        record = index.record(transaction, name)
        if record is None or all(each.number != number for each in references):
            return value
        for tag in record.head.tags - head.tags:
            transaction.delete(tag, name, db=index.tags)
        for tag in head.tags - record.head.tags:
            transaction.put(tag, name, db=index.tags)
        transaction.put(name, evolve(record, head=head).pack(), db=index.entries)
        value = pack_references(
            [each.revised() if each.number == number else each for each in references]
        )
        transaction.put(index_key(key), value, db=index.keys)
        return value

    def purge(self, purge: Purge, numbers: Iterable[int]) -> int:
        """Purge those of some responses that it takes; see ``candidates``.

        :returns: how many these were.
        """
        count = 0
        for number in numbers:
            record = self.index.record(self.transaction, packed_number(number))
            if record is None or not _takes(purge, record):
                continue
            count += 1
            if purge.soft:
                self._update(record.key, number, record.head.expired(purge.now))
            else:
                self.drop(number, record.key)
        return count

    def note(self, purge: Purge) -> None:
        """Let everybody know of a purge: what they were fetching is not put after this."""
        purged = Purged.of(purge.by, purge.what, soft=purge.soft)
        self.index.note_purge(self.transaction, purge.owner, purged)

    # --- leaving ------------------------------------------------------------------------------

    def drop(self, number: int, key: bytes | None = None) -> None:
        """Forget a response, under its key too.

        :param key: ``None`` for what its record says.
        """
        index, transaction = self.index, self.transaction
        if key is None:
            record = index.record(transaction, packed_number(number))
            key = record.key if record is not None else None
        if key is not None:
            name = index_key(key)
            references = unpack_references(self._get(index.keys, name))
            kept = [each for each in references if each.number != number]
            if kept:
                transaction.put(name, pack_references(kept), db=index.keys)
            else:
                transaction.delete(name, db=index.keys)
        self._forget(number)

    def _forget(self, number: int) -> None:
        index, transaction = self.index, self.transaction
        name = packed_number(number)
        record = index.record(transaction, name)
        for tag in record.head.tags if record is not None else ():
            transaction.delete(tag, name, db=index.tags)
        transaction.delete(name, db=index.entries)
        transaction.delete(name, db=index.bodies)
        place = self._queues.remove(number)
        if place is not None and place.has_file:
            self._doom(number)

    def _doom(self, number: int) -> None:
        self.transaction.put(packed_number(number), b"", db=self.index.doomed)
        self.doomed.append(number)

    def evict(self, reserve: int) -> bool:
        """Forget what is to leave first, until the rest fits.

        :param reserve: bytes that are needed beside what is there.
        :returns: whether there is more to be done, in another transaction.
        """
        count = 0
        while count < _EVICTED_AT_ONCE and self._is_too_much(reserve):
            leaving = self._queues.next_to_leave()
            if leaving is None:
                break
            number, mourned = leaving
            record = self.index.record(self.transaction, packed_number(number))
            if mourned and record is not None:
                self._queues.mourn(record.key)
            self.drop(number, record.key if record is not None else None)
            count += 1
        if count:
            self.index.count_evicted(self.transaction, count)
        return count == _EVICTED_AT_ONCE

    def _is_too_much(self, reserve: int) -> bool:
        room = self.limits.size - self.index.file_bytes() - reserve
        if self._counters.files > max(0, room):
            return True
        return self.index.live_bytes(self.transaction) > self.limits.index

    def forget_removed(self, numbers: Iterable[int]) -> None:
        """Note that doomed files are gone."""
        for number in numbers:
            self.transaction.delete(packed_number(number), db=self.index.doomed)

    def _get(self, table: Any, name: bytes) -> bytes | None:
        found: bytes | None = self.transaction.get(name, db=table)
        return found


def candidates(index: Index, transaction: Any, purge: Purge) -> list[int]:
    """Give the numbers of all that a purge may take; more are given rather than fewer."""
    numbers: list[int] = []
    if purge.by == "tag":
        cursor = transaction.cursor(db=index.tags)
        if cursor.set_key(purge.what):
            numbers = [unpacked_number(name) for name in cursor.iternext_dup()]
        return numbers
    prefix = purge.what
    if purge.by == "key":
        value = transaction.get(index_key(prefix), db=index.keys)
        numbers = [each.number for each in unpack_references(value)]
        prefix += PARTS
    for _, value in index.begins_with(transaction, prefix):
        numbers += [each.number for each in unpack_references(value)]
    return list(dict.fromkeys(numbers))


def _takes(purge: Purge, record: Record) -> bool:
    return purge.what in record.head.tags if purge.by == "tag" else purge.concerns(record.key)
