"""A forward proxy's siblings: caches beside its own, asked for what they have stored already.

A sibling is asked before the origin, or a parent, with ``only-if-cached`` (RFC 9111 section
5.2.1.7): either it has the response or it says 504 at once. To the engine it is one more server
that an exchange may be given to, whose failures cost an attempt and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from twisted.logger import Logger

from ..caching.directives import Directives, parse_directives
from ..engine.exchange import Exchange
from ..message.framing import NoContent
from ..upstream.retries import RetryPolicy
from ..upstream.server import Server
from .health import Health
from .rules import Rule
from .table import ServerTable

_log = Logger()

ONLY_STORED = b"Cache-Control: only-if-cached\r\n"
"""Beside a Cache-Control of the client's own it is one more member of the same list."""

# What of a sibling's answers may be a stored response. All others are its own words: that it has
# nothing (504), that it refuses us, or the destination, or that it is in trouble.
_STORED_ERRORS = frozenset({404, 410})
_NOT_THERE = frozenset(range(400, 600)) - _STORED_ERRORS
# And that it will not do better for the next request: 407 wants credentials, 508 is ourselves.
_FAILURES = (frozenset(range(500, 600)) - {504}) | {407}

_USELESS = (b"no-cache", b"no-store", b"only-if-cached")


def may_ask(exchange: Exchange) -> bool:
    """Say whether siblings are asked for an exchange that is on its way to a server.

    They are for what the cache has a part in: a GET of its own, or a client's HEAD that it did not
    answer. What passed it by, or turned out a moment ago not to be for it, no sibling has either.
    And whoever wants only what is stored here asks no further: so siblings of each other never
    pass a request to and fro.
    """
    request = exchange.request
    if request.method == b"GET":
        if exchange.cache:  # the client's own request, not the cache's
            return False
    elif request.method != b"HEAD" or exchange.cache != "miss":
        return False
    if type(request.framing) is not NoContent:
        return False
    changed = request.changed_headers
    values = request.section.values if changed is None else changed.section().values
    if b"authorization" in values:
        return False
    directives = _directives(values)
    if any(name in directives for name in _USELESS):
        return False
    return directives.seconds(b"max-age") != 0


def _directives(values: Mapping[bytes, bytes]) -> Directives:
    value = values.get(b"cache-control")
    return parse_directives(values.get(b"pragma") if value is None else value)


@frozen(slots=True, eq=False)
class Sibling:
    """A sibling.

    :ivar rule: the exchanges that it is for.
    :ivar make_server: makes its server out of the local addresses to go out by.
    :ivar seconds: how long it may take to begin its response.
    """

    name: str
    rule: Rule
    make_server: Callable[[tuple[str, ...]], Server]
    health: Health
    seconds: float
    _servers: ServerTable[tuple[str, ...], None] = field(factory=lambda: ServerTable(256))

    def server(self, outgoing: tuple[str, ...]) -> Server:
        """Give the server that it is, by some of our addresses."""
        entry = self._servers.get(outgoing)
        if entry is not None:
            return entry[1]
        server = self.make_server(outgoing)
        server.attempt_seconds = self.seconds
        server.parent_fields = (server.parent_fields or b"") + ONLY_STORED
        server.judge = server.trial = _Watch(self.name, self.health)
        self._servers.put(outgoing, None, server)
        return server

    def retire(self) -> None:
        """Close what is idle; the sibling will not be asked again."""
        self._servers.retire()


@frozen(slots=True, eq=False)
class _Watch:
    """Draws conclusions from how a sibling does: see ``upstream.server``'s Judge and Trial."""

    name: str
    health: Health

    def answered(self, seconds: float) -> None:
        """It does, whether it has what was asked for or not."""
        self.health.worked()

    def failed(self) -> None:
        """It was not reached, was too slow, said what cannot be read, or is in trouble."""
        if self.health.failed():
            _log.warn("the sibling {name} fails and is not asked for a while", name=self.name)

    def began(self) -> None:
        """It is asked."""
        self.health.begin()

    def ended(self) -> None:
        """It is asked no more."""
        self.health.given_up()


class Siblings:
    """The siblings of one listener.

    :ivar policy: by which the engine goes on from one to the next, and on to the origin.
    """

    def __init__(self, siblings: Sequence[Sibling], reactor: Any) -> None:
        """Take siblings in the order in which they are asked.

        :param reactor: an ``IReactorTime``.
        """
        self._siblings = tuple(siblings)
        self.policy = RetryPolicy(
            retries=len(self._siblings),
            statuses=_NOT_THERE,
            failures=_FAILURES,
            clock=reactor,
            backoff_seconds=0.0,
            times_servers=True,
        )

    def before(self, server: Server, outgoing: tuple[str, ...]) -> SiblingsFirst:
        """Give the upstream of a route to a server, with the siblings before that.

        :param outgoing: the local addresses to go out by, none for the kernel's choice.
        """
        return SiblingsFirst(server, self, outgoing)

    def next(
        self, exchange: Exchange, outgoing: tuple[str, ...], tried: Sequence[Server]
    ) -> Server | None:
        """Give the server of the next sibling to ask for an exchange, ``None`` for no more."""
        for sibling in self._siblings:
            if sibling.health.wait or not sibling.rule.takes(exchange):
                continue
            server = sibling.server(outgoing)
            if server not in tried:
                return server
        return None

    def retire(self) -> None:
        """Close what is idle; the siblings will not be asked again."""
        for sibling in self._siblings:
            sibling.retire()


@frozen(slots=True, eq=False)
class SiblingsFirst:
    """The upstream of a route whose siblings are asked before its server.

    :ivar server: the origin, or the way through a parent.
    """

    server: Server
    _siblings: Siblings
    _outgoing: tuple[str, ...]

    @property
    def policy(self) -> RetryPolicy:
        """See ``engine.pipeline.Upstream``."""
        return self._siblings.policy

    def choose(self, exchange: Exchange) -> Server:
        """Give a sibling, or the server for what no sibling is asked."""
        if not may_ask(exchange):
            return self.server
        return self._siblings.next(exchange, self._outgoing, ()) or self.server

    def another(self, exchange: Exchange, tried: Sequence[Server]) -> Server | None:
        """Give the next sibling, then the server, and nothing after that."""
        if self.server in tried:
            return None
        return self._siblings.next(exchange, self._outgoing, tried) or self.server
