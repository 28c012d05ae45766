"""What a route says of the requests that it takes, compiled: host, path, method, fields, client."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import parse_qsl

from attrs import frozen

from ..engine.exchange import Exchange
from ..message.path import PathMatch, normalised_path
from ..message.pattern import Pattern
from ..message.request import Request
from ..options import IPNetwork

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# A query is at most as long as a target; what it costs to take it apart is bounded here.
_MOST_PARAMETERS = 256


class Subject:
    """A request as routes look at it: each thing is worked out once, when it is asked for.

    :ivar exchange: whose request it is.
    :ivar host: in lower case, without a port and without a dot at its end.
    :ivar path: normalised.
    """

    __slots__ = ("_query", "exchange", "host", "path")

    def __init__(self, exchange: Exchange) -> None:
        """Look at an exchange's request."""
        self.exchange = exchange
        host = exchange.host
        self.host = host[:-1] if host.endswith(".") else host
        self.path = normalised_path(exchange.request.path)
        self._query: dict[str, list[str]] | None = None

    @property
    def query(self) -> Mapping[str, list[str]]:
        """The query's parameters, decoded; each name with its values in order."""
        if self._query is None:
            self._query = {}
            parts = self.exchange.request.query.split("&")[:_MOST_PARAMETERS]
            for name, value in parse_qsl("&".join(parts), keep_blank_values=True):
                self._query.setdefault(name, []).append(value)
        return self._query


Condition = Callable[[Subject], bool]
Wanted = bool | str | Sequence[str]
"""What is asked of a value: ``True`` to be there, ``False`` not to, else texts or ``~ regex``."""


@frozen(slots=True)
class HostMatch:
    """The hosts of a route: any one of these.

    :ivar exact: names in lower case.
    :ivar suffixes: ``.a.example`` for each ``*.a.example``.
    :ivar patterns: compiled from ``~ regex``.
    """

    exact: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()

    @classmethod
    def of(cls, hosts: Iterable[str]) -> HostMatch | None:
        """Compile a route's ``host``; ``None`` when it takes any.

        :raises ValueError: when a regular expression is none.
        """
        exact: set[str] = set()
        suffixes: list[str] = []
        patterns: list[Pattern] = []
        for host in hosts:
            if host == "*":
                return None
            if host.startswith("~"):
                patterns.append(Pattern.of(host[1:].strip(), case_sensitive=False))
            elif host.startswith("*."):
                suffixes.append(host[1:].lower())
            else:
                exact.add(host.lower())
        if not (exact or suffixes or patterns):
            return None
        return cls(frozenset(exact), tuple(suffixes), tuple(patterns))

    def matches(self, host: str) -> bool:
        """Say whether a host is one of these."""
        return (
            host in self.exact
            or host.endswith(self.suffixes)
            or any(pattern.search(host) for pattern in self.patterns)
        )


def method_condition(methods: Iterable[str]) -> Condition:
    """Ask for one of these methods."""
    wanted = frozenset(method.encode("ascii") for method in methods)
    return lambda subject: subject.exchange.request.method in wanted


def header_condition(name: str, wanted: Wanted) -> Condition:
    """Ask something of a field's combined value (RFC 9110 section 5.3).

    :raises ValueError: when a regular expression is none.
    """
    key = name.lower().encode("ascii")
    judge = _judge(wanted)

    def matches(subject: Subject) -> bool:
        value = field_value(subject.exchange.request, key)
        return judge(() if value is None else (value.decode("latin-1"),))

    return matches


def field_value(request: Request, name: bytes) -> bytes | None:
    """Give the combined value of a request's field, as filters have left it by now.

    :param name: in lower case.
    """
    changed = request.changed_headers
    return request.section.values.get(name) if changed is None else changed.get(name)


def query_condition(name: str, wanted: Wanted) -> Condition:
    """Ask something of a query's parameter; one of its values is enough.

    :raises ValueError: when a regular expression is none.
    """
    judge = _judge(wanted)
    return lambda subject: judge(subject.query.get(name, ()))


def client_condition(networks: Sequence[IPNetwork]) -> Condition:
    """Ask for a client in one of these networks; one on a UNIX socket is in none."""
    wanted = tuple(networks)

    def matches(subject: Subject) -> bool:
        address = _parsed(subject.exchange.client_address)
        return address is not None and any(address in network for network in wanted)

    return matches


# A client is looked up for each of its requests and by many routes; parsing costs 2 µs.
@lru_cache(maxsize=1024)
def _parsed(address: str) -> IPAddress | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _judge(wanted: Wanted) -> Callable[[Sequence[str]], bool]:
    """Compile what is asked of values into a question about all that there are."""
    if isinstance(wanted, bool):
        return lambda values: bool(values) is wanted
    texts = [wanted] if isinstance(wanted, str) else list(wanted)
    exact = frozenset(text for text in texts if not text.startswith("~"))
    patterns = [Pattern.of(text[1:].strip()) for text in texts if text.startswith("~")]

    def judge(values: Sequence[str]) -> bool:
        return any(
            value in exact or any(pattern.search(value) for pattern in patterns) for value in values
        )

    return judge


@frozen(slots=True, eq=False)
class Conditions:
    """All that a route says of the requests that it takes; all of it must hold.

    :ivar host: ``None`` for any.
    :ivar path: ``None`` for any.
    :ivar others: of methods, fields, query and client.
    """

    host: HostMatch | None = None
    path: PathMatch | None = None
    others: tuple[Condition, ...] = ()

    @property
    def take_all(self) -> bool:
        """Whether any request is taken."""
        path = self.path
        return self.host is None and not self.others and (path is None or path.prefix == "/")

    def hold(self, subject: Subject) -> bool:
        """Say whether a request is taken."""
        if self.path is not None and not self.path.matches(subject.path):
            return False
        if self.host is not None and not self.host.matches(subject.host):
            return False
        return all(condition(subject) for condition in self.others) if self.others else True
