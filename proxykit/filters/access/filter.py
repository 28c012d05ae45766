"""The ``access`` filter itself: finds the first rule that matches, and does what it says."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from ...engine.exchange import Exchange
from ...errors import ConfigurationError, Denied, NameNotResolved, Unavailable
from ...interfaces import (
    IBackground,
    IChecked,
    IExplaining,
    IFilterFactory,
    IRequestFilter,
    IResponseFilter,
)
from ...lists.table import TableError
from ...lists.watched import WatchedList, report_lines, watched_list
from ...message.response import Response
from ...options import BuildContext
from .conditions import Networks, compile_conditions
from .options import LIST_KINDS, AccessOptions, Rule
from .response import ResponseCondition
from .tables import Condition, Lists

_log = Logger()

# Characters times the size of the expressions that they are matched with: above this, 20 ms by
# RE2's slowest way, the expressions have a turn of the reactor each.
_MOST_AT_ONCE = 250_000


@frozen(slots=True, eq=False)
class _Named:
    """What is left of a rule when its conditions were compiled."""

    name: str
    allows: bool
    options: Rule
    of_response: ResponseCondition | None


@implementer(IRequestFilter, IBackground, IChecked, IExplaining)
class Access:
    """Refuses what the rules do not allow."""

    def __init__(
        self,
        options: AccessOptions,
        now: Callable[[], float] = clock.time,
        lists: Lists | None = None,
        reactor: Any = None,
    ) -> None:
        """Compile the rules.

        :param now: the wall clock, in seconds since 1970.
        :param lists: the files that the options name.
        :param reactor: for what has to wait.
        """
        rules = options.all_rules()
        self._allows_rest = options.allows_rest
        self._dry_run = options.dry_run
        self._lists = dict(lists or {})
        self._reactor = reactor
        self._rules = tuple(
            _Named(
                rule.name or f"rule {number}",
                rule.action == "allow",
                rule,
                ResponseCondition.of(rule),
            )
            for number, rule in enumerate(rules, 1)
        )
        self._all = (1 << len(rules)) - 1
        self._allowing = self._those(lambda rule: rule.allows)
        self._denying = self._all ^ self._allowing
        self._of_response = self._those(lambda rule: rule.of_response is not None)
        self._by_destination = self._those(lambda rule: bool(rule.options.destination))
        destinations = [(1 << n, each) for n, rule in enumerate(rules) for each in rule.destination]
        self._destinations = Networks(destinations, "destination", self._lists)
        self._conditions = compile_conditions(rules, self._lists, now)
        # What a request is tried with: which rules match, which have it, which have not.
        self._tried = tuple(
            (each.matched, each.rules, self._all ^ each.rules) for each in self._conditions
        )
        self._instructions = sum(each.instructions for each in self._conditions)
        self._was_read = not self._lists

    def _those(self, is_one: Callable[[_Named], bool]) -> int:
        return sum(1 << n for n, rule in enumerate(self._rules) if is_one(rule))

    # --- requests -----------------------------------------------------------------------------

    def request(self, exchange: Exchange) -> Coroutine[Any, Any, None] | None:
        """See ``IRequestFilter``; waits only for names that must be resolved, and for lists."""
        if not self._was_read:
            return self._when_read(exchange)
        instructions = self._instructions
        if instructions and instructions * len(exchange.request.raw_target) > _MOST_AT_ONCE:
            return self._in_turns(exchange)
        matching = self._all
        for matched, having, others in self._tried:
            if matching & having:
                matching &= matched(exchange) | others
        return self._matched(exchange, matching)

    def _matched(self, exchange: Exchange, matching: int) -> Coroutine[Any, Any, None] | None:
        """Go on when it is known which rules match, but for destinations and responses."""
        waiting = matching & self._by_destination
        if waiting:
            sure = matching & ~self._by_destination & ~self._of_response
            if not sure or waiting & -waiting < sure & -sure:
                resolver = exchange.pipeline.resolver
                addresses = exchange.addresses or resolver.known(exchange.host)
                if addresses is None:
                    return self._resolved(exchange, matching)
                matching = self._reaching(matching, addresses)
        self._decide(exchange, matching)
        return None

    async def _resolved(self, exchange: Exchange, matching: int) -> None:
        try:
            addresses: Sequence[str] = await exchange.resolve_destination()
        except NameNotResolved:
            addresses = ()
        self._decide(exchange, self._reaching(matching, addresses))

    def _reaching(self, matching: int, addresses: Sequence[str]) -> int:
        """Try the destinations: one address is enough to deny, all are needed to allow."""
        one, every = 0, self._all if addresses else 0
        for address in addresses:
            inside = self._destinations.matched(address)
            one |= inside
            every &= inside
        reaching = (one & self._denying) | (every & self._allowing)
        return matching & (reaching | ~self._by_destination)

    async def _in_turns(self, exchange: Exchange) -> None:
        """Try expressions that might take long together, each in a turn of the reactor."""
        matching = self._all
        for condition in self._conditions:
            if matching & condition.rules:
                found = await self._matched_in_turns(condition, exchange)
                matching &= found | (self._all ^ condition.rules)
        waiting = self._matched(exchange, matching)
        if waiting is not None:
            await waiting

    async def _matched_in_turns(self, condition: Condition, exchange: Exchange) -> int:
        if condition.steps is None:
            return condition.matched(exchange)
        steps = condition.steps(exchange)
        try:
            while True:
                next(steps)
                await deferLater(self._reactor, 0)
        except StopIteration as end:
            found: int = end.value
            return found

    def _decide(self, exchange: Exchange, matching: int) -> None:
        """Do what the first rule says, when no response can change that any more."""
        sure = matching & ~self._of_response
        first = sure & -sure
        denies = bool(first & self._denying) if first else not self._allows_rest
        pending = matching & self._of_response
        if pending:
            pending &= first - 1 if first else -1
            request = exchange.request
            if request.method == b"CONNECT" or b"upgrade" in request.section.options:
                pending = 0  # nobody can see what goes through a tunnel
            if pending & (self._allowing if denies else self._denying):
                if exchange.notes is None:
                    exchange.notes = {}
                exchange.notes[self] = pending, first
                return
        if denies:
            self._deny(exchange, first)

    def _deny(self, exchange: Exchange, first: int) -> None:
        """Refuse an exchange by a rule, or by there being none.

        :raises Denied: unless this is a dry run.
        """
        if first:
            name = self._rules[first.bit_length() - 1].name
            reason = f"the access rule {name!r} does not allow this"
        else:
            reason = "no access rule allows this"
        if not self._dry_run:
            raise Denied(reason)
        _log.info(
            "dry run: {reason}: {method} {host} for {client} {user}",
            reason=reason,
            method=exchange.request.method.decode("ascii"),
            host=exchange.host,
            client=exchange.client_address,
            user=exchange.user or "-",
        )

    # --- lists --------------------------------------------------------------------------------

    async def _when_read(self, exchange: Exchange) -> None:
        await gatherResults([each.tried() for each in self._lists.values()])
        for each in self._lists.values():
            if each.table is None:
                # Nobody can say whom it would have let in.
                raise Unavailable(f"the access list {each.name} could not be read")
        self._was_read = True
        waiting = self.request(exchange)
        if waiting is not None:
            await waiting

    def _list_changed(self) -> None:
        for condition in self._conditions:
            condition.forget()

    def start(self) -> None:
        """See ``IBackground``."""
        for each in self._lists.values():
            each.start(self._reactor, self._list_changed)

    def stop(self) -> None:
        """See ``IBackground``."""
        for each in self._lists.values():
            each.stop(self._list_changed)

    def check(self) -> list[str]:
        """See ``IChecked``: read the lists and say what became of their lines."""
        lines: list[str] = []
        for each in self._lists.values():
            try:
                lines += report_lines(each.name, each.load_now())
            except TableError as error:
                raise ConfigurationError(f"access: the list {each.name}: {error}") from error
        self._was_read = True
        return lines

    # --- saying why ---------------------------------------------------------------------------

    def explain(self, exchange: Exchange) -> list[str]:
        """See ``IExplaining``: every rule up to the one that decides."""
        addresses = exchange.addresses or exchange.pipeline.resolver.known(exchange.host) or ()
        reaching = self._reaching(self._all, addresses)
        lines = ["dry run: what would be denied is only logged"] if self._dry_run else []
        for number, rule in enumerate(self._rules):
            bit = 1 << number
            missed = [c.name for c in self._conditions if bit & c.rules & ~c.matched(exchange)]
            if bit & ~reaching:
                missed.append("destination")
            action = "allow" if rule.allows else "deny"
            said = f"rule {rule.name!r} ({action})"
            if missed:
                lines.append(f"{said} does not match: {', '.join(missed)}")
            elif rule.of_response is not None and exchange.request.method == b"CONNECT":
                lines.append(f"{said} is not tried: no response can be seen in a tunnel")
            elif rule.of_response is not None:
                lines.append(f"{said} matches if the response does: {rule.of_response}")
            else:
                return [*lines, f"{said} decides: {_conditions_of(rule.options)}"]
        default = "allow" if self._allows_rest else "deny"
        return [*lines, f"no rule decides; the default does: {default}"]


def _conditions_of(rule: Rule) -> str:
    """Write a rule's conditions."""
    said = [
        f"{name} is {' or '.join(map(str, value))}"
        for name, value in rule
        if isinstance(value, list) and value and name not in ("type", "size")
    ]
    return " and ".join(said) or "it matches everything"


@implementer(IResponseFilter)
class AccessWithResponses(Access):
    """The same with rules that can be tried only when there is a response."""

    def response(self, exchange: Exchange, response: Response) -> None:
        """See ``IResponseFilter``; decides what ``request`` left open."""
        noted = exchange.notes.pop(self, None) if exchange.notes is not None else None
        if noted is None:
            return
        pending, first = noted
        while pending:
            bit = pending & -pending
            rule = self._rules[bit.bit_length() - 1]
            if rule.of_response is not None and rule.of_response.matches(response):
                first = bit
                break
            pending ^= bit
        if bool(first & self._denying) if first else not self._allows_rest:
            self._deny(exchange, first)


@implementer(IPlugin, IFilterFactory)
class AccessFactory:
    """Makes ``access`` filters."""

    name = "access"
    description = "allows and denies by client, user, destination, URL, time, response and lists"
    options = AccessOptions

    def build(self, options: AccessOptions, context: BuildContext) -> Access:
        """See ``IFilterFactory``."""
        lists: dict[tuple[str, str], WatchedList] = {}
        for rule in options.all_rules():
            for condition, name in rule.named_lists():
                file = options.lists[name]
                assert isinstance(file, str)  # arrays were put where they are named
                path = context.directory / file
                try:
                    path.open("rb").close()
                except OSError as error:
                    raise ConfigurationError(
                        f"access: the list {path} cannot be read: {error.strerror}"
                    ) from error
                kind = LIST_KINDS[condition]
                lists[name, kind] = watched_list(path, kind)
        needs_responses = any(rule.of_response for rule in options.rules)
        make = AccessWithResponses if needs_responses else Access
        return make(options, clock.time, lists, context.reactor)
