"""A pool as a resource of ``twisted.web``: one line puts servers into any tree."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.interfaces import IPushProducer
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from ..balancing.round_robin import RoundRobin
from ..balancing.sources import FoundServer, ListSource
from ..engine.exchange import Exchange
from ..engine.forwarding import Direction, ForwardingRules
from ..engine.pipeline import Pipeline, Route
from ..engine.relay import Relay
from ..errors import BadRequest
from ..message.fields import EMPTY_SECTION, FieldSection, Headers
from ..message.framing import Framing, Length, NoContent
from ..message.request import Request, check_host
from ..message.response import Response
from ..net.files import FileRegion
from ..net.proxy_protocol import ProxyHeader, header_of
from ..net.sweeper import Sweeper
from ..net.tls import client_context
from ..upstream.connection import UpstreamConnection
from ..upstream.connector import Connector, TcpConnector, UnixConnector
from ..upstream.resolution import Resolver
from ..upstream.server import PoolLimits, Server
from .pool import Pool


@implementer(IResource)
class ReverseProxyResource:
    """Sends the requests that it renders to servers, through Proxykit's engine.

    ``twisted.web`` reads the whole content of a request before it renders anything; the response
    streams. Where that matters, run Proxykit itself in front.
    """

    isLeaf = True

    def __init__(
        self,
        reactor: Any,
        backends: Sequence[str],
        path: bytes = b"",
        limits: PoolLimits | None = None,
    ) -> None:
        """Make a resource with its own pool.

        :param reactor: to connect with.
        :param backends: URLs: ``http://host:port``, ``https://host:port`` or ``unix:/path``.
        :param path: stands upstream where this resource's own path stands here.
        :param limits: of each backend's connections.
        :raises ValueError: for a backend that is none of these.
        """
        self._path = path.rstrip(b"/")
        self._sweeper = Sweeper(reactor)
        self._sweeper.start()
        resolver = Resolver(reactor.nameResolver)

        def make_server(found: FoundServer) -> Server:
            return _server(reactor, resolver, self._sweeper, found.url, limits or PoolLimits())

        source = ListSource([FoundServer(backend) for backend in backends])
        self._pool = Pool("resource", make_server, RoundRobin(), source=source)
        self._route = Route("resource", upstream=self._pool)
        rules = ForwardingRules(Direction.REVERSE, b"proxykit-resource")
        self._pipeline = Pipeline("resource", lambda exchange: self._route, rules, resolver)

    def close(self) -> None:
        """Close idle connections and stop the clock; the resource must not be used any more."""
        self._pool.retire()
        self._sweeper.stop()

    def getChildWithDefault(self, name: bytes, request: Any) -> Any:
        """Never called, for this is a leaf; says so if it is."""
        raise RuntimeError("a ReverseProxyResource is a leaf")

    def putChild(self, path: bytes, child: Any) -> None:
        """Refused: everything below this resource is the servers'."""
        raise RuntimeError("a ReverseProxyResource is a leaf")

    def render(self, request: Any) -> int | bytes:
        """Send a request on its way, or answer 400 to one that the engine cannot take.

        :param request: a ``twisted.web.server.Request``.
        """
        body = request.content.read()
        framing: Framing = Length(len(body)) if body else NoContent()
        try:
            message = self._message(request, framing)
        except (BadRequest, ValueError) as error:
            request.setResponseCode(400)
            request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
            return f"{error}\n".encode()
        address = getattr(request.getClientAddress(), "host", "") or ""
        scheme = "https" if request.isSecure() else "http"
        exchange = Exchange(self._pipeline, message, address, address, scheme, monotonic())
        relay = Relay(self._pipeline, exchange, _WebClient(request))
        request.notifyFinish().addErrback(lambda reason: relay.client_lost())
        request.registerProducer(_Backpressure(relay), True)
        relay.start()
        if body:
            relay.request_content(body)
            relay.request_ended(EMPTY_SECTION)
        return NOT_DONE_YET

    def _message(self, request: Any, framing: Framing) -> Request:
        """Take over a head, of which ``twisted.web`` judges less than the engine relies on.

        :raises BadRequest: when Host or the target is not as it has to be.
        :raises ValueError: when a field is none.
        """
        if request.method == b"CONNECT" or not request.uri.startswith((b"/", b"*")):
            raise BadRequest("a resource is asked for a path")
        section = FieldSection(tuple(Headers(_fields(request.requestHeaders))))
        target = self._target(request)
        check_host(int(request.clientproto != b"HTTP/1.0"), target, request.method, section)
        return Request(request.method, target, 1, section, framing)

    def _target(self, request: Any) -> bytes:
        uri: bytes = request.uri
        path, mark, query = uri.partition(b"?")
        rest = path.split(b"/")[1 + len(request.prepath) :]
        return (self._path + b"/" + b"/".join(rest) if rest else self._path or b"/") + mark + query


@implementer(IPushProducer)
class _Backpressure:
    """Holds back the server when the client is slower."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def pauseProducing(self) -> None:
        """The client's buffer is full."""
        self._relay.pause_upstream()

    def resumeProducing(self) -> None:
        """The client's buffer is empty again."""
        self._relay.resume_upstream()

    def stopProducing(self) -> None:
        """The client is gone; ``notifyFinish`` says so too."""


class _WebClient:
    """A ``twisted.web`` request as the client's side of an exchange."""

    def __init__(self, request: Any) -> None:
        self.identity: object = self
        self._request = request

    def proxied_for(self) -> ProxyHeader:
        """See ``engine.client.Client``."""
        return header_of(self._request.getClientAddress(), self._request.getHost())

    def send_interim(self, head: bytes) -> None:
        """Interim responses end here: ``twisted.web`` cannot send one."""

    def send_response(self, response: Response, fields: bytes, framing: Framing) -> None:
        """Take over status and fields; ``twisted.web`` frames by itself."""
        request = self._request
        request.setResponseCode(response.status, response.reason)
        for line in fields.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b": ")
            if name.lower() in (b"date", b"content-type", b"server"):
                request.responseHeaders.setRawHeaders(name, [value])
            else:
                request.responseHeaders.addRawHeader(name, value)

    def send_content(self, data: bytes) -> None:
        """Write content."""
        self._request.write(data)

    def send_file(self, region: FileRegion) -> None:
        """Write content that lies in a file."""
        self._request.write(region.read())

    def end_response(self, trailers: FieldSection) -> None:
        """Finish the request."""
        self._request.unregisterProducer()
        self._request.finish()

    def flush(self) -> None:
        """``twisted.web`` has written by now."""

    def abort_response(self) -> None:
        """Cut the connection, for the response cannot be completed."""
        self._request.unregisterProducer()
        self._request.loseConnection()

    def hold_request(self, hold: bool) -> None:
        """The content is all here already."""

    def start_tunnel(self, head: bytes, upstream: UpstreamConnection, data: bytes) -> None:
        """A resource cannot leave HTTP: the upgrade fails as if the server had not agreed."""
        upstream.abandon()
        self._request.setResponseCode(501)
        self._request.unregisterProducer()
        self._request.finish()


def _fields(headers: Any) -> list[tuple[bytes, bytes]]:
    return [
        (name, value)
        for name, values in headers.getAllRawHeaders()
        for value in values
        # There is no tunnel to be had through a resource.
        if name.lower() not in (b"upgrade", b"expect")
    ]


def _server(
    reactor: Any, resolver: Resolver, sweeper: Sweeper, backend: str, limits: PoolLimits
) -> Server:
    connector: Connector
    if backend.startswith("unix:"):
        path = backend.removeprefix("unix:")
        return Server(path, UnixConnector(reactor, path), limits, reactor, sweeper)
    url = urlsplit(backend)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"{backend!r} is no backend")
    port = url.port or (443 if url.scheme == "https" else 80)
    tls = client_context(url.hostname) if url.scheme == "https" else None
    connector = TcpConnector(reactor, resolver, url.hostname, port, tls)
    return Server(f"{url.hostname}:{port}", connector, limits, reactor, sweeper)
