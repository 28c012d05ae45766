"""The lean transports: whatever is written arrives, in its order, however slowly it is read."""

from __future__ import annotations

import socket
from hashlib import shake_128
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from proxykit.net.reactor import FastReactor

SIZES = st.sampled_from([0, 1, 700, 20_000, 40_000, 300_000, 900_000])


@implementer(IPushProducer)
class Counted(Protocol):
    """Counts how often it was told to pause and to go on."""

    paused = 0
    resumed = 0
    lost = False

    def connectionMade(self):
        self.transport.registerProducer(self, True)

    def connectionLost(self, reason):
        self.lost = True

    def pauseProducing(self):
        self.paused += 1

    def resumeProducing(self):
        self.resumed += 1

    def stopProducing(self):
        pass


class Connection:
    """A server's end on a reactor of its own, and a client's socket that is read by hand."""

    def __init__(self):
        self.reactor = FastReactor()
        made = []

        def build(address):
            made.append(Counted())
            return made[-1]

        factory = Factory.forProtocol(Counted)
        factory.buildProtocol = build
        self.port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.client = socket.socket()
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.client.connect(self.port.socket.getsockname())
        self.client.setblocking(False)
        self.turn_until(lambda: made)
        self.protocol = made[0]
        self.received = bytearray()

    def turn_until(self, condition):
        deadline = monotonic() + 10
        while not condition():
            assert monotonic() < deadline
            self.reactor.iterate(0)

    def read(self, most):
        """Read what is there, and say whether the peer has ended."""
        try:
            data = self.client.recv(most)
        except BlockingIOError:
            return False
        self.received += data
        return not data

    def close(self):
        self.client.close()
        self.turn_until(lambda: self.protocol.lost)
        self.port.stopListening()
        self.reactor.iterate(0)
        for reader in self.reactor.removeAll():
            reader.connectionLost(None)
        self.reactor._poller.close()


@pytest.fixture
def connection():
    made = Connection()
    yield made
    made.close()


@settings(max_examples=30)
@given(
    writes=st.lists(st.lists(SIZES, max_size=4), min_size=1, max_size=5),
    read=st.sampled_from([20_000, 1_000_000]),
)
def test_all_that_is_written_arrives_in_order_and_then_the_end(writes, read):
    connection = Connection()
    expected = b""
    for number, sizes in enumerate(writes):
        pieces = [
            shake_128(b"%d %d" % (number, index)).digest(64) * (size // 64 + 1)
            for index, size in enumerate(sizes)
        ]
        pieces = [piece[:size] for piece, size in zip(pieces, sizes, strict=True)]
        if len(pieces) == 1:
            connection.protocol.transport.write(pieces[0])
        else:
            connection.protocol.transport.writeSequence(pieces)
        expected += b"".join(pieces)
        connection.reactor.iterate(0)
        connection.read(read)
    connection.protocol.transport.unregisterProducer()
    connection.protocol.transport.loseConnection()

    ended = []
    connection.turn_until(lambda: connection.read(read) and ended.append(1) is None)

    assert connection.received == expected
    connection.close()


def test_a_producer_is_paused_while_much_is_left_and_resumed_when_it_is_gone(connection):
    connection.protocol.transport.writeSequence([b"head", b"x" * 4_000_000])
    assert (connection.protocol.paused, connection.protocol.resumed) == (1, 0)

    connection.turn_until(lambda: connection.read(1_000_000) or connection.protocol.resumed == 1)

    assert connection.protocol.paused == 1
    connection.protocol.transport.write(b"tail")
    connection.turn_until(lambda: connection.read(1_000_000) or connection.received[-4:] == b"tail")
    assert len(connection.received) == 4_000_008


def test_what_the_kernel_takes_at_once_pauses_nobody(connection):
    connection.protocol.transport.writeSequence([b"x" * 20_000, b"y" * 20_000])

    connection.turn_until(lambda: connection.read(100_000) or len(connection.received) == 40_000)

    assert connection.protocol.paused == 0


def test_many_small_pieces_behind_a_slow_reader_arrive(connection):
    transport = connection.protocol.transport
    transport.write(b"x" * 4_000_000)
    for number in range(5000):
        transport.write(b"%d;" % number)
    expected = b"".join(b"%d;" % number for number in range(5000))

    connection.turn_until(
        lambda: connection.read(1_000_000) or connection.received.endswith(b"4999;")
    )

    assert connection.received[4_000_000:] == expected


def test_a_reader_that_resets_ends_the_connection(connection):
    connection.protocol.transport.writeSequence([b"x" * 3_000_000, b"y" * 3_000_000])
    connection.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.client.close()

    connection.turn_until(lambda: connection.protocol.lost)
