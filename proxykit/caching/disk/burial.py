"""Clears up after processes that were killed: their numbers are known, so nothing is searched."""

from __future__ import annotations

from .changes import RANGE
from .index import Index, packed_number, unpacked_number
from .layout import Layout


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
