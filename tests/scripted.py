"""An origin that does what a script says, byte by byte, and remembers what it was sent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

Script = Callable[[socket.socket, bytes], None]


def reply(data: bytes) -> Script:
    """Give a script that answers each head that it reads with the same bytes."""
    return lambda connection, head: connection.sendall(data)


class ThreadedServer:
    """Listens on a free port of the loopback interface; each connection has a thread.

    :ivar port: where it listens.
    """

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        """Listen; nothing is accepted before ``with``."""
        self._listening = socket.create_server(address)
        self.port = self._listening.getsockname()[1]

    def accepted(self, connection: socket.socket) -> None:
        """Take note of a connection; they come here one after the other."""

    def serve(self, connection: socket.socket) -> None:
        """Do what there is to do on a connection; it is closed afterwards."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.accepted(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self.serve(connection)


class ScriptedOrigin(ThreadedServer):
    """Answers each head that it reads as a script says.

    :ivar script: is called with the connection and each head that came on it.
    :ivar received: all bytes of each connection, in the order of the connections.
    :ivar closed: how many connections have ended.
    """

    def __init__(self, script: Script, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        """See ``ThreadedServer``."""
        super().__init__(address)
        self.script = script
        self.received: list[bytearray] = []
        self.closed = 0
        self._records: dict[socket.socket, bytearray] = {}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> tuple[socket.socket, ...]:
        """Every connection, in their order."""
        return tuple(self._records)

    def heads(self) -> list[bytes]:
        """Give the request lines that came, on all connections."""
        lines = b"".join(map(bytes, self.received)).split(b"\r\n")
        return [line for line in lines if line.endswith((b"HTTP/1.1", b"HTTP/1.0"))]

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for connection in self._records:
            connection.close()

    def accepted(self, connection: socket.socket) -> None:
        """See ``ThreadedServer``."""
        connection.settimeout(10)
        self._records[connection] = record = bytearray()
        self.received.append(record)

    def serve(self, connection: socket.socket) -> None:
        """Read heads, and follow the script."""
        record = self._records[connection]
        pending = b""
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65536):
                record += data
                pending += data
                while b"\r\n\r\n" in pending:
                    head, _, pending = pending.partition(b"\r\n\r\n")
                    self.script(connection, head)
        self.closed += 1


def exchange(address: tuple[str, int], data: bytes) -> bytes:
    """Send bytes on a connection of its own and read until the other side ends it."""
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(data)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side ends the connection."""
    pieces: list[bytes] = []
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Read until what came ends with something."""
    data = b""
    while not data.endswith(end):
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data
