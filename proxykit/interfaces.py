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
    from .net.files import FileRegion

__all__ = [
    "IAuthenticating",
    "IBackground",
    "IBalancer",
    "IBalancerFactory",
    "IBodyFilter",
    "ICacheInspection",
    "ICacheStore",
    "ICacheStoreFactory",
    "ICacheWriter",
    "IChecked",
    "IConnectionFilter",
    "IDisclosing",
    "IExchangeObserver",
    "IExplaining",
    "IFilterFactory",
    "IHealthCheck",
    "IPacer",
    "IRequestFilter",
    "IRequestBodyFilter",
    "IRequestTap",
    "IContentTap",
    "IResponseBodyFilter",
    "IResponseFilter",
    "IServerSource",
    "ISharedCacheStore",
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


class IAuthenticating(IRequestFilter):
    """A request filter that judges a user and a password in Proxy-Authorization (Basic).

    A SOCKS listener with such a filter asks its clients for a user and a password, and hands them
    over as Basic credentials in the request's Proxy-Authorization. RFC 1929 wants them answered
    before the client says where it wants to go, so ``request`` is called twice: ahead, for an
    exchange whose destination is not known yet (``host`` is ``""``), and as usual. Ahead, no other
    filter is asked.
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


class IPacer(Interface):
    """Holds back, or counts, the content of exchanges and the bytes of tunnels."""

    def pace(exchange: Exchange) -> Any:
        """Say how fast an exchange may go.

        Called once an exchange, after the filters of requests, before a server or anything else is
        asked for the response. It is not called for what a filter answers, and errors, redirects
        and other small answers of the proxy's own go at full speed.

        :returns: an ``engine.pacing.Pacing``, or ``None`` for no limit.
        """


class IConnectionFilter(Interface):
    """A stop before the road: sees a connection before a byte of it is read."""

    def connection(client_address: str) -> bool | Awaitable[bool]:
        """Say whether to serve this client.

        :param client_address: the peer's IP address, or ``""`` for a UNIX socket.
        :returns: ``True`` to accept, ``False`` to close at once, or an awaitable of either, which
            delays the connection until it fires.
        """


class IBackground(Interface):
    """A filter that has something to do beside exchanges, such as watching a file."""

    def start() -> None:
        """Called once when its configuration begins to serve, in the reactor's thread."""

    def stop() -> None:
        """Called once when another configuration has taken over, or the proxy stops.

        Exchanges that began before may still ask the filter.
        """


class IChecked(Interface):
    """A filter that leaves some of its work for later, and can do it when asked to be checked."""

    def check() -> list[str]:
        """Do what was left for later; may block.

        Called by ``proxykit check``, never by a proxy that serves.

        :returns: what there is to say about it, a sentence each.
        :raises ConfigurationError: when it cannot be done.
        """


class IExplaining(Interface):
    """A filter that can say how it decides."""

    def explain(exchange: Exchange) -> list[str]:
        """Say what the filter makes of an exchange, and which rule decides.

        Called by ``proxykit explain``, after ``request`` was.

        :returns: sentences.
        """


class IDisclosing(Interface):
    """A filter that has a say in what servers are told of the client and of the proxy."""

    disclosure: Any = Attribute(
        "A ``proxykit.engine.forwarding.Disclosure``. Of several filters the least holds."
    )


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
            ``IRequestBodyFilter``, ``IResponseBodyFilter``, ``IConnectionFilter``,
            ``IRequestTap``, ``IPacer`` and ``IExchangeObserver``.
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


class ISharedCacheStore(Interface):
    """A store that other processes purge, too; it provides this beside ``ICacheStore``.

    What this process fetches while another one purges it must not be stored. Of what ``hear`` has
    told, the cache takes care. What is purged after that, and before an entry that is being
    committed can be found by everybody, is the store's: then it gives up the entry.
    """

    def hear() -> Any:
        """Say what others have purged since this was called last.

        It is called before a request is sent whose response may be stored, before another request
        waits for that, and before its entry is committed; always behind a ``lookup`` of the key.

        :returns: a sequence of ``proxykit.caching.purging.Purged``, in order.
        """


class ICacheInspection(Interface):
    """A store that can say what it holds; a store may provide this beside ``ICacheStore``.

    It is for operators. Neither method counts as use of what it shows.
    """

    def statistics() -> Any:
        """Sum up.

        :returns: a ``proxykit.caching.stored.StoreStatistics``, or an awaitable of one; ``None``
            when it cannot be said now.
        """

    def entries(prefix: bytes, limit: int) -> Any:
        """List what is stored under keys that begin with something, in any order.

        :param limit: list no more keys than this.
        :returns: a sequence of pairs, a key and the sequence of ``StoredResponse`` under it, whose
            bodies may have nothing but a size; or an awaitable of one; ``None`` when it cannot be
            said now.
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
