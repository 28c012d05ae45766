"""Says what a store on disk holds, in a thread that reads."""

from __future__ import annotations

from collections.abc import Sequence

from ..stored import ShownBody, StoredResponse, StoreStatistics
from .index import Index
from .records import packed_number, unpack_references


def sum_up(index: Index, limit: int) -> StoreStatistics:
    """Sum up what is there, for all who use it.

    :param limit: what all of it may take, in bytes.
    """
    with index.environment.begin() as transaction:
        counters = index.counters(transaction)
        return StoreStatistics(
            transaction.stat(index.keys)["entries"],
            counters.files + index.file_bytes(),
            limit,
            index.evicted(transaction),
        )


def list_entries(
    index: Index, prefix: bytes, limit: int
) -> Sequence[tuple[bytes, Sequence[StoredResponse]]]:
    """List keys that begin with something, and what is under them; see ``ICacheInspection``."""
    found: list[tuple[bytes, Sequence[StoredResponse]]] = []
    with index.environment.begin() as transaction:
        for _, value in index.begins_with(transaction, prefix):
            if len(found) >= limit:
                break
            numbers = [packed_number(each.number) for each in unpack_references(value)]
            records = [index.record(transaction, number) for number in numbers]
            # Long keys are cut in the index; what is in the records is the truth.
            readable = [each for each in records if each is not None]
            if readable and readable[0].key.startswith(prefix):
                responses = [StoredResponse(each.head, ShownBody(each.size)) for each in readable]
                found.append((readable[0].key, responses))
    return found
