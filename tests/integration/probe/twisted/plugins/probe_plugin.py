"""Plug-ins for the tests: a filter of each kind, in each way of answering, and a balancer."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.plugin import IPlugin
from zope.interface import implementer

from proxykit.caching.memory import MemoryOptions, MemoryStore
from proxykit.errors import Denied
from proxykit.interfaces import (
    IAuthenticating,
    IBalancer,
    IBalancerFactory,
    IBodyFilter,
    ICacheStore,
    ICacheStoreFactory,
    IConnectionFilter,
    IExchangeObserver,
    IFilterFactory,
    IRequestBodyFilter,
    IRequestFilter,
    IResponseBodyFilter,
    IResponseFilter,
)
from proxykit.message.response import Response
from proxykit.options import Options


class ProbeOptions(Options):
    """What the tests say."""

    refuse_connections: bool = False
    observe: str = ""


@implementer(IBodyFilter)
class Capitals:
    """Content in capitals, with an end."""

    def feed(self, chunk):
        return chunk.upper()

    def finish(self):
        return b"!"


@implementer(
    IRequestFilter,
    IResponseFilter,
    IRequestBodyFilter,
    IResponseBodyFilter,
    IConnectionFilter,
    IExchangeObserver,
)
class Probe:
    """Does what the request's path says."""

    def __init__(self, options):
        self._options = options

    async def connection(self, client_address):
        await deferLater(reactor, 0.01)
        return not self._options.refuse_connections

    def request(self, exchange):
        path = exchange.request.path
        if path == "/answer":
            return Response(418, [(b"X-By", b"probe")], b"teapot")
        if path == "/answer-later":
            return deferLater(reactor, 0.01, Response, 418, (), b"late teapot")
        if path == "/deny-later":
            return self._deny()
        if path == "/fail":
            raise RuntimeError("the probe fails")
        if path.startswith("/wait"):
            return deferLater(reactor, 0.01)
        return None

    async def _deny(self):
        await deferLater(reactor, 0.01)
        raise Denied("the probe does not like it")

    def response(self, exchange, response):
        path = exchange.request.path
        if path == "/replace":
            return Response(200, (), b"replaced")
        if path == "/wait-response":
            return self._mark(response)
        if path == "/fail-response":
            raise RuntimeError("the probe fails late")
        return None

    async def _mark(self, response):
        await deferLater(reactor, 0.01)
        response.headers.set(b"X-Waited", b"yes")

    def request_body(self, exchange):
        return Capitals() if exchange.request.path.endswith("/capitals") else None

    def response_body(self, exchange, response):
        return Capitals() if exchange.request.path == "/loud" else None

    def finished(self, record):
        if self._options.observe:
            with open(self._options.observe, "a", encoding="ascii") as file:
                file.write(f"{record.target.decode()} {record.status} {record.error_type}\n")


@implementer(IPlugin, IFilterFactory)
class ProbeFactory:
    """What Proxykit finds."""

    name = "probe"
    description = "for the tests"
    options = ProbeOptions

    def build(self, options, context):
        return Probe(options)


@implementer(IAuthenticating, IExchangeObserver)
class ProbeAuthentication:
    """Knows one user, and answers later."""

    def request(self, exchange):
        return deferLater(reactor, 0.01, self._judge, exchange)

    def _judge(self, exchange):
        said = exchange.request.section.values.get(b"proxy-authorization")
        if said != b"Basic YWRhOnB3":  # ada:pw
            return Response(407, [(b"Proxy-Authenticate", b"Basic")])
        exchange.user = "ada"
        return None

    def finished(self, record):
        pass


@implementer(IPlugin, IFilterFactory)
class ProbeAuthenticationFactory:
    """What Proxykit finds."""

    name = "probe-authentication"
    description = "for the tests"
    options = Options

    def build(self, options, context):
        return ProbeAuthentication()


probe = ProbeFactory()
probe_authentication = ProbeAuthenticationFactory()


class NumberedOptions(Options):
    """Which server."""

    number: int = 0


@implementer(IBalancer)
class Numbered:
    """Picks the server of one number."""

    def __init__(self, options):
        self._number = options.number

    def pick(self, servers, exchange):
        return servers[self._number]


@implementer(IPlugin, IBalancerFactory)
class NumberedFactory:
    """What Proxykit finds."""

    name = "numbered"
    description = "for the tests"
    options = NumberedOptions

    def build(self, options):
        return Numbered(options)


numbered = NumberedFactory()


class DelayedBody:
    """Content that is read piece by piece, each a turn of the reactor later."""

    whole = None

    def __init__(self, body):
        self._body = body

    @property
    def size(self):
        return self._body.size

    def read(self, offset, most):
        return deferLater(reactor, 0, self._body.read, offset, min(most, 5000))

    def file_region(self):
        return None


class DelayedWriter:
    def __init__(self, writer):
        self._writer = writer
        self.body = DelayedBody(writer.body)
        self.write, self.abort = writer.write, writer.abort

    def commit(self, head, replaces):
        self._writer.commit(head, replaces)


@implementer(ICacheStore)
class DelayedStore(MemoryStore):
    """A store that answers nothing at once, as one on a disk or a network."""

    at_once = False

    def lookup(self, key):
        found = tuple(super().lookup(key))
        for each in found:
            if not isinstance(each.body, DelayedBody):
                each.body = DelayedBody(each.body)
        return deferLater(reactor, 0, lambda: found)

    def begin(self, key, size):
        writer = super().begin(key, size)
        return None if writer is None else DelayedWriter(writer)

    def purge(self, key, *, soft):
        return deferLater(reactor, 0, super().purge, key, soft=soft)


@implementer(IPlugin, ICacheStoreFactory)
class DelayedStoreFactory:
    name = "delayed"
    description = "for the tests"
    options = MemoryOptions

    def build(self, options, context):
        return DelayedStore(options.size)


delayed = DelayedStoreFactory()
