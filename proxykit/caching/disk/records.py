"""What stands in the tables of a disk's index: keys and values, as they are and as bytes."""

from __future__ import annotations

import struct
from hashlib import blake2b

from attrs import define, frozen

from ..packing import Unreadable, pack, pack_head, sealed, unpack, unpack_head, unsealed
from ..stored import StoredHead
from .files import BLOCK

LONGEST_KEY = 480
"""Longer keys are cut, in bytes; LMDB's own limit is 511."""

_NUMBER = struct.Struct(">Q")
_REFERENCE = struct.Struct(">QI")
_PLACE = struct.Struct(">BBQQ")
_COUNTERS = struct.Struct(">6Q")

_LAST_REVISION = 0xFFFF_FFFF  # the next one is 0 again
_KEPT_OF_LONG = 440  # what stands in front of a long key's hash, in bytes


@frozen(slots=True, eq=False)
class Record:
    """What the index says of a stored response.

    :ivar checksums: of each block of its content, one after the other.
    """

    key: bytes
    head: StoredHead
    size: int
    checksums: bytes

    def pack(self) -> bytes:
        """Give the record as it is stored."""
        return sealed(pack((self.key, pack_head(self.head), self.size, self.checksums)))

    @classmethod
    def unpack(cls, data: bytes) -> Record:
        """Give a record that was stored.

        :raises Unreadable: when that is none.
        """
        value = unpack(unsealed(data))
        if type(value) is not tuple or len(value) != 4:
            raise Unreadable("it is no record")
        key, head, size, checksums = value
        if type(key) is not bytes or type(size) is not int or type(checksums) is not bytes:
            raise Unreadable("it is no record")
        if size < 0 or len(checksums) != 8 * -(-size // BLOCK):
            raise Unreadable("it has checksums for another size")
        return cls(key, unpack_head(head), size, checksums)


@frozen(slots=True)
class Reference:
    """A response under a key.

    :ivar revision: goes up when its head is replaced.
    """

    number: int
    revision: int

    def revised(self) -> Reference:
        """Give the reference once the response's head was replaced."""
        return Reference(self.number, self.revision + 1 & _LAST_REVISION)


@define(slots=True)
class Place:
    """Where an entry stands.

    :ivar main: in the main queue.
    :ivar frequency: how often it was asked for since it was last judged, three at the most.
    :ivar charge: what it takes of the disk, in bytes; its file only, if it has one.
    """

    main: bool
    frequency: int
    sequence: int
    charge: int
    has_file: bool = False

    def pack(self) -> bytes:
        """Give the place as it is stored."""
        flags = self.main | self.has_file << 1
        return _PLACE.pack(flags, self.frequency, self.sequence, self.charge)

    @classmethod
    def unpack(cls, data: bytes) -> Place:
        """Give a place that was stored."""
        flags, frequency, sequence, charge = _PLACE.unpack(data)
        return cls(bool(flags & 1), frequency, sequence, charge, bool(flags & 2))


@define(slots=True)
class Counters:
    """Numbers that every transaction keeps true.

    :ivar next: the next number or sequence.
    :ivar files: bytes that files of bodies take.
    :ivar probation: bytes in the small queue.
    :ivar main: bytes in the main one.
    :ivar entries: how many there are.
    :ivar ghosts: how many of those.
    """

    next: int = 1
    files: int = 0
    probation: int = 0
    main: int = 0
    entries: int = 0
    ghosts: int = 0

    def take(self, count: int = 1) -> int:
        """Give the first of so many numbers that were never given before."""
        first = self.next
        self.next += count
        return first

    def pack(self) -> bytes:
        """Give the counters as they are stored."""
        return _COUNTERS.pack(
            self.next,
            max(0, self.files),
            max(0, self.probation),
            max(0, self.main),
            max(0, self.entries),
            max(0, self.ghosts),
        )

    @classmethod
    def unpack(cls, data: bytes) -> Counters:
        """Give counters that were stored."""
        return cls(*_COUNTERS.unpack(data))


def packed_number(number: int) -> bytes:
    """Give a number as a key that sorts as the number does."""
    return _NUMBER.pack(number)


def unpacked_number(data: bytes) -> int:
    """Give the number of ``packed_number``."""
    number: int = _NUMBER.unpack(data)[0]
    return number


def pack_references(references: list[Reference]) -> bytes:
    """Give what ``keys`` holds."""
    return b"".join(_REFERENCE.pack(each.number, each.revision) for each in references)


def unpack_references(data: bytes | None) -> list[Reference]:
    """Give what ``keys`` held; nothing is nothing."""
    if data is None or len(data) % _REFERENCE.size:
        return []
    return [Reference(*each) for each in _REFERENCE.iter_unpack(data)]


def index_key(key: bytes) -> bytes:
    """Give what stands in the index for a key: long ones are cut, with their hash behind.

    What begins alike still stands side by side, up to ``prefix_of``.
    """
    if len(key) <= LONGEST_KEY:
        return key
    return key[:_KEPT_OF_LONG] + b"\x00" + blake2b(key, digest_size=16).digest()


def prefix_of(prefix: bytes) -> bytes:
    """Give what all keys in the index begin with whose whole keys begin with ``prefix``."""
    return prefix[:_KEPT_OF_LONG]


def key_hash(key: bytes) -> bytes:
    """Give eight bytes that stand for a key where a mistake does no harm."""
    return blake2b(key, digest_size=8).digest()
