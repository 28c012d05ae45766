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
    from collections.abc import Awaitable

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
    "IRequestFilter",
    "IRequestBodyFilter",
    "IRequestTap",
    "IContentTap",
    "IResponseBodyFilter",
    "IResponseFilter",
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

    def finish() -> bytes | Awaitable[bytes]:
        """Called once when the content is complete: give what is left.

        A transform on a response's content may return an awaitable, when what is left takes
        longer to make than others can be made to wait: work for a thread. One on a request's may
        not.
        """


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

        Called after the response filters, for a response from upstream that has content. The
        head may still be changed, to say what the transform does. With a transform the content's
        length is not known before its end, and Content-Length is left out.

        Called for the response to a HEAD too, whose fields should be those of the GET (RFC 9110
        section 9.3.2): a transform then is neither fed nor finished.
        """


class IRequestTap(Interface):
    """Sees what is sent to a server, as it is sent, and cannot change it."""

    def tap(exchange: Exchange) -> Any:
        """See that a request is being sent.

        Called once an exchange, after all filters and the route's rewriting, when its head was
        given to the connection. It is not called for what the proxy answers itself.

        :returns: an ``IContentTap`` that is then shown the request's content, or ``None``.
        """


class IContentTap(Interface):
    """Is shown the content of one request, as it is sent."""

    def feed(data: bytes) -> None:
        """A piece was sent."""

    def ended() -> None:
        """The request was sent whole."""

    def abandoned() -> None:
        """The exchange ended before the request was sent whole."""


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

        Called for each attempt of each exchange, so it must be quick: 2 µs are a good measure.

        :param servers: a non-empty tuple of ``proxykit.upstream.server.Server``, each with an
            ``effective_weight`` above 0. It is the same tuple object for as long as neither the
            servers in it nor their weights changed, so what was computed of it may be kept with
            it. Another tuple may come in between, for an attempt that must avoid a server.
        :returns: one of them.
        """


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
            ``IRequestBodyFilter``, ``IResponseBodyFilter``, ``IConnectionFilter``,
            ``IRequestTap`` and ``IExchangeObserver``.
        :raises ConfigurationError: when the options make no sense together.
        """


class IBalancerFactory(Interface):
    """A kind of balancer that a pool can name by ``balance``.

    A ``twisted.plugin.IPlugin`` that is found in ``twisted/plugins/``.
    """

    name: str = Attribute("What ``balance``, or ``use`` in it, says.")
    description: str = Attribute("One line for ``proxykit plugins``.")
    options: Any = Attribute("The ``proxykit.options.Options`` subclass that checks its keys.")

    def build(options: Any) -> Any:
        """Make an ``IBalancer`` for one pool.

        :param options: an instance of this factory's options model.
        :raises ConfigurationError: when the options make no sense together.
        """
