"""Ways to a server."""

from __future__ import annotations

from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from proxykit.upstream.connector import TcpConnector
from proxykit.upstream.resolution import Resolver


def connect(*addresses):
    reactor = MemoryReactorClock()
    connector = TcpConnector(reactor, Resolver(None), "a.example", 80)
    connector.pinned = addresses
    results = []
    connector.connect(Protocol).addBoth(results.append)
    return reactor, results


def tried(reactor):
    return [client[0] for client in reactor.tcpClients]


def test_a_second_address_is_tried_a_quarter_of_a_second_later():
    """RFC 8305 section 5."""
    reactor, _ = connect("2001:db8::1", "192.0.2.1")

    reactor.advance(0)
    assert tried(reactor) == ["2001:db8::1"]
    reactor.advance(0.26)
    assert tried(reactor) == ["2001:db8::1", "192.0.2.1"]


def test_a_refusal_of_every_address_is_a_failure():
    reactor, results = connect("2001:db8::1", "192.0.2.1")

    for number in range(2):
        reactor.advance(0.3)
        factory = reactor.tcpClients[number][2]
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    reactor.advance(10)

    assert results[0].check(ConnectionRefusedError)


def test_only_pinned_addresses_are_connected_to():
    """Whatever the name says by then: the resolver given here cannot even be asked."""
    reactor, _ = connect("192.0.2.7")
    reactor.advance(0)

    assert tried(reactor) == ["192.0.2.7"]
