"""Clears up: after processes that were killed, and when a disk is so full that nothing else helps.

The numbers of files are known, so nothing is searched.
"""

from __future__ import annotations

from .changes import RANGE
from .index import Index
from .layout import Layout
from .records import Place, packed_number, unpacked_number


def bury_the_dead(index: Index, layout: Layout) -> int:
    """Clear up what killed processes left behind.

    :returns: how many files may have been removed.
    """
    index.environment.reader_check()
    owners: dict[bytes, list[int]] = {}
    with index.environment.begin() as transaction:
        for name, token in transaction.cursor(db=index.reserved):
            owners.setdefault(token, []).append(unpacked_number(name))
        doomed = [unpacked_number(name) for name, _ in transaction.cursor(db=index.doomed)]
    count = len(doomed)
    for number in doomed:
        layout.unlink(number)
    if doomed:
        with index.environment.begin(write=True) as transaction:
            for number in doomed:
                transaction.delete(packed_number(number), db=index.doomed)
    for token, ranges in owners.items():
        with layout.bury(token) as dead:
            if dead:
                for first in ranges:
                    count += _clear(index, layout, first)
    layout.bury_strays(set(owners))
    return count


def _clear(index: Index, layout: Layout, first: int) -> int:
    """Remove the files of a range that are not in the index, then give up the range."""
    with index.environment.begin() as transaction:
        lost = [
            number
            for number in range(first, first + RANGE)
            if transaction.get(packed_number(number), db=index.entries) is None
        ]
    for number in lost:
        layout.unlink(number)
    with index.environment.begin(write=True) as transaction:
        transaction.delete(packed_number(first), db=index.reserved)
    return len(lost)


def give_back(index: Index, layout: Layout, wanted: int) -> int:
    """Remove files of what is to leave next, without a word in the index: that has no room to grow.

    Who looks for one of them finds it lost, as any file that is.

    :param wanted: how much is to be freed, in bytes.
    :returns: how much may have been.
    """
    freed = 0
    with index.environment.begin() as transaction:
        for table in (index.probation, index.main):
            for _, name in transaction.cursor(db=table):
                data = transaction.get(name, db=index.places)
                place = None if data is None else Place.unpack(data)
                if place is not None and place.has_file:
                    layout.unlink(unpacked_number(name))
                    freed += place.charge
                if freed >= wanted:
                    return freed
    return freed
