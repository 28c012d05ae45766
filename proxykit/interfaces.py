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
    from collections.abc import Awaitable, Callable

    from .engine.exchange import Exchange
    from .engine.record import ExchangeRecord
    from .message.response import Response
    from .net.files import FileRegion

__all__ = [
    "IBalancer",
    "IBalancerFactory",
    "IBodyFilter",
    "ICacheStore",
    "ICacheStoreFactory",
    "ICacheWriter",
    "IConnectionFilter",
    "IExchangeObserver",
    "IFilterFactory",
    "IRequestFilter",
    "IRequestBodyFilter",
    "IResponseBodyFilter",
    "IResponseFilter",
    "IStoredBody",
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


class IStoredBody(Interface):
    """Content in a store, whole or still arriving.

    Whoever holds one can read it to its end, whatever the store does with its entry meanwhile.
    """

    size: int = Attribute("How many bytes are there by now.")
    whole: bytes | None = Attribute(
        "All of it as one object where that is in memory anyway and complete, else ``None``."
    )

    def read(offset: int, most: int) -> bytes | Awaitable[bytes]:
        """Give a piece.

        :param offset: less than ``size``, or the piece is empty.
        :param most: how many bytes at the most, at least one; a store gives what it has at hand.
        :returns: the piece, at once from memory, or a Deferred of it.
        """

    def file_region() -> FileRegion | None:
        """Give where in an open file all of it lies, for ``sendfile``.

        Nobody who sends that waits for a disk, and it was checked as content is that is read.

        :returns: ``None`` when it lies in no file, or would have to be waited for.
        """


class ICacheWriter(Interface):
    """An entry on its way into a store: written while it arrives, read while it is written."""

    body: IStoredBody = Attribute("What was written so far, readable at once.")

    def write(data: bytes) -> bool:
        """Take more of the content.

        :returns: ``False`` when there is no room (or no disk) for it: ``data`` was not taken, and
            there will be no entry. What was taken before stays readable until ``abort``.
        """

    def commit(head: Any, replaces: Callable[[Any], bool]) -> None:
        """Make the entry findable, for every lookup that begins from now on: it is complete.

        :param head: the ``proxykit.caching.stored.StoredHead``.
        :param replaces: says of the head of another response under this key whether this one
            takes its place.
        """

    def abort() -> None:
        """There will be no entry; nothing of it stays."""


class ICacheStore(Interface):
    """Keeps responses, under keys that are URIs (see ``proxykit.caching.keys``).

    A store knows no policy: it never judges freshness, and forgets what it likes. It is bounded.
    """

    at_once: bool = Attribute("Whether ``lookup`` gives no Deferred, as a rule.")

    def lookup(key: bytes) -> Any:
        """Give what is stored under a key.

        :returns: a sequence of ``proxykit.caching.stored.StoredResponse``, the newest first, or a
            Deferred of one. A store in memory answers at once.
        """

    def begin(key: bytes, size: int | None) -> Any:
        """Begin an entry.

        :param size: of its content in bytes, ``None`` when that is not known yet.
        :returns: an ``ICacheWriter``, or ``None`` when there is no room for it.
        """

    def update(key: bytes, stored: Any, head: Any) -> None:
        """Give a stored response another head: it was validated, or is stale from now on."""

    def remove(key: bytes, stored: Any) -> None:
        """Forget one response; nothing happens when it is forgotten already."""

    def purge(key: bytes, *, soft: bool) -> int | Awaitable[int]:
        """Forget every response under a key, and under the keys that rules made of it.

        :param soft: only make them stale: see ``StoredHead.expired``.
        :returns: how many there were.
        """

    def purge_tag(tag: bytes, *, soft: bool) -> int | Awaitable[int]:
        """The same for all that carry a tag."""

    def purge_prefix(prefix: bytes, *, soft: bool) -> int | Awaitable[int]:
        """The same for all whose keys begin with something."""

    def close() -> None:
        """No configuration and no exchange uses the store any more.

        Called in whichever thread finds that out.
        """


class ICacheStoreFactory(Interface):
    """A kind of store that a cache can name by ``store``."""

    name: str = Attribute("What ``store`` says.")
    description: str = Attribute("One line for ``proxykit plugins``.")
    options: Any = Attribute("The ``proxykit.options.Options`` subclass that checks its keys.")

    def build(options: Any, context: Any) -> Any:
        """Make an ``ICacheStore``.

        :param options: an instance of this factory's options model.
        :param context: a ``proxykit.options.BuildContext``.
        """
