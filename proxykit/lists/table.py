r"""A table of a million keys that is looked up in place: no object an entry, nothing to load.

One buffer, which may be a mapped file::

    head | offsets of the buckets, 4 bytes each | buckets | report, JSON

A bucket is the text of its records, ``\n KEY \0 VALUE`` each. A key's bucket is the key, read as
a number, modulo a random prime: whoever writes a list cannot choose keys that share a bucket,
for two different keys of n bytes do so for at most n / 7 of the 2**54 primes (Karp and Rabin,
1987). Keys are compared whole, so nothing is ever found that is not there.
"""

from __future__ import annotations

import json
import mmap
import random
import struct
from array import array
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

_HEAD = struct.Struct("=8sQQQQ")  # magic, prime, mask, where the buckets begin, where they end
_MAGIC = b"pxtable1"
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)  # decide for every number below 2**64
_LARGEST = 2**32 - 1
_number = int.from_bytes  # big-endian


class TableError(Exception):
    """A buffer is no table, or what should become one is too large."""


class Table:
    """Values by their keys; several may share a key.

    :ivar report: what its maker had to say of the lists that it was made of.
    """

    __slots__ = ("_begin", "_buffer", "_mask", "_offsets", "_prime", "report")

    def __init__(self, buffer: bytes | mmap.mmap) -> None:
        """Take a buffer that ``write_table`` made.

        :raises TableError: when it is none.
        """
        try:
            magic, self._prime, self._mask, begin, end = _HEAD.unpack_from(buffer)
            if magic != _MAGIC:
                raise ValueError
            offsets = memoryview(buffer)[_HEAD.size : begin].cast("I")
            if len(offsets) != self._mask + 2:
                raise ValueError
            self.report: Mapping[str, Any] = json.loads(buffer[end:])
        except (struct.error, ValueError, TypeError) as error:
            raise TableError("this is no table") from error
        self._buffer = buffer
        self._begin = begin
        self._offsets = offsets

    @classmethod
    def mapped(cls, file: BinaryIO) -> Table:
        """Map a file; it stays mapped while the table lives, even when its name is gone.

        :raises TableError: when it holds no table.
        """
        try:
            return cls(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        except (OSError, ValueError) as error:
            raise TableError(str(error)) from error

    def find(self, key: bytes) -> tuple[bytes, ...]:
        """Give the values of a key, in the order in which they were written."""
        bucket = _number(key) % self._prime & self._mask
        offsets = self._offsets
        start = offsets[bucket]
        end = offsets[bucket + 1]
        if start == end:
            return ()
        begin = self._begin
        records = self._buffer[begin + start : begin + end]
        mark = b"\n%b\0" % key
        at = records.find(mark)
        if at < 0:
            return ()
        values = []
        while at >= 0:
            at += len(mark)
            stop = records.find(b"\n", at)
            if stop < 0:
                values.append(records[at:])
                break
            values.append(records[at:stop])
            at = records.find(mark, stop)
        return tuple(values)

    def __contains__(self, key: bytes) -> bool:
        return bool(self.find(key))


def write_table(
    records: Iterable[tuple[bytes, bytes]], report: Mapping[str, Any], file: BinaryIO
) -> None:
    """Write a table.

    :param records: keys and values, neither of which holds a line feed or a NUL.
    :param report: can be written as JSON.
    :raises TableError: when there is more than fits.
    """
    keys: list[bytes] = []
    texts: list[bytes] = []
    for key, value in records:
        text = b"%b\0%b" % (key, value)
        if b"\n" in text or b"\0" in value or b"\0" in key:
            raise TableError("a record holds a line feed or a NUL")
        keys.append(key)
        texts.append(text)
    # More buckets than keys: most of those that are looked up are in no list, and end at an empty
    # bucket.
    mask = (2 << max(len(keys) - 1, 0).bit_length()) - 1
    prime = _random_prime()
    buckets = array("I", (_number(key) % prime & mask for key in keys))
    del keys
    offsets = array("I", bytes(4 * (mask + 2)))
    begin = _HEAD.size + len(offsets) * 4
    file.seek(begin)
    position = 0
    previous = 0
    for index in sorted(range(len(texts)), key=buckets.__getitem__):
        bucket = buckets[index]
        if bucket != previous:
            for each in range(previous + 1, bucket + 1):
                offsets[each] = position
            previous = bucket
        position += file.write(b"\n" + texts[index])
        if position > _LARGEST:
            raise TableError("the list is larger than 4 GiB")
    for each in range(previous + 1, mask + 2):
        offsets[each] = position
    file.write(json.dumps(report).encode("ascii"))
    file.seek(0)
    file.write(_HEAD.pack(_MAGIC, prime, mask, begin, begin + position))
    file.write(offsets.tobytes())
    file.flush()


def _random_prime() -> int:
    """Give a random prime between 2**60 and 2**61."""
    source = random.SystemRandom()
    while True:
        candidate = source.randrange(2**60 + 1, 2**61, 2)
        if _is_prime(candidate):
            return candidate


def _is_prime(number: int) -> bool:
    """Test an odd number below 2**64 by Miller and Rabin with bases that decide for all of them."""
    odd = number - 1
    twos = 0
    while odd % 2 == 0:
        odd //= 2
        twos += 1
    for base in _WITNESSES:
        value = pow(base, odd, number)
        if value in (1, number - 1):
            continue
        for _ in range(twos - 1):
            value = value * value % number
            if value == number - 1:
                break
        else:
            return False
    return True
