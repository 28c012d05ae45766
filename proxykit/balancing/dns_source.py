"""Servers out of the DNS: the addresses of a name, or its SRV records, followed by their TTL.

The system's resolver does not tell a TTL, so Twisted's own client asks the name servers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import uniform
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.names import client, dns
from twisted.names.error import DomainError
from twisted.python.failure import Failure
from zope.interface import implementer

from ..interfaces import IServerSource
from .sources import MOST_SERVERS, Found, FoundServer

_log = Logger()

# Seconds, for each try of a question.
_TIMEOUTS = (1, 2, 4)
_RECORDS = {4: dns.Record_A, 6: dns.Record_AAAA}

Answers = tuple[list[dns.RRHeader], list[dns.RRHeader], list[dns.RRHeader]]


@frozen(slots=True)
class DnsTimes:
    """What a TTL counts as, in seconds.

    :ivar least: a shorter one counts as this.
    :ivar most: and a longer one as this.
    """

    least: float = 5.0
    most: float = 300.0

    def wait(self, ttl: float) -> float:
        """Give when to ask again; a little later than the TTL, so that a cache asks anew too."""
        return min(max(ttl, self.least), self.most) * uniform(1.0, 1.05)


NameServers = Sequence[tuple[str, int]]


def system_name_servers(path: Path = Path("/etc/resolv.conf")) -> NameServers:
    """Give the system's name servers, as resolv.conf(5) lists them."""
    try:
        lines = [line.split() for line in path.read_text("utf-8", "replace").splitlines()]
    except OSError:
        lines = []
    found = [(line[1], 53) for line in lines if len(line) > 1 and line[0] == "nameserver"]
    return found[:3] or [("127.0.0.1", 53)]


class _DnsSource:
    """Asks again when the shortest TTL of an answer is over.

    What cannot be resolved, for a name server fails or the name is gone, changes nothing: servers
    that were there a moment ago are more likely to serve than none.
    """

    def __init__(
        self,
        name: str,
        scheme: str,
        pool: str,
        servers: NameServers,
        reactor: Any,
        times: DnsTimes,
        families: Iterable[int],
    ) -> None:
        """Make a source that has not asked yet.

        :param name: to ask for.
        :param scheme: ``http`` or ``https``, for the servers.
        :param pool: for the log.
        :param servers: the name servers; none for the system's, read anew for each question.
        :param reactor: to ask and to wait with.
        :param families: 4, 6 or both.
        """
        self._name = name
        self._scheme = scheme
        self._pool = pool
        self._name_servers = servers
        self._reactor = reactor
        self._times = times
        self._families = tuple(families)
        self._found: Found | None = None
        self._servers: list[FoundServer] | None = None
        self._call: IDelayedCall | None = None
        self._failures = 0

    def start(self, found: Found) -> None:
        """See ``IServerSource``."""
        self._found = found
        self._ask()

    def stop(self) -> None:
        """See ``IServerSource``."""
        self._found = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _ask(self) -> None:
        self._call = None
        servers = list(self._name_servers or system_name_servers())
        # Not given resolv.conf's path, it makes no timer of its own.
        self._resolver = client.Resolver(servers=servers, timeout=_TIMEOUTS, reactor=self._reactor)
        Deferred.fromCoroutine(self._look()).addCallbacks(self._looked, self._failed)

    async def _look(self) -> tuple[list[FoundServer], float]:
        """Ask once.

        :returns: servers, and the shortest TTL.
        """
        raise NotImplementedError

    def _looked(self, result: tuple[list[FoundServer], float]) -> None:
        servers, ttl = result
        if self._found is None:
            return
        self._failures = 0
        self._call = self._reactor.callLater(self._times.wait(ttl), self._ask)
        servers = sorted(servers[:MOST_SERVERS], key=lambda server: server.url)
        if servers != self._servers:
            self._servers = servers
            self._found(servers)

    def _failed(self, failure: Failure) -> None:
        if self._found is None:
            return
        self._failures += 1
        wait = min(self._times.least * 2 ** min(self._failures - 1, 16), self._times.most)
        self._call = self._reactor.callLater(wait * uniform(0.9, 1.1), self._ask)
        if self._failures == 1:
            value = failure.value
            reason = str(value) if isinstance(value, ValueError) else type(value).__name__
            _log.warn(
                "{name} does not resolve, which changes nothing in the pool {pool}: {reason}",
                name=self._name,
                pool=self._pool,
                reason=reason,
            )

    async def _addresses(self, name: str) -> tuple[list[str], float]:
        """Ask for the addresses of a name; one family of two may fail.

        :returns: addresses, never none, and their shortest TTL.
        :raises ValueError: when there is none.
        """
        if (literal := _literal(name)) is not None:
            return [literal], self._times.most
        lookups: Any = {4: self._resolver.lookupAddress, 6: self._resolver.lookupIPV6Address}
        answers: Any = await DeferredList(
            [lookups[family](name) for family in self._families], consumeErrors=True
        )
        addresses: list[str] = []
        ttls: list[float] = []
        failures: list[Failure] = []
        for (good, answer), family in zip(answers, self._families, strict=True):
            if not good:
                failures.append(answer)
                continue
            for header in _answers_to(name, answer[0]):
                # A CNAME's TTL counts as well: it may lead elsewhere then.
                ttls.append(header.ttl)
                if header.type == _RECORDS[family].TYPE:
                    addresses.append(_address(header.payload))
        for failure in failures:
            # Half an answer would take away the servers of the other family.
            if not failure.check(DomainError):
                failure.raiseException()
        if not addresses:
            raise ValueError("it has no address")
        return list(dict.fromkeys(addresses)), min(ttls)


@implementer(IServerSource)
class AddressSource(_DnsSource):
    """Each address of a name is a server."""

    def __init__(self, name: str, scheme: str, port: int, *more: Any) -> None:
        """See ``_DnsSource``.

        :param port: of every server.
        """
        super().__init__(name, scheme, *more)
        self._port = port

    async def _look(self) -> tuple[list[FoundServer], float]:
        addresses, ttl = await self._addresses(self._name)
        return [
            FoundServer(_url(self._scheme, each, self._port), server_name=self._name)
            for each in addresses
        ], ttl


@implementer(IServerSource)
class ServiceSource(_DnsSource):
    """Servers of a name's SRV records (RFC 2782).

    Targets of the lowest priority serve, those of others are backups. Weights are as written; a
    weight of 0, "very small", is the smallest share that there is.
    """

    async def _look(self) -> tuple[list[FoundServer], float]:
        answers: Answers = await self._resolver.lookupService(self._name)
        records = [each for each in _answers_to(self._name, answers[0]) if each.type == dns.SRV]
        targets: list[Any] = [each.payload for each in records]
        # RFC 2782: a target of "." says that there is decidedly no such service.
        targets = [each for each in targets if each.target.name.rstrip(b".")][:MOST_SERVERS]
        if not targets:
            raise ValueError("it has no SRV record with a target")
        first = min(each.priority for each in targets)
        ttls: list[float] = [each.ttl for each in records]
        servers: dict[str, FoundServer] = {}
        for target in targets:
            name = target.target.name.decode("ascii").rstrip(".")
            addresses, ttl = await self._addresses(name)
            ttls.append(ttl)
            for address in addresses:
                url = _url(self._scheme, address, target.port)
                weight = max(target.weight, 1)
                server = FoundServer(url, weight, target.priority > first, name)
                servers.setdefault(url, server)
        return list(servers.values()), min(ttls)


def _answers_to(name: str, records: Sequence[dns.RRHeader]) -> list[dns.RRHeader]:
    """Give the records of a name and of the names that it stands for, no others that came along."""
    names = {name.rstrip(".").lower()}
    found = []
    for record in records:
        if record.name.name.decode("latin-1").rstrip(".").lower() in names:
            found.append(record)
            if record.type == dns.CNAME:
                payload: Any = record.payload
                names.add(payload.name.name.decode("latin-1").rstrip(".").lower())
    return found


def _address(payload: Any) -> str:
    return str(ipaddress.ip_address(payload.address))


def _url(scheme: str, address: str, port: int) -> str:
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"


def _literal(name: str) -> str | None:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return None
