"""Sticky sessions: who was served by a server is served by it again.

Either by a cookie of the proxy's own, which names the server in a way that only this proxy can
read and nobody can forge, or by a cookie of the application, whose values are learnt.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Protocol

from attrs import frozen
from zope.interface import implementer

from ..engine.exchange import Exchange
from ..interfaces import IResponseFilter
from ..message.cookies import cookie_reader, cookie_that_is_set
from ..message.response import Response
from .learnt_sessions import LearntSessions


class Sticky(Protocol):
    """What binds clients to servers."""

    def bound(self, servers: Sequence[Any], exchange: Exchange) -> Any:
        """Give the server that an exchange's client is bound to.

        :param servers: those that may be used, the same tuple for as long as they are the same.
        :returns: one of them, or ``None``.
        """

    def response(self, exchange: Exchange, response: Response) -> None:
        """See ``IResponseFilter``: bind the client to the server that answered."""


@frozen(slots=True)
class CookieAttributes:
    """What a browser is told of the cookie (RFC 6265 section 4.1.2).

    :ivar max_age: in seconds, from when it is set; ``None`` until the browser is closed.
    :ivar domain: ``None`` for the host that was asked, and no other.
    """

    max_age: float | None = None
    domain: str | None = None
    path: str = "/"

    def line(self, *, secure: bool) -> bytes:
        """Write them, with a semicolon in front."""
        parts = [f"; Path={self.path}"]
        if self.domain is not None:
            parts.append(f"; Domain={self.domain}")
        if self.max_age is not None:
            parts.append(f"; Max-Age={int(self.max_age)}")
        parts.append("; HttpOnly; SameSite=Lax")
        if secure:
            parts.append("; Secure")
        return "".join(parts).encode("ascii")


@implementer(IResponseFilter)
class StickyCookie:
    """Binds by a cookie of the proxy's own.

    Its value is the HMAC-SHA-256 of the server's name: it tells nobody the name, only those of
    servers that are there are known, and nobody can make another.
    """

    def __init__(self, name: str, secret: bytes, attributes: CookieAttributes) -> None:
        """Make one for a pool.

        :param name: the cookie's.
        :param secret: the pool's own.
        """
        self._name = name.encode("ascii")
        self._value = lru_cache(maxsize=1024)(lambda server: _token(secret, server))
        self._cookie = cookie_reader(self._name)
        self._plain = attributes.line(secure=False)
        self._secure = attributes.line(secure=True)
        self._servers: Sequence[Any] = ()
        self._by_value: dict[bytes, Any] = {}

    def bound(self, servers: Sequence[Any], exchange: Exchange) -> Any:
        """See ``Sticky``."""
        if servers is not self._servers:
            self._servers = servers
            self._by_value = {self._value(server.name): server for server in servers}
        value = self._cookie(exchange.request)
        return None if value is None else self._by_value.get(value)

    def response(self, exchange: Exchange, response: Response) -> None:
        """See ``Sticky``; says nothing to who says the right thing already."""
        if not _answered(exchange):
            return
        value = self._value(exchange.upstream)
        if self._cookie(exchange.request) != value:
            attributes = self._secure if exchange.scheme == "https" else self._plain
            response.headers.add(b"Set-Cookie", b"%s=%s%s" % (self._name, value, attributes))


@implementer(IResponseFilter)
class StickyLearnt:
    """Binds by a cookie of the application, by what servers set it to."""

    def __init__(self, name: str, sessions: LearntSessions, seconds: float, most: int) -> None:
        """Make one for a pool.

        :param name: the cookie's.
        :param sessions: what was learnt by now.
        :param seconds: how long a session is remembered after its last use.
        :param most: so many sessions are remembered; beyond it those used last.
        """
        self._name = name.encode("ascii")
        self._cookie = cookie_reader(self._name)
        self._sessions = sessions
        self._seconds = seconds
        self._most = most
        self._servers: Sequence[Any] = ()
        self._by_name: dict[str, Any] = {}

    def bound(self, servers: Sequence[Any], exchange: Exchange) -> Any:
        """See ``Sticky``."""
        if servers is not self._servers:
            self._servers = servers
            self._by_name = {server.name: server for server in servers}
        value = self._cookie(exchange.request)
        if value is None:
            return None
        name = self._sessions.find(_session(value), self._seconds)
        return None if name is None else self._by_name.get(name)

    def response(self, exchange: Exchange, response: Response) -> None:
        """See ``Sticky``."""
        if not _answered(exchange):
            return
        value = cookie_that_is_set(response, self._name)
        if value is not None:
            self._sessions.learn(_session(value), exchange.upstream, self._seconds, self._most)


def _token(secret: bytes, server: str) -> bytes:
    return urlsafe_b64encode(hmac.digest(secret, server.encode("utf-8"), "sha256")[:18])


def _answered(exchange: Exchange) -> bool:
    """Say whether it is a server that answers, and not the proxy in its place."""
    return exchange.responded is not None and not exchange.error_type


def _session(value: bytes) -> bytes:
    # Of one size, however long the cookie; and a session's key to a user's account is not kept.
    return blake2b(value, digest_size=16).digest()
