"""Asks HTTP services, for verification and for keys: few at a time, with limits and time-outs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers as TwistedHeaders
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from ..errors import BadResponse, ProxykitError, ResponseTimeout
from ..message.fields import Field
from ..net.tls import client_context
from ..upstream.failures import upstream_error
from .limit import Limit

_MOST_WAITING = 256
_MOST_CONTEXTS = 16


def checked_service_url(value: str) -> str:
    """Check the URL of a service that is asked.

    :raises ValueError: when it is none, or holds what no such URL should.
    """
    parts = urlsplit(value)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f'expected a URL such as "https://a.example/auth", got {value!r}')
    if parts.username is not None or parts.fragment:
        raise ValueError("the URL of a service holds neither a user nor a fragment")
    return value


@frozen(slots=True)
class Reply:
    """A service's answer.

    :ivar fields: its header fields, names in the order and case of Twisted.
    """

    status: int
    fields: tuple[Field, ...]
    content: bytes

    def get(self, name: bytes) -> bytes | None:
        """Give the combined value of a field.

        :param name: in lower case.
        """
        values = [value for each, value in self.fields if each.lower() == name]
        return b", ".join(values) if values else None


class HttpClient:
    """Asks one service.

    Redirects are not followed and no proxy is used: what is asked is what the configuration names.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        timeout: float,
        ca_file: Path | None = None,
        running: int = 16,
        most_bytes: int = 64 * 1024,
    ) -> None:
        """Connect to nothing yet.

        :param url: what is asked.
        :param timeout: seconds for a whole answer.
        :param ca_file: a PEM file of roots to trust, ``None`` for the platform's.
        :param running: how many requests there may be at a time.
        :param most_bytes: how long an answer's content may be.
        """
        self._reactor = reactor
        self._url = url.encode("ascii")
        self._name = urlsplit(url).netloc
        self._timeout = timeout
        self._most_bytes = most_bytes
        self._limit = Limit(running, _MOST_WAITING, f"requests to {self._name}")
        pool = HTTPConnectionPool(reactor, persistent=True)
        pool.maxPersistentPerHost = running
        pool.cachedConnectionTimeout = 30
        self._agent = Agent(reactor, _Policy(ca_file), connectTimeout=timeout, pool=pool)

    def get(self, fields: Iterable[Field] = ()) -> Deferred[Reply]:
        """Ask with GET.

        :param fields: of the request.
        :returns: the reply, whatever its status; or fails with a ``ProxykitError``.
        :raises QueueFull: when too many wait already.
        """
        headers = TwistedHeaders()
        for name, value in fields:
            headers.addRawHeader(name, value)
        return self._limit.run(lambda: self._ask(headers))

    def _ask(self, headers: TwistedHeaders) -> Deferred[Reply]:
        asking: Deferred[Any] = self._agent.request(b"GET", self._url, headers)
        asking.addCallback(self._read)
        asking.addTimeout(self._timeout, self._reactor)
        return asking.addErrback(self._failed)

    def _read(self, response: Any) -> Deferred[Reply]:
        fields = tuple(
            (name, value)
            for name, values in response.headers.getAllRawHeaders()
            for value in values
        )
        if response.length == 0:
            response.deliverBody(_Content(Deferred(), 0, self._name))
            return succeed(Reply(response.code, fields, b""))
        content: Deferred[bytes] = Deferred(lambda _: reader.give_up())
        reader = _Content(content, self._most_bytes, self._name)
        response.deliverBody(reader)
        return content.addCallback(lambda data: Reply(response.code, fields, data))

    def _failed(self, failure: Failure) -> Failure:
        """Say in the proxy's words what went wrong."""
        while isinstance(failure.value, ResponseFailed) and failure.value.reasons:
            failure = failure.value.reasons[-1]
        if failure.check(ProxykitError):
            return failure
        if failure.check(TimeoutError, CancelledError):
            return Failure(ResponseTimeout(f"{self._name} did not answer in time"))
        return Failure(upstream_error(failure, self._name))

    def __repr__(self) -> str:
        return f"<HttpClient {self._name} {self._limit!r}>"


class _Content(Protocol):
    """Gathers an answer's content, up to a limit."""

    transport: Any

    def __init__(self, done: Deferred[bytes], most_bytes: int, name: str) -> None:
        self._done: Deferred[bytes] | None = done
        self._most_bytes = most_bytes
        self._name = name
        self._data = bytearray()

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._most_bytes and self._done is not None:
            done, self._done = self._done, None
            self.give_up()
            done.errback(BadResponse(f"the answer of {self._name} is too long"))

    def give_up(self) -> None:
        """Close the connection: what is still to come is not wanted."""
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        done, self._done = self._done, None
        if done is None or done.called:
            return
        if reason.check(ResponseDone):
            done.callback(bytes(self._data))
        else:
            # Without a length an end cannot be told from a broken connection: not taken.
            done.errback(BadResponse(f"the answer of {self._name} is incomplete"))


@implementer(IPolicyForHTTPS)
class _Policy:
    """Verifies servers as the rest of the proxy does."""

    def __init__(self, ca_file: Path | None) -> None:
        self._ca_file = ca_file
        self._contexts: dict[str, IOpenSSLClientConnectionCreator] = {}
        client_context("localhost", ca_file)  # a file that cannot be read is an error at once

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """See ``IPolicyForHTTPS``."""
        name = hostname.decode("ascii")
        if name not in self._contexts:
            if len(self._contexts) >= _MOST_CONTEXTS:
                self._contexts.clear()
            self._contexts[name] = client_context(name, self._ca_file)
        return self._contexts[name]
