"""Names to addresses, remembered for a while, through Twisted's resolver interfaces."""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IHostnameResolver, IResolutionReceiver
from zope.interface import implementer

from ..errors import NameNotResolved
from ..net.sweeper import NEVER

Addresses = tuple[str, ...]

_MOST_NAMES = 4096
# The system's resolver does not tell the TTL. Precedents for a floor: Squid's negative_dns_ttl
# and positive minimum of 60 s, browsers' 60 s.
_FOUND_SECONDS = 30.0
_NOT_FOUND_SECONDS = 3.0
_MOST_OF_ONE = 16  # names that are looked up for one client at a time; its others wait


class Resolver:
    """Resolves names and remembers the answers, good and bad ones, for a short while."""

    def __init__(self, name_resolver: Any) -> None:
        """Make one with nothing remembered.

        :param name_resolver: an ``IHostnameResolver``, a reactor's ``nameResolver`` mostly.
        """
        self._resolver: IHostnameResolver = name_resolver
        self._known: dict[str, tuple[float, Addresses]] = {}
        self._waiting: dict[str, list[Deferred[Addresses]]] = {}
        self._under_way: dict[str, str] = {}
        self._of_one: dict[str, int] = {}
        self._queued: dict[str, deque[str]] = {}

    def known(self, host: str) -> Addresses | None:
        """Give the addresses of a name without waiting, ``None`` when that is not possible."""
        entry = self._known.get(host)
        if entry is not None and entry[0] > monotonic():
            return entry[1]
        literal = _literal(host)
        if literal is None:
            return None
        self._remember(host, NEVER, (literal,))
        return (literal,)

    def resolve(self, host: str, client: str = "") -> Deferred[Addresses]:
        """Resolve a name.

        :param client: the address of who chose the name; ``""`` for the operator. A client that
            asks for many names that nobody answers for holds up its own, and nobody else's.
        :returns: its addresses, IPv6 and IPv4 by turns (RFC 8305 section 4), never none; or fails
            with ``NameNotResolved``.
        """
        known = self.known(host)
        if known is not None:
            return succeed(known).addCallback(_some, host)
        result: Deferred[Addresses] = Deferred()
        result.addCallback(_some, host)
        self._waiting.setdefault(host, []).append(result)
        if host not in self._under_way:
            self._look_up(host, client)
        return result

    def _look_up(self, host: str, client: str) -> None:
        count = self._of_one.get(client, 0)
        if client and count >= _MOST_OF_ONE:
            self._queued.setdefault(client, deque()).append(host)
            return
        self._of_one[client] = count + 1
        self._under_way[host] = client
        self._resolver.resolveHostName(_Receiver(self, host), host)

    def resolved(self, host: str, addresses: Sequence[str]) -> None:
        """Called when a resolution is complete."""
        found = _by_turns(addresses)
        seconds = _FOUND_SECONDS if found else _NOT_FOUND_SECONDS
        self._remember(host, monotonic() + seconds, found)
        client = self._under_way.pop(host)
        for waiting in self._waiting.pop(host, ()):
            waiting.callback(found)
        self._look_up_next(client)

    def _look_up_next(self, client: str) -> None:
        self._of_one[client] -= 1
        if not self._of_one[client]:
            del self._of_one[client]
        queue = self._queued.get(client, deque())
        while queue:
            host = queue.popleft()
            # Somebody else may have asked for it meanwhile, and may have been answered.
            if host in self._waiting and host not in self._under_way:
                self._look_up(host, client)
                break
        if not queue:
            self._queued.pop(client, None)

    def _remember(self, host: str, until: float, addresses: Addresses) -> None:
        if len(self._known) >= _MOST_NAMES:
            self._known.clear()
        self._known[host] = (until, addresses)


@implementer(IResolutionReceiver)
class _Receiver:
    """Gathers what Twisted's resolver finds."""

    def __init__(self, resolver: Resolver, host: str) -> None:
        self._resolver = resolver
        self._host = host
        self._addresses: list[str] = []

    def resolutionBegan(self, resolutionInProgress: object) -> None:
        """Nothing has been found yet."""

    def addressResolved(self, address: IAddress) -> None:
        """One address has been found."""
        host = getattr(address, "host", None)
        if host is not None and host not in self._addresses:
            self._addresses.append(host)

    def resolutionComplete(self) -> None:
        """All addresses have been found."""
        self._resolver.resolved(self._host, self._addresses)


def _some(addresses: Addresses, host: str) -> Addresses:
    if not addresses:
        raise NameNotResolved(f"{host} does not resolve")
    return addresses


def _literal(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _by_turns(addresses: Sequence[str]) -> Addresses:
    """Put the families by turns, the first found first (RFC 8305 section 4)."""
    first = [a for a in addresses if (":" in a) == (":" in addresses[0])]
    second = [a for a in addresses if a not in first]
    turns: list[str] = []
    for index in range(max(len(first), len(second))):
        turns += first[index : index + 1] + second[index : index + 1]
    return tuple(turns)
