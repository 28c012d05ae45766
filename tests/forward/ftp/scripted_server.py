"""An FTP server that says what a test tells it to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

Answer = bytes | Callable[["ScriptedFtp", socket.socket], bytes | None]


class ScriptedFtp:
    """Answers commands by their first word; what is not told otherwise is answered as usual.

    :ivar commands: the lines that came.
    :ivar data: what a data connection is sent when a transfer begins.
    """

    def __init__(self, data: bytes = b"", **answers: Answer) -> None:
        """Listen; nothing is accepted before ``with``."""
        self.data = data
        self.commands: list[bytes] = []
        self.data_connections = 0
        self._answers = answers
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._data_listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.data_port = self._data_listening.getsockname()[1]
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listening, self._data_listening):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for each in self._open:
            each.close()

    def accept_data(self) -> socket.socket:
        """Give the data connection that the client made."""
        self._data_listening.settimeout(5)
        connection, _ = self._data_listening.accept()
        self.data_connections += 1
        self._open.append(connection)
        return connection

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            self._say(connection, self._answers.get("greeting", b"220 ready"))
            for line in connection.makefile("rb"):
                self.commands.append(line.rstrip(b"\r\n"))
                word = line.split()[0].decode().upper()
                answer = self._answers.get(word, getattr(type(self), f"_{word.lower()}", b"502 no"))
                self._say(connection, answer)

    def _say(self, connection: socket.socket, answer: Answer) -> None:
        said = answer(self, connection) if callable(answer) else answer
        if said is not None:
            connection.sendall(said + b"\r\n")

    _user = b"331 and?"
    _pass = b"230 welcome"
    _type = b"200 fine"
    _cwd = b"250 there"
    _quit = b"221 bye"

    def _epsv(self, connection: socket.socket) -> bytes:
        return b"229 here (|||%d|)" % self.data_port

    def _size(self, connection: socket.socket) -> bytes:
        return b"213 %d" % len(self.data)

    def _retr(self, connection: socket.socket) -> bytes:
        connection.sendall(b"150 coming\r\n")
        with self.accept_data() as data:
            data.sendall(self.data)
        return b"226 done"

    _list = _mlsd = _retr
