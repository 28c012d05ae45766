"""A server's pool of connections: limits, queue, reuse, retirement."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from proxykit.errors import ConnectionRefused, QueueFull
from proxykit.net.sweeper import Sweeper
from proxykit.upstream.server import PoolLimits, Server


class Transport(StringTransport):
    """A transport that knows when it was aborted."""

    def abortConnection(self):
        super().abortConnection()
        self.loseConnection()


class Way:
    """A connector whose connections are made when a test says so."""

    def __init__(self):
        self.waiting = []

    def connect(self, build):
        deferred = Deferred()
        self.waiting.append((deferred, build))
        return deferred

    def accept(self):
        deferred, build = self.waiting.pop(0)
        protocol = build()
        protocol.makeConnection(Transport())
        deferred.callback(protocol)
        return protocol

    def refuse(self):
        deferred, _ = self.waiting.pop(0)
        deferred.errback(Failure(ConnectionRefusedError()))


class Taker:
    """Takes a connection, and a response on it."""

    def __init__(self):
        self.connection = self.error = None
        self.ended = False

    def connection_ready(self, connection):
        self.connection = connection

    def connection_failed(self, error):
        self.error = error

    def response_received(self, response):
        pass

    def content_received(self, data):
        pass

    def response_ended(self, trailers):
        self.ended = True

    def response_failed(self, error, **named):
        self.error = error

    def flush(self):
        pass


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def way():
    return Way()


@pytest.fixture
def make(clock, way):
    return lambda **limits: Server("a:80", way, PoolLimits(**limits), clock, Sweeper(clock))


def exchange(taker, answer=b"HTTP/1.1 204 No Content\r\n\r\n"):
    taker.connection.begin(taker, b"GET", b"GET / HTTP/1.1\r\n\r\n", content=False)
    taker.connection.dataReceived(answer)


def test_an_idle_connection_is_used_again(make, way):
    server, first, second = make(), Taker(), Taker()
    server.acquire(first)
    way.accept()
    exchange(first)
    server.acquire(second)

    assert first.ended
    assert second.connection is first.connection
    assert not way.waiting


def test_who_finds_no_room_waits_for_a_connection_to_become_free(make, way):
    server, first, second = make(connections=1), Taker(), Taker()
    server.acquire(first)
    way.accept()
    server.acquire(second)
    assert second.connection is None

    exchange(first)

    assert second.connection is first.connection


def test_who_waits_too_long_is_told_so(make, way, clock):
    server, first, second = make(connections=1, queue_seconds=5), Taker(), Taker()
    server.acquire(first)
    way.accept()
    server.acquire(second)

    clock.advance(5.1)

    assert isinstance(second.error, QueueFull)


def test_the_queue_is_bounded(make, way):
    server, takers = make(connections=1, queue=1), [Taker() for _ in range(3)]
    server.acquire(takers[0])
    way.accept()
    for taker in takers[1:]:
        server.acquire(taker)

    assert takers[1].error is None
    assert isinstance(takers[2].error, QueueFull)


def test_a_refused_connection_fails_who_asked_for_it(make, way):
    server, taker = make(), Taker()
    server.acquire(taker)
    way.refuse()

    assert isinstance(taker.error, ConnectionRefused)
    assert server.is_unused


def test_who_leaves_while_waiting_leaves_the_connection_to_the_next(make, way):
    server, gone, next_one = make(connections=1), Taker(), Taker()
    server.acquire(gone)
    server.acquire(next_one)
    server.cancel(gone)
    way.accept()

    assert gone.connection is None
    assert next_one.connection is not None


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n",
    ],
    ids=["close", "HTTP/1.0", "bytes behind the response"],
)
def test_a_connection_in_doubt_is_not_used_again(make, way, answer):
    server, first, second = make(), Taker(), Taker()
    server.acquire(first)
    way.accept()
    exchange(first, answer)
    server.acquire(second)

    assert first.ended
    assert second.connection is None
    assert len(way.waiting) == 1


def test_bytes_that_nobody_asked_for_close_an_idle_connection(make, way):
    server, first = make(), Taker()
    server.acquire(first)
    connection = way.accept()
    exchange(first)
    connection.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    second = Taker()
    server.acquire(second)

    assert second.connection is None


def test_a_retired_server_closes_idle_connections_and_others_after_their_exchange(make, way):
    server, first, second = make(), Taker(), Taker()
    server.acquire(first)
    server.acquire(second)
    idle, busy = way.accept(), way.accept()
    exchange(first)

    server.retire()
    assert idle.transport.disconnecting
    assert not busy.transport.disconnecting

    exchange(second)
    assert busy.transport.disconnecting
    assert server.is_unused
