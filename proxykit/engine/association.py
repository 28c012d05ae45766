"""UDP ASSOCIATE (RFC 1928 section 7): carries a SOCKS client's datagrams.

Two sorts of sockets keep the sides apart, whatever addresses they have: one faces the client and
takes datagrams of that client only; those that face the other side take datagrams of destinations
only that the client has sent some to.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from attrs import define, evolve, field
from twisted.internet.error import CannotListenError, MessageLengthError
from twisted.internet.protocol import DatagramProtocol

from ..net.socks.addresses import Datagram, decode_datagram, encode_datagram
from ..net.socks.words import MalformedSocks
from .exchange import Exchange
from .judgement import Judgement, tell_observers
from .pipeline import Chain, DatagramPolicy, Pipeline

_LARGEST = 65_535
# Destinations of one association; the one that was silent for longest makes room.
_MOST_FLOWS = 256
# Datagrams that wait for a destination to be judged, of all destinations together.
_MOST_HELD = 32

MakeExchange = Callable[[Pipeline, bytes, str, int], Exchange]


class _Side(DatagramProtocol):
    """One socket."""

    transport: Any

    def __init__(self, received: Callable[[bytes, tuple[Any, ...]], None]) -> None:
        self._received = received

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Hand over what came."""
        self._received(datagram, addr)

    def connectionRefused(self) -> None:
        """Somebody does not listen; that is between the two."""


@define(slots=True, eq=False)
class _Flow:
    """What goes to one destination of a client.

    :ivar side: the socket that it goes out by; ``None`` while it may not, or not yet.
    :ivar remote: the destination's address and port.
    :ivar held: what came before it was judged; ``None`` once it was.
    :ivar last: when something went either way.
    """

    exchange: Exchange
    judgement: Judgement | None = None
    side: _Side | None = None
    remote: tuple[str, int] = ("", 0)
    held: list[bytes] | None = field(factory=list)
    last: float = 0.0


class Association:
    """One client's relay.

    :ivar port: where the client sends its datagrams to, once it is open.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        policy: DatagramPolicy,
        client: str,
        make_exchange: MakeExchange,
        progress: Callable[[], None],
    ) -> None:
        """Describe one that is not open yet.

        :param client: the client's IP address.
        :param make_exchange: makes an exchange of a pipeline, a method, a host and a port.
        :param progress: called for each datagram that goes either way.
        """
        self._pipeline = pipeline
        self._policy = policy
        # Each destination passes the request filters; what is told of it comes at the end.
        self._judging = evolve(
            pipeline,
            choose=policy.judge,
            chain=Chain(request=pipeline.chain.request),
            observers=(),
        )
        self._client = client
        self._client_port = 0
        self._make_exchange = make_exchange
        self._progress = progress
        self._inside = _Side(self._client_sent)
        self._outside: dict[str, _Side] = {}
        self._flows: dict[tuple[str, int], _Flow] = {}
        self._by_remote: dict[tuple[str, int], _Flow] = {}
        self._held = 0
        self.port = 0

    def open(self, interface: str, client_port: int) -> None:
        """Listen to the client.

        :param interface: the local address that the client knows.
        :param client_port: which the client says that it will use; 0 for the first that it uses.
        :raises CannotListenError: when there is no port.
        """
        listening = self._policy.reactor.listenUDP(0, self._inside, interface, _LARGEST)
        self.port = listening.getHost().port
        self._client_port = client_port
        self._policy.open[self._client] += 1

    def close(self) -> None:
        """Close every socket and tell what was carried."""
        if not self.port:
            return
        self.port = 0
        self._policy.open[self._client] -= 1
        if not self._policy.open[self._client]:
            del self._policy.open[self._client]
        for side in (self._inside, *self._outside.values()):
            side.transport.stopListening()
        for flow in self._flows.values():
            self._finish(flow)

    # --- from the client ----------------------------------------------------------------------

    def _client_sent(self, data: bytes, address: tuple[Any, ...]) -> None:
        """Take a datagram on the client's side; whatever is not right with it, it is dropped."""
        if not self.port or address[0] != self._client:
            return
        if not self._client_port:
            self._client_port = address[1]
        if address[1] != self._client_port:
            return
        try:
            datagram = decode_datagram(data)
        except MalformedSocks:
            return
        if datagram is None or not datagram.port:
            return
        self._progress()
        key = (datagram.host, datagram.port)
        flow = self._flows.get(key) or self._begin(key)
        flow.last = monotonic()
        if flow.side is not None:
            self._send(flow, flow.side, datagram.data)
        elif flow.held is not None and self._held < _MOST_HELD:
            self._held += 1
            flow.held.append(datagram.data)

    def _begin(self, key: tuple[str, int]) -> _Flow:
        """Have a destination judged."""
        if len(self._flows) >= _MOST_FLOWS:
            oldest = min(self._flows, key=lambda each: self._flows[each].last)
            self._finish(self._flows.pop(oldest))
        exchange = self._make_exchange(self._judging, b"UDP", *key)
        flow = self._flows[key] = _Flow(exchange)
        flow.judgement = Judgement(
            self._judging, exchange, lambda status: self._judged(flow, status)
        )
        # What is sent while it is judged waits for it, the datagram that it began with above all:
        # so that is put there first.
        self._policy.reactor.callLater(0, self._judge, flow)
        return flow

    def _judge(self, flow: _Flow) -> None:
        if self.port and flow.judgement is not None:
            flow.judgement.start()

    def _judged(self, flow: _Flow, status: int) -> None:
        """Send what was held, or drop it."""
        flow.judgement = None
        held, flow.held = flow.held or [], None
        self._held -= len(held)
        if status >= 300 or not self.port:
            return
        exchange = flow.exchange
        exchange.status = 200
        exchange.tunnel = True
        side = self._side_for(flow, exchange.port)
        if side is None:
            return
        for data in held:
            self._send(flow, side, data)

    def _side_for(self, flow: _Flow, port: int) -> _Side | None:
        """Choose the address that a flow goes to and the socket that it goes out by."""
        exchange = flow.exchange
        outgoing = self._policy.outgoing(exchange)
        for address in exchange.addresses or ():
            is_ipv6 = ":" in address
            if not outgoing:
                interface = "::" if is_ipv6 else ""
            else:
                interface = next((each for each in outgoing if (":" in each) == is_ipv6), "none")
            side = self._listen(interface)
            if side is not None:
                flow.side, flow.remote = side, (address, port)
                self._by_remote[flow.remote] = flow
                exchange.upstream = f"[{address}]:{port}" if is_ipv6 else f"{address}:{port}"
                return side
        exchange.status = 502
        exchange.error_type = "destination_ip_unroutable"
        exchange.detail = "there is no address to go out by"
        return None

    def _listen(self, interface: str) -> _Side | None:
        side = self._outside.get(interface)
        if side is None and interface != "none":
            side = _Side(self._remote_sent)
            try:
                self._policy.reactor.listenUDP(0, side, interface, _LARGEST)
            except (CannotListenError, OSError):
                return None
            self._outside[interface] = side
        return side

    def _send(self, flow: _Flow, side: _Side, data: bytes) -> None:
        if _write(side, data, flow.remote):
            flow.exchange.received_bytes += len(data)

    # --- from the other side ------------------------------------------------------------------

    def _remote_sent(self, data: bytes, address: tuple[Any, ...]) -> None:
        """Take a datagram of a destination; of anybody else it is dropped."""
        flow = self._by_remote.get((address[0], address[1]))
        if flow is None or not self.port:
            return
        self._progress()
        flow.last = monotonic()
        answer = encode_datagram(Datagram(address[0], address[1], data))
        if _write(self._inside, answer, (self._client, self._client_port)):
            flow.exchange.sent_bytes += len(data)

    def _finish(self, flow: _Flow) -> None:
        """Tell of a flow, once."""
        if flow.judgement is not None:
            flow.judgement.give_up()
            self._held -= len(flow.held or ())
        if self._by_remote.get(flow.remote) is flow:
            del self._by_remote[flow.remote]
        flow.side = None
        tell_observers(self._pipeline, flow.exchange)


def _write(side: _Side, data: bytes, address: tuple[str, int]) -> bool:
    """Send a datagram, or lose it as the network would."""
    try:
        side.transport.write(data, address)
    except (OSError, MessageLengthError):
        return False
    return True
