"""By what exchanges are counted together: their client, user, group or destination."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2s

from .exchange import Exchange

# A key that is longer is kept as its digest: what a client writes must not fill the memory.
_LONGEST = 64
# Of somebody who is in more groups than this, only so many are looked at.
_MOST_GROUPS = 32

Keys = Callable[[Exchange], tuple[str, ...]]


def client_key(address: str) -> str:
    """Give what a client is counted by: its IPv4 address, or its IPv6 network of 64 bits.

    One IPv6 client has as many addresses as it likes: what a site is given is a /64.
    """
    return address if ":" not in address else _network(address)


@lru_cache(maxsize=4096)
def _network(address: str) -> str:
    parsed = ipaddress.IPv6Address(address)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> 64:x}/64"


def shortened(text: str) -> str:
    """Give a text as it is kept in a key: itself, or its digest when it is long."""
    if len(text) <= _LONGEST:
        return text
    return blake2s(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def user_key(exchange: Exchange) -> str:
    """Give what a user is counted by; who is none is counted as a client.

    The mark in front keeps a user who is called like an address apart from it.
    """
    if exchange.user:
        return "u " + shortened(exchange.user)
    return client_key(exchange.client_address)


def _groups(exchange: Exchange) -> tuple[str, ...]:
    return tuple(shortened(group) for group in sorted(exchange.groups)[:_MOST_GROUPS])


KEYS: Mapping[str, Keys] = {
    "client": lambda exchange: (client_key(exchange.client_address),),
    "user": lambda exchange: (user_key(exchange),),
    "group": _groups,
    "destination": lambda exchange: (shortened(exchange.host.rstrip(".")),),
    "total": lambda exchange: ("",),
}
"""What gives the keys of an exchange, by the name that an option has for it. A user has one for
each group; who is in none has none."""
