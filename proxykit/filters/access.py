"""The ``access`` filter: who may ask for what, when. The first rule that matches decides."""

from __future__ import annotations

import re
import time as clock
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..engine.exchange import Exchange
from ..errors import Denied, NameNotResolved
from ..interfaces import IFilterFactory, IRequestFilter
from ..message.domain import checked_domain, domain_matcher
from ..message.path import PathMatch, checked_path_match, normalised_path
from ..options import BuildContext, Network, Options, PortNumber, contains

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]|24):([0-5][0-9])\Z")


# --- options ----------------------------------------------------------------------------------


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _checked_time(value: str) -> str:
    if not _TIME.match(value) or value.endswith(("24:01", "24:59")):
        raise ValueError(f'expected a time such as "08:00-18:30", got {value!r}')
    return value


def _checked_weekdays(value: str) -> str:
    if not all(day in _WEEKDAYS for day in value.lower().split("-")) or value.count("-") > 1:
        raise ValueError(f'expected a weekday such as "mon", or "mon-fri", got {value!r}')
    return value.lower()


Networks = Annotated[list[Network], BeforeValidator(_as_list)]
Domains = Annotated[list[Annotated[str, AfterValidator(checked_domain)]], BeforeValidator(_as_list)]
Times = Annotated[list[Annotated[str, AfterValidator(_checked_time)]], BeforeValidator(_as_list)]
Weekdays = Annotated[
    list[Annotated[str, AfterValidator(_checked_weekdays)]], BeforeValidator(_as_list)
]
Paths = Annotated[
    list[Annotated[str, AfterValidator(checked_path_match)]], BeforeValidator(_as_list)
]
Texts = Annotated[list[str], BeforeValidator(_as_list)]
Ports = Annotated[list[PortNumber], BeforeValidator(_as_list)]


class Rule(Options):
    """A rule: it matches an exchange that every condition in it matches."""

    action: Literal["allow", "deny"] = Field(description="What happens to what it matches.")
    name: str | None = Field(default=None, description="For the log and the answer.")
    client: Networks = Field(default=[], description="Clients' networks.")
    domain: Domains = Field(
        default=[],
        description='"a.example" itself, ".a.example" with all below, "*.a.example" all below.',
    )
    destination: Networks = Field(
        default=[], description="Networks of the destination, after its name was resolved."
    )
    port: Ports = Field(default=[], description="The destination's ports.")
    method: Texts = Field(default=[], description="Methods.")
    path: Paths = Field(default=[], description='"/prefix", "= /exact" or "~ regex".')
    time: Times = Field(default=[], description='Local times such as "08:00-18:30".')
    weekdays: Weekdays = Field(default=[], description='Days such as "sat", or "mon-fri".')


class AccessOptions(Options):
    """Rules, and a short form for the common ones."""

    rules: list[Rule] = Field(default=[], description="Tried first, in the order written.")
    deny: Networks = Field(default=[], description="Then: clients that may not.")
    allow: Networks = Field(default=[], description="Then: clients that may.")
    default: Literal["allow", "deny"] | None = Field(
        default=None, description='Then. "deny" if there is an allow, else "allow".'
    )


# --- conditions -------------------------------------------------------------------------------

Condition = Callable[[Exchange], bool]


def _client(networks: Sequence[Any]) -> Condition:
    # A client is looked up for each of its requests; parsing its address again costs 2 µs.
    known = lru_cache(maxsize=1024)(lambda address: contains(networks, address))
    return lambda exchange: known(exchange.client_address)


def _domain(patterns: Sequence[str]) -> Condition:
    matches = domain_matcher(patterns)
    return lambda exchange: matches(exchange.host)


def _port(ports: Sequence[int]) -> Condition:
    wanted = frozenset(ports)
    return lambda exchange: exchange.port in wanted


def _method(methods: Sequence[str]) -> Condition:
    wanted = frozenset(method.upper().encode("ascii", "replace") for method in methods)
    return lambda exchange: exchange.request.method in wanted


def _path(patterns: Sequence[str]) -> Condition:
    matches = [PathMatch.of(pattern).matches for pattern in patterns]

    def match(exchange: Exchange) -> bool:
        if exchange.request.method == b"CONNECT":
            return False  # nobody can see a path inside a tunnel
        path = normalised_path(exchange.request.path)
        return any(each(path) for each in matches)

    return match


def _minutes(text: str) -> tuple[int, int]:
    match = _TIME.match(text)
    assert match is not None
    first, second, third, fourth = map(int, match.groups())
    return first * 60 + second, third * 60 + fourth


def _time(spans: Sequence[str], now: Callable[[], float]) -> Condition:
    ranges = [_minutes(span) for span in spans]

    def matches(exchange: Exchange) -> bool:
        local = clock.localtime(now())
        minute = local.tm_hour * 60 + local.tm_min
        return any(
            start <= minute < end if start < end else minute >= start or minute < end
            for start, end in ranges
        )

    return matches


def _weekdays(texts: Sequence[str], now: Callable[[], float]) -> Condition:
    days: set[int] = set()
    for text in texts:
        first, _, last = text.partition("-")
        start, end = _WEEKDAYS.index(first), _WEEKDAYS.index(last or first)
        days.update(day % 7 for day in range(start, (end if end >= start else end + 7) + 1))
    return lambda exchange: clock.localtime(now()).tm_wday in days


class _CompiledRule:
    """A rule as it is tried."""

    def __init__(self, options: Rule, number: int, now: Callable[[], float]) -> None:
        self.allows = options.action == "allow"
        self.name = options.name or f"rule {number}"
        self.destination = tuple(options.destination)
        conditions: list[Condition] = []
        if options.client:
            conditions.append(_client(options.client))
        if options.method:
            conditions.append(_method(options.method))
        if options.port:
            conditions.append(_port(options.port))
        if options.domain:
            conditions.append(_domain(options.domain))
        if options.path:
            conditions.append(_path(options.path))
        if options.weekdays:
            conditions.append(_weekdays(options.weekdays, now))
        if options.time:
            conditions.append(_time(options.time, now))
        self._conditions = tuple(conditions)

    def matches(self, exchange: Exchange) -> bool:
        """Try every condition but the destination's."""
        return all(condition(exchange) for condition in self._conditions)

    def reaches(self, addresses: Sequence[str]) -> bool:
        """Try the destination: one address is enough to deny, all are needed to allow."""
        inside = [contains(self.destination, address) for address in addresses]
        return all(inside) if self.allows else any(inside)


# --- the filter -------------------------------------------------------------------------------


@implementer(IRequestFilter)
class Access:
    """Refuses what the rules do not allow."""

    def __init__(self, options: AccessOptions, now: Callable[[], float] = clock.time) -> None:
        """Compile the rules.

        :param now: the wall clock, in seconds since 1970.
        """
        rules = list(options.rules)
        if options.deny:
            rules.append(Rule(action="deny", client=options.deny, name="deny"))
        if options.allow:
            rules.append(Rule(action="allow", client=options.allow, name="allow"))
        self._rules = tuple(_CompiledRule(rule, n, now) for n, rule in enumerate(rules, 1))
        default = options.default or ("deny" if options.allow else "allow")
        self._allows_rest = default == "allow"

    def request(self, exchange: Exchange) -> Coroutine[Any, Any, None] | None:
        """See ``IRequestFilter``; waits only when a name has to be resolved to decide."""
        for index, rule in enumerate(self._rules):
            if rule.matches(exchange):
                if rule.destination:
                    return self._resolved(exchange, index)
                _decide(rule)
                return None
        self._decide_rest()
        return None

    async def _resolved(self, exchange: Exchange, index: int) -> None:
        """Go on from a rule that asks for the destination's addresses."""
        try:
            addresses = await exchange.resolve_destination()
        except NameNotResolved:
            addresses = ()
        for rule in self._rules[index:]:
            if rule.matches(exchange) and (
                not rule.destination or (addresses and rule.reaches(addresses))
            ):
                _decide(rule)
                return
        self._decide_rest()

    def _decide_rest(self) -> None:
        if not self._allows_rest:
            raise Denied("no access rule allows this")


def _decide(rule: _CompiledRule) -> None:
    if not rule.allows:
        raise Denied(f"the access rule {rule.name!r} does not allow this")


@implementer(IPlugin, IFilterFactory)
class AccessFactory:
    """Makes ``access`` filters."""

    name = "access"
    description = "allows and denies by client, destination, port, method, path and time"
    options = AccessOptions

    def build(self, options: AccessOptions, context: BuildContext) -> Access:
        """See ``IFilterFactory``."""
        return Access(options)
