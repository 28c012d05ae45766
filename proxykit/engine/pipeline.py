"""The policy of a listener, compiled: what is decided once is decided here, when it is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from attrs import define, field, frozen

from ..interfaces import (
    IAuthenticating,
    IConnectionFilter,
    IDisclosing,
    IExchangeObserver,
    IPacer,
    IRequestBodyFilter,
    IRequestFilter,
    IRequestTap,
    IResponseBodyFilter,
    IResponseFilter,
)
from ..message.response import Response
from ..net.buffering import USUAL_BUFFER
from ..upstream.resolution import Resolver
from ..upstream.retries import RetryPolicy
from ..upstream.server import Server
from .cache import Cache
from .exchange import Exchange
from .forwarding import Disclosure, ForwardingRules

RequestStep = Callable[[Exchange], Any]
ResponseStep = Callable[[Exchange, Response], Any]


@frozen(slots=True)
class Chain:
    """Filters, sorted by what they do, in the order in which they run.

    An empty tuple is the point: a chain with no filter of a kind runs no code of that kind.
    """

    request: tuple[RequestStep, ...] = ()
    response: tuple[ResponseStep, ...] = ()
    request_body: tuple[RequestStep, ...] = ()
    response_body: tuple[ResponseStep, ...] = ()
    connection: tuple[Callable[[str], Any], ...] = ()
    observers: tuple[Callable[[Any], None], ...] = ()
    taps: tuple[RequestStep, ...] = ()
    authentication: tuple[RequestStep, ...] = ()
    disclosure: Disclosure = Disclosure.EVERYTHING
    pacers: tuple[RequestStep, ...] = ()

    @classmethod
    def of(cls, filters: Sequence[object]) -> Chain:
        """Compile filters; each is asked which of the interfaces it provides."""

        def provided(interface: Any, method: str) -> tuple[Any, ...]:
            return tuple(getattr(f, method) for f in filters if interface.providedBy(f))

        return cls(
            provided(IRequestFilter, "request"),
            provided(IResponseFilter, "response"),
            provided(IRequestBodyFilter, "request_body"),
            provided(IResponseBodyFilter, "response_body"),
            provided(IConnectionFilter, "connection"),
            provided(IExchangeObserver, "finished"),
            provided(IRequestTap, "tap"),
            provided(IAuthenticating, "request"),
            min(provided(IDisclosing, "disclosure"), default=Disclosure.EVERYTHING),
            provided(IPacer, "pace"),
        )

    def then(self, inner: Chain) -> Chain:
        """Put a route's chain inside a listener's: requests meet it later, responses earlier."""
        return Chain(
            self.request + inner.request,
            inner.response + self.response,
            self.request_body + inner.request_body,
            inner.response_body + self.response_body,
            self.connection,
            self.observers + inner.observers,
            self.taps + inner.taps,
            self.authentication,
            self.disclosure,
            self.pacers + inner.pacers,
        )

    def observers_only(self) -> Chain:
        """Give what still has a say in an exchange that cannot be filtered: who watches."""
        return Chain(observers=self.observers) if self.observers else EMPTY_CHAIN


EMPTY_CHAIN = Chain()


class Upstream(Protocol):
    """Where a route sends an exchange."""

    @property
    def policy(self) -> RetryPolicy:
        """What is done about a server that fails."""

    def choose(self, exchange: Exchange) -> Server:
        """Choose the server.

        :raises Unavailable: when there is none.
        """

    def another(self, exchange: Exchange, tried: Sequence[Server]) -> Server | None:
        """Choose a server for another attempt.

        :param tried: those that were asked already. One of them only when there is no other.
        :returns: ``None`` when there is none to ask.
        """


@frozen(slots=True, eq=False)
class Route:
    """Where exchanges of one kind go.

    :ivar name: for the log.
    :ivar chain: the listener's and the route's filters, for all that happens from here on.
    :ivar inner: the route's own filters of requests, which run once it is chosen.
    :ivar upstream: where it sends them, ``None`` when ``answer`` or ``tunnel`` does instead.
    :ivar answer: makes the response, where the proxy answers by itself.
    :ivar rewrite: gives the target that the server is asked for, by the one the client asked for.
    :ivar body_size: the limit on a request's content in bytes, ``None`` for the listener's.
    :ivar error_page: gives the route's own page in the place of the proxy's, where it has one.
    :ivar cache: what may answer in the place of ``upstream``, ``None`` for nothing.
    :ivar tunnel: whether the exchange becomes a tunnel to the server at once (CONNECT).
    """

    name: str
    chain: Chain = EMPTY_CHAIN
    inner: Chain = EMPTY_CHAIN
    upstream: Upstream | None = None
    answer: Callable[[Exchange], Response] | None = None
    rewrite: Callable[[bytes], bytes] | None = None
    body_size: int | None = None
    error_page: Callable[[Exchange, Response], Response] | None = None
    tunnel: bool = False
    cache: Cache | None = None

    @property
    def transforms_requests(self) -> bool:
        """Whether a filter may change the length of a request's content."""
        return bool(self.chain.request_body)


NO_ROUTE = Route("")
"""The route of an exchange for which none was chosen yet: it leads nowhere."""


Router = Callable[[Exchange], "Route | Awaitable[Route]"]


@define(slots=True, eq=False)
class DatagramPolicy:
    """Where SOCKS clients' datagrams may go.

    :ivar judge: gives a route that answers 2xx when an exchange's destination may be reached, and
        leaves the addresses that may be in ``exchange.addresses``.
    :ivar outgoing: gives the local addresses to go out by, none for the kernel's choice.
    :ivar reactor: an ``IReactorUDP``.
    :ivar most: relays at a time.
    :ivar most_per_client: and for one address.
    :ivar open: relays that are open, by their client's address.
    """

    judge: Router
    outgoing: Callable[[Exchange], tuple[str, ...]]
    reactor: Any
    most: int = 1024
    most_per_client: int = 32
    open: Counter[str] = field(factory=Counter)

    def has_room(self, client: str) -> bool:
        """Say whether another relay may be opened for a client."""
        return self.open[client] < self.most_per_client and self.open.total() < self.most


@frozen(slots=True)
class Times:
    """Time-outs towards clients, in seconds.

    :ivar head: from the first byte of a head to its last. Precedent: nginx 60, HAProxy none.
    :ivar idle: between exchanges. Precedents: nginx 75, Apache 5, Squid 120.
    :ivar body: without progress in content, either way.
    :ivar tunnel: without a byte in a tunnel either way.
    :ivar linger: how long what a refused client still sends is read over.
    """

    head: float = 10.0
    idle: float = 60.0
    body: float = 60.0
    tunnel: float = 600.0
    linger: float = 2.0


@frozen(slots=True, eq=False)
class Pipeline:
    """A listener's policy, as exchanges meet it.

    :ivar name: the listener's, ``reverse.site`` for instance.
    :ivar chain: the listener's filters.
    :ivar choose: gives an exchange's route, at once or later.
    :ivar rules: how fields are rewritten.
    :ivar body_size: the limit on a request's content in bytes, ``None`` for none.
    :ivar requests_per_connection: a client's connection is closed after so many.
    :ivar observers: told of each finished exchange.
    :ivar response_buffer: how many bytes of a response are held for a client that is slower than
        the server, before the server is held back.
    :ivar datagrams: for a SOCKS listener: where they may go, ``None`` for nowhere.
    """

    name: str
    choose: Router
    rules: ForwardingRules
    resolver: Resolver
    chain: Chain = EMPTY_CHAIN
    times: Times = field(factory=Times)
    body_size: int | None = None
    requests_per_connection: int = 10_000
    observers: tuple[Callable[[Any], None], ...] = ()
    response_buffer: int = USUAL_BUFFER
    datagrams: DatagramPolicy | None = None
