"""TCP and UNIX stream transports that send at once and read in large pieces."""

from __future__ import annotations

import socket
from errno import EAGAIN, ENOBUFS
from typing import Any

from twisted.internet import tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

READ_SIZE = 256 * 1024


def _send_now(stream: Any, data: bytes) -> None:
    if (
        stream._tempDataLen
        or stream.dataBuffer
        or not stream.connected
        or not stream._sends_at_once
        or type(data) is not bytes
        or not data
        or (stream.producer is not None and not stream.streamingProducer)
    ):
        FileDescriptor.write(stream, data)
        return
    try:
        sent = stream.socket.send(data)
    except OSError as error:
        sent = 0
        if error.errno not in (EAGAIN, ENOBUFS):
            stream._sends_at_once = False
            stream._send_failed = True
    if sent != len(data):
        FileDescriptor.write(stream, data[sent:])


class _Stream(tcp.Connection):
    _sends_at_once = True
    _send_failed = False

    def write(self, data: bytes) -> None:
        if self.TLS:
            tcp.Connection.write(self, data)
        else:
            _send_now(self, data)

    def doRead(self):
        try:
            data = self.socket.recv(READ_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if data:
            self.protocol.dataReceived(data)
            return None
        return CONNECTION_LOST if self._send_failed else CONNECTION_DONE


class Server(_Stream, tcp.Server):
    def __init__(self, sock, *args):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock, *args)


class Client(_Stream, tcp.Client):
    def createInternetSocket(self):
        s = super().createInternetSocket()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s


class Port(tcp.Port):
    transport = Server


class Connector(tcp.Connector):
    def _makeTransport(self):
        return Client(self.host, self.port, self.bindAddress, self, self.reactor)
