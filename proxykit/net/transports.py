"""TCP transports that send at once and read in large pieces; the fast reactor makes them.

Twisted's transports put every ``write`` off until the next turn of the reactor. These send straight
away when nothing is buffered, which saves a pass through epoll for each message; what the kernel
does not take goes Twisted's way. TLS, and whatever else is not the plain case, does as well.
"""

from __future__ import annotations

import socket
from errno import EAGAIN, ENOBUFS
from typing import Any

from twisted.internet import tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

READ_SIZE = 256 * 1024
"""Bytes to read at a time; Twisted's 64 KiB make four times the turns for a large body."""


class _Stream(tcp.Connection):
    """What both ends of a connection do in the lean way."""

    # Cleared by the first send that fails: then doWrite meets the same error and reports it.
    _sends_at_once = True

    def write(self, data: bytes) -> None:
        """See ``ITransport.write``."""
        if (
            self.TLS
            or self._tempDataLen
            or self.dataBuffer
            or not self.connected
            or not self._sends_at_once
            or type(data) is not bytes
            or not data
            # A pull producer is resumed by doWrite, which happens only to what is buffered.
            or (self.producer is not None and not self.streamingProducer)
        ):
            tcp.Connection.write(self, data)
            return
        try:
            sent = self.socket.send(data)
        except OSError as error:
            sent = 0
            if error.errno not in (EAGAIN, ENOBUFS):
                self._sends_at_once = False
        if sent != len(data):
            FileDescriptor.write(self, data[sent:])

    def doRead(  # type: ignore[override]
        self,
    ) -> ConnectionLost | ConnectionDone | None:
        """Read once; see ``IReadDescriptor``."""
        try:
            data = self.socket.recv(READ_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if data:
            self.protocol.dataReceived(data)
            return None
        # After a send failed, the peer's end of the stream is not an orderly one.
        return CONNECTION_DONE if self._sends_at_once else CONNECTION_LOST


class Server(_Stream, tcp.Server):
    """The server's end of a connection."""

    def __init__(self, sock: socket.socket, *arguments: Any) -> None:
        """See ``twisted.internet.tcp.Server``."""
        # What is sent at once must not wait in the kernel for an acknowledgement either.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock, *arguments)


class Client(_Stream, tcp.Client):
    """The client's end of a connection."""

    def createInternetSocket(self) -> socket.socket:
        """See ``twisted.internet.tcp.Client``."""
        created: socket.socket = super().createInternetSocket()  # type: ignore[no-untyped-call]
        created.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return created


class Port(tcp.Port):
    """A listening port whose connections are lean."""

    transport = Server  # type: ignore[assignment]


class Connector(tcp.Connector):
    """Connects lean clients."""

    def _makeTransport(self) -> Client:
        return Client(  # type: ignore[no-untyped-call]
            self.host, self.port, self.bindAddress, self, self.reactor
        )
