"""The same server for the same key, for as long as it is there and not overloaded."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any
from zlib import crc32

from pydantic import BeforeValidator, Field, WithJsonSchema
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..interfaces import IBalancer, IBalancerFactory
from ..options import Options
from .hash_key import HashKey, Key, compiled_key
from .round_robin import RoundRobin
from .slot_table import SLOTS, SlotTable

# So few exchanges are no load, however idle the other servers are: one browser keeps six
# connections, and must not be sent to several servers because nobody else is there.
_ALWAYS_ROOM = 8

_ACTIVE = attrgetter("active")


def _number_or_none(value: object) -> object:
    return None if value == "none" else value


LoadFactor = Annotated[
    Annotated[float, Field(ge=1.0, le=100.0)] | None,
    BeforeValidator(_number_or_none),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 1, "maximum": 100}, {"const": "none"}]}
    ),
]


class BoundedOptions(Options):
    """What every hashing balancer may be told."""

    load_factor: LoadFactor = Field(
        default=1.25,
        description="At most so many times its fair share of what is in flight is sent to one "
        'server; what is over goes to another. "none" for no bound.',
    )


class HashOptions(BoundedOptions):
    """What the balancer ``hash`` goes by."""

    key: HashKey = Field(description='"client", "uri", "header:NAME" or "cookie:NAME".')


@implementer(IBalancer)
class ConsistentHash:
    """Gives each key a server, with bounded loads.

    A server that goes leaves its keys to the others and moves none of theirs; one that comes takes
    its share, and no key moves but those. What a server has no room for (Mirrokni, Thorup and
    Zadimoghaddam, "Consistent Hashing with Bounded Loads") goes where its keys would go if it were
    not there. Exchanges without a key take turns.
    """

    def __init__(self, key: Key, load_factor: float | None = 1.25) -> None:
        """Make a balancer.

        :param key: gives an exchange's key.
        :param load_factor: how many times its fair share a server takes, at least 1; ``None`` for
            no bound.
        """
        self._key = key
        self._load_factor = load_factor
        self._table = SlotTable(())
        self._seen: Sequence[Any] = ()
        self._turns = RoundRobin()

    def pick(self, servers: Sequence[Any], exchange: Any) -> Any:
        """See ``IBalancer``."""
        key = self._key(exchange)
        if key is None:
            return self._turns.pick(servers, exchange)
        # CRC-32 sends keys that differ a little to different slots, and costs a sixth of a
        # cryptographic hash. Who wants to load one server can as well repeat one key.
        slot = crc32(key) % SLOTS
        table = self._table
        if table.weights.servers is not servers:
            table = self._table_of(servers)
        server = table.owner(slot)
        if server.active >= _ALWAYS_ROOM and self._load_factor is not None:
            return self._with_room(table, slot, server, self._load_factor)
        return server

    def _table_of(self, servers: Sequence[Any]) -> SlotTable:
        """Make a table; keep it if this tuple has come to stay.

        One that comes for a single attempt must not cost all others the slots that they filled.
        """
        table = SlotTable(servers, self._table)
        if servers is self._seen or not self._table.weights.servers:
            self._table = table
        self._seen = servers
        return table

    def _with_room(self, table: SlotTable, slot: int, owner: Any, factor: float) -> Any:
        servers = table.weights.servers
        fair = factor * (1 + sum(map(_ACTIVE, servers))) / table.weights.total
        if owner.active < fair * owner.effective_weight:
            return owner
        # Somebody has room: all limits together are above all that is in flight.
        free = [
            server
            for server in servers
            if server.active < _ALWAYS_ROOM or server.active < fair * server.effective_weight
        ]
        return table.winner(slot, free or servers)


@implementer(IPlugin, IBalancerFactory)
class HashFactory:
    """Makes balancers that hash what their options say."""

    name = "hash"
    description = "consistent hashing of a header, a cookie, the client or the URI"
    options = HashOptions

    def build(self, options: HashOptions) -> ConsistentHash:
        """See ``IBalancerFactory``."""
        return ConsistentHash(compiled_key(options.key), options.load_factor)


@implementer(IPlugin, IBalancerFactory)
class HashClientFactory:
    """Makes balancers that hash the client's address."""

    name = "hash-client"
    description = "consistent hashing of the client's address"
    options = BoundedOptions

    def build(self, options: BoundedOptions) -> ConsistentHash:
        """See ``IBalancerFactory``."""
        return ConsistentHash(compiled_key("client"), options.load_factor)


@implementer(IPlugin, IBalancerFactory)
class HashUriFactory:
    """Makes balancers that hash path and query."""

    name = "hash-uri"
    description = "consistent hashing of the path and the query"
    options = BoundedOptions

    def build(self, options: BoundedOptions) -> ConsistentHash:
        """See ``IBalancerFactory``."""
        return ConsistentHash(compiled_key("uri"), options.load_factor)
