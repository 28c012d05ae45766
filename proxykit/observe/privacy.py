"""Keeps clients' addresses and what they searched for out of the access log.

Each can be left out, or a pseudonym can stand in its place: a keyed hash. The key is the point.
Without one, whoever has the log hashes all IPv4 addresses, which takes a minute, and looks them up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2s
from typing import Literal

from attrs import evolve, field, frozen

from ..engine.record import ExchangeRecord

Treatment = Literal["full", "hash", "omit"]

_DAY_SECONDS = 86400
# 64 bits: two clients among a million share a pseudonym once in 37 million logs.
_PSEUDONYM_BYTES = 8
# As in log_formats: what is longer is not remembered.
_REMEMBERED = 256


@frozen(slots=True, eq=False)
class Privacy:
    """What the log says of clients.

    :ivar addresses: of their addresses.
    :ivar queries: of the queries of targets and referrers.
    :ivar secret: what pseudonyms are made with; whoever has it can find out whose they are.
    :ivar daily: whether a client has another pseudonym each day (UTC), so that nobody can be
        followed for longer by the log alone.
    """

    addresses: Treatment = "full"
    queries: Treatment = "full"
    secret: bytes = field(default=b"", repr=False)
    daily: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the log says everything."""
        return self.addresses == self.queries == "full"

    def apply(self, record: ExchangeRecord) -> ExchangeRecord:
        """Give what may be written of a record; the record itself is other observers' too."""
        if self.is_open:
            return record
        period = int(record.started_at) // _DAY_SECONDS if self.daily else 0
        address, target, referer = record.client_address, record.target, record.referer
        if self.addresses == "omit":
            address = "-"
        elif self.addresses == "hash" and address:
            address = self._pseudonym(b"address", address.encode("utf-8"), period)
        if self.queries != "full":
            target, referer = self._query(target, period), self._query(referer, period)
        return evolve(record, client_address=address, target=target, referer=referer)

    def _query(self, reference: bytes, period: int) -> bytes:
        """Treat the query of a URI reference, and a fragment behind it."""
        path, mark, query = reference.partition(b"?")
        if not mark:
            return reference
        if self.queries == "omit":
            return path
        return path + b"?" + self._pseudonym(b"query", query, period).encode("ascii")

    def _pseudonym(self, kind: bytes, value: bytes, period: int) -> str:
        make = _known_pseudonym if len(value) <= _REMEMBERED else _pseudonym
        return make(self.secret, kind, value, period)


OPEN = Privacy()
"""The log says everything."""


def _pseudonym(secret: bytes, kind: bytes, value: bytes, period: int) -> str:
    key = blake2s(period.to_bytes(8, "big", signed=True), key=secret[:32], person=kind).digest()
    return blake2s(value, key=key, digest_size=_PSEUDONYM_BYTES).hexdigest()


_known_pseudonym: Callable[[bytes, bytes, bytes, int], str] = lru_cache(maxsize=4096)(_pseudonym)
