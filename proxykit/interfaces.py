"""The interfaces that a plug-in author meets.

A plug-in's life has five steps: its factory is *found* (``twisted.plugin``), its options are
*checked* against the factory's model, it is *built* when a configuration is loaded, it *serves*
exchanges, and it is dropped when no exchange of that configuration is left. Constructors and
``build`` must have no side effects but reading files: a configuration may be built only to be
checked.

Every method here is called in the reactor's thread and must not block. Where a method *may return
an awaitable*, a coroutine or a Deferred will do; whoever can answer at once should answer at once,
because then nothing waits and no Deferred is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from twisted.internet.defer import Deferred

    from .engine.exchange import Exchange
    from .engine.record import ExchangeRecord
    from .message.response import Response

__all__ = [
    "IBalancer",
    "IBalancerFactory",
    "IBodyFilter",
    "IConnectionFilter",
    "IExchangeObserver",
    "IFilterFactory",
    "IHealthCheck",
    "IRequestFilter",
    "IRequestBodyFilter",
    "IResponseBodyFilter",
    "IResponseFilter",
    "IServerSource",
]


class IRequestFilter(Interface):
    """A stop on the road of a request, before a server is chosen."""

    def request(exchange: Exchange) -> Response | Awaitable[Response | None] | None:
        """See, change or answer a request.

        Called once an exchange, when its head was read and before any of its content is sent on.

        :param exchange: ``exchange.request`` may be changed.
        :returns: ``None`` to go on, a ``Response`` to answer here (no server is asked, the
            response filters are passed all the same), or an awaitable of either.
        :raises ProxykitError: to refuse the exchange with that error's status.
        """


class IResponseFilter(Interface):
    """A stop on the road of a response, before any byte of it goes to the client."""

    def response(
        exchange: Exchange, response: Response
    ) -> Response | Awaitable[Response | None] | None:
        """See, change or replace a response's head.

        Called for every final response, those that the proxy made itself among them; not for
        1xx and not for the 101 or the 2xx that begin a tunnel.

        :param response: may be changed.
        :returns: ``None`` to go on, a ``Response`` to send instead (the rest of the original is
            thrown away), or an awaitable of either.
        """


class IBodyFilter(Interface):
    """A transform on a stream of content: made for one message, used once."""

    def feed(chunk: bytes) -> bytes:
        """Take what arrived, give what can go on by now (``b""`` for nothing yet)."""

    def finish() -> bytes:
        """Called once when the content is complete: give what is left."""


class IRequestBodyFilter(Interface):
    """A filter that may put a transform on a request's content."""

    def request_body(exchange: Exchange) -> Any:
        """Give an ``IBodyFilter`` for this request's content, or ``None``.

        Called only for a request that has content. With a transform the content is sent on
        chunked, for its length is not known before its end.
        """


class IResponseBodyFilter(Interface):
    """A filter that may put a transform on a response's content."""

    def response_body(exchange: Exchange, response: Response) -> Any:
        """Give an ``IBodyFilter`` for this response's content, or ``None``.

        Called after the response filters, only for a response that has content.
        """


class IConnectionFilter(Interface):
    """A stop before the road: sees a connection before a byte of it is read."""

    def connection(client_address: str) -> bool | Awaitable[bool]:
        """Say whether to serve this client.

        :param client_address: the peer's IP address, or ``""`` for a UNIX socket.
        :returns: ``True`` to accept, ``False`` to close at once, or an awaitable of either, which
            delays the connection until it fires.
        """


class IExchangeObserver(Interface):
    """Is handed the finished record of each exchange."""

    def finished(record: ExchangeRecord) -> None:
        """Called once an exchange, after its last byte or its failure. Must be quick."""


class IBalancer(Interface):
    """Picks the server that an exchange goes to."""

    def pick(servers: Any, exchange: Exchange) -> Any:
        """Choose one of the usable servers.

        :param servers: a non-empty sequence of ``proxykit.upstream.server.Server``.
        :returns: one of them.
        """


class IHealthCheck(Interface):
    """Says whether one server is usable, when asked."""

    def check() -> Deferred[None]:
        """Ask, on a connection of its own; never twice at a time.

        :returns: fires when the server is well, and fails with a reason when it is not. Whoever
            has waited long enough cancels it; then the connection is closed.
        """


class IServerSource(Interface):
    """Where a pool's servers come from, when the configuration does not list them."""

    def start(found: Callable[[Sequence[Any]], None]) -> None:
        """Begin to look.

        :param found: called with all servers, as ``proxykit.balancing.sources.FoundServer``, when
            they are first known and whenever they are others. While nothing is known, or what is
            found makes no sense, it is not called, and the pool keeps what it has.
        """

    def stop() -> None:
        """Look no more."""


class IFilterFactory(Interface):
    """A kind of filter that a configuration can name by ``use``.

    A ``twisted.plugin.IPlugin`` that is found in ``twisted/plugins/``.
    """

    name: str = Attribute("What ``use`` says.")
    description: str = Attribute("One line for ``proxykit plugins``.")
    options: Any = Attribute("The ``proxykit.options.Options`` subclass that checks its keys.")

    def build(options: Any, context: Any) -> Any:
        """Make a filter.

        :param options: an instance of this factory's options model.
        :param context: a ``proxykit.options.BuildContext``.
        :returns: a provider of one or more of ``IRequestFilter``, ``IResponseFilter``,
            ``IRequestBodyFilter``, ``IResponseBodyFilter``, ``IConnectionFilter`` and
            ``IExchangeObserver``.
        :raises ConfigurationError: when the options make no sense together.
        """


class IBalancerFactory(Interface):
    """A kind of balancer that a pool can name by ``balance``."""

    name: str = Attribute("What ``balance`` says.")
    description: str = Attribute("One line for ``proxykit plugins``.")

    def build() -> Any:
        """Make an ``IBalancer`` for one pool."""
