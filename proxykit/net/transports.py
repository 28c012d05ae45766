"""TCP transports that write when a turn's events are handled, and read in large pieces.

Twisted's transports register with epoll to learn that a socket can be written to, which it nearly
always can, and write in the next turn. These write at the end of the same turn, and register only
for what the kernel did not take. Pieces that are large go at once, so that they are not copied and
do not pause their producer. What is not the plain case, TLS above all, goes Twisted's way.

Not each at once either: a peer that waits is woken by the first write, and is still awake for those
behind it (benchmark ``reverse-1k``: 45 µs, where sending each at once costs 52 µs).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from errno import EAGAIN, ENOBUFS
from typing import Any

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

# From here on, copying costs more than a send.
_SENT_WITH_THE_TURN = 32 * 1024
# As many as one system call takes (IOV_MAX on Linux is 1,024).
_MOST_PIECES = 64

READ_SIZE = 256 * 1024
"""Bytes to read at a time; Twisted's 64 KiB make four times the turns for a large body."""


class _Stream(tcp.Connection):
    """What both ends of a connection do in the lean way."""

    reactor: Any
    _is_scheduled = False
    # Cleared by the first send that fails: then doWrite meets the same error and reports it.
    _sends_at_once = True

    def write(self, data: bytes) -> None:
        """See ``ITransport.write``.

        It does what ``FileDescriptor.write`` does, without six calls.
        """
        if self.TLS or type(data) is not bytes or not self.connected or self._writeDisconnected:
            tcp.Connection.write(self, data)
            return
        size = len(data)
        if size >= _SENT_WITH_THE_TURN and self._is_empty():
            try:
                sent = self.socket.send(data)
            except OSError as error:
                sent = self._not_sent(error)
            if sent < size:
                self._wait_with([data], sent)
        elif size:
            self._tempDataBuffer.append(data)
            self._tempDataLen += size
            if self._tempDataLen + len(self.dataBuffer) > self.bufferSize:
                self._maybePauseProducer()  # type: ignore[no-untyped-call]
            if not self._is_scheduled:
                self._is_scheduled = True
                self.reactor.unsent.append(self)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """See ``ITransport.writeSequence``; pieces that are large together go in one call."""
        pieces = list(iovec)
        size = sum(map(len, pieces))
        if (
            size >= _SENT_WITH_THE_TURN
            and not self.TLS
            and self.connected
            and not self._writeDisconnected
            and self._is_empty()
        ):
            try:
                sent = self.socket.sendmsg(pieces[:_MOST_PIECES])
            except OSError as error:
                sent = self._not_sent(error)
            if sent < size:
                self._wait_with(pieces, sent)
        else:
            tcp.Connection.writeSequence(self, pieces)

    def _is_empty(self) -> bool:
        """Say whether a piece may be sent before the turn's end."""
        return bool(
            not self._tempDataLen
            and not self.dataBuffer
            and self._sends_at_once
            # A pull producer is resumed by doWrite, which happens only to what is buffered.
            and (self.producer is None or self.streamingProducer)
        )

    def _not_sent(self, error: OSError) -> int:
        """Take note of a send that failed; give what was sent: nothing."""
        if error.errno not in (EAGAIN, ENOBUFS):
            self._sends_at_once = False
        return 0

    def _wait_with(self, pieces: list[bytes], sent: int) -> None:
        """Keep what the kernel did not take, as it is and not copied, until it takes more."""
        self._keep(pieces, sent)
        self._maybePauseProducer()  # type: ignore[no-untyped-call]
        self.reactor.addWriter(self)

    def _keep(self, pieces: Sequence[Any], sent: int) -> None:
        """Buffer what was not sent of pieces; all that was buffered is among them.

        :param pieces: bytes or views of bytes.
        """
        self.dataBuffer = b""
        self.offset = 0
        rest = iter(pieces)
        for piece in rest:
            if sent < len(piece):
                self.dataBuffer = piece
                self.offset = sent
                break
            sent -= len(piece)
        self._tempDataBuffer = list(rest)
        self._tempDataLen = sum(map(len, self._tempDataBuffer))

    def doWrite(self) -> BaseException | None:  # type: ignore[override]
        """See ``IWriteDescriptor``.

        Twisted copies all that is buffered into one piece before it is sent.
        """
        if self.dataBuffer and 0 < len(self._tempDataBuffer) < _MOST_PIECES:
            pieces: list[Any] = [memoryview(self.dataBuffer)[self.offset :]]
            pieces += self._tempDataBuffer
            try:
                self._keep(pieces, self.socket.sendmsg(pieces))
            except OSError:
                pass  # Twisted's way meets it again, and reports it
            else:
                if self.dataBuffer:
                    return None
        why: BaseException | None = super().doWrite()  # type: ignore[no-untyped-call]
        return why

    def startWriting(self) -> None:
        """Have what is buffered sent when the events of this turn are handled."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self.reactor.unsent.append(self)

    def send_unsent(self) -> BaseException | None:
        """Send what is buffered; what the kernel does not take waits until it takes more.

        :returns: why the connection is lost, if it is.
        """
        self._is_scheduled = False
        if self.disconnected or self._aborting:
            return None
        if (  # all that doWrite would do is to send what was written in this turn
            self._tempDataLen
            and not self.dataBuffer
            and not self.disconnecting
            and not self._writeDisconnecting
            and (self.producer is None or (self.streamingProducer and not self.producerPaused))
        ):
            unsent = self._tempDataBuffer
            try:
                if len(unsent) == 1:
                    sent = self.socket.send(unsent[0])
                elif self._tempDataLen < _SENT_WITH_THE_TURN:
                    sent = self.socket.send(b"".join(unsent))
                else:
                    sent = self.socket.sendmsg(unsent[:_MOST_PIECES])
            except OSError:
                pass  # doWrite meets it again, and reports it
            else:
                if sent == self._tempDataLen:
                    self._tempDataLen = 0
                    unsent.clear()
                else:
                    self._keep(unsent, sent)
                    self.reactor.addWriter(self)
                return None
        why = self.doWrite()
        if why is None and (self._tempDataLen or self.dataBuffer):
            self.reactor.addWriter(self)
        return why

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
