"""Plug-ins for the tests: a filter of each kind, in each way of answering, and a balancer."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.plugin import IPlugin
from zope.interface import implementer

from proxykit.errors import Denied
from proxykit.interfaces import (
    IAuthenticating,
    IBalancer,
    IBalancerFactory,
    IBodyFilter,
    IConnectionFilter,
    IExchangeObserver,
    IFilterFactory,
    IRequestBodyFilter,
    IRequestFilter,
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
    IRequestFilter, IResponseFilter, IRequestBodyFilter, IConnectionFilter, IExchangeObserver
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
