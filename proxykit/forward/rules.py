"""Which exchanges a parent, or an address to go out by, is for."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Sequence

from attrs import frozen

from ..engine.exchange import Exchange
from ..message.domain import domain_matcher
from ..options import IPNetwork, contains

Destinations = Callable[[str], bool]
"""Says whether a host, a name in lower case or an address, is one of some."""


def destinations(patterns: Sequence[str | IPNetwork]) -> Destinations:
    """Compile patterns of domains, and networks: those are for addresses, never for names.

    A name is not resolved to see whether it leads into a network: a parent's names are the
    parent's to resolve.
    """
    networks = tuple(each for each in patterns if not isinstance(each, str))
    domains = [each for each in patterns if isinstance(each, str)]
    of_domain = domain_matcher(domains) if domains else None

    def match(host: str) -> bool:
        if networks and _is_address(host) and contains(networks, host):
            return True
        return of_domain is not None and of_domain(host)

    return match


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@frozen(slots=True, eq=False)
class Rule:
    """What exchanges something is for: those that meet every condition there is.

    :ivar wanted: ``None`` for any destination.
    :ivar unwanted: ``None`` for no exception.
    :ivar clients: empty for any.
    :ivar ports: empty for any.
    """

    wanted: Destinations | None = None
    unwanted: Destinations | None = None
    clients: Sequence[IPNetwork] = ()
    ports: Collection[int] = ()

    def takes(self, exchange: Exchange) -> bool:
        """Say whether an exchange is one of them."""
        if self.ports and exchange.port not in self.ports:
            return False
        if self.wanted is not None and not self.wanted(exchange.host):
            return False
        if self.unwanted is not None and self.unwanted(exchange.host):
            return False
        return not self.clients or contains(self.clients, exchange.client_address)


@frozen(slots=True, eq=False)
class OutgoingAddress:
    """A local address, and what goes out by it."""

    address: str
    rule: Rule


class OutgoingAddresses:
    """Chooses the local addresses of connections."""

    def __init__(self, addresses: Sequence[OutgoingAddress]) -> None:
        """Take addresses in the order in which they are tried."""
        self._addresses = tuple(addresses)

    def choose(self, exchange: Exchange) -> tuple[str, ...]:
        """Give the first IPv4 and the first IPv6 address whose rule takes an exchange."""
        found: dict[bool, str] = {}
        for each in self._addresses:
            is_ipv6 = ":" in each.address
            if is_ipv6 not in found and each.rule.takes(exchange):
                found[is_ipv6] = each.address
        return tuple(found.values())
