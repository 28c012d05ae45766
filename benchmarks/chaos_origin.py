"""A server for `benchmarks.chaos`: answers, and misbehaves as its standard input says.

Run as `python -m benchmarks.chaos_origin PORT NAME LOG`. Each line of standard input is a mode:
`well`, `slow SECONDS`, `refuse` (the port is closed, connections too), `fail` (answers 503) or
`reset` (reads a request and resets the connection). To hang it, stop the process; to kill it, kill
it. The id of each POST is added to LOG.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import cast


class Origin:
    """What all connections share.

    Attributes:
        mode: as the last line of standard input said it.
        seconds: before an answer, when slow.
        connections: that are open.
    """

    def __init__(self, port: int, name: str, log: str) -> None:
        """Remember where to listen; nothing is opened yet but the log."""
        self.mode = "well"
        self.seconds = 0.0
        self.connections: set[Connection] = set()
        self.name = name
        self._port = port
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._server: asyncio.Server | None = None

    def posted(self, identity: bytes) -> None:
        """Note that a POST was carried out."""
        os.write(self._log, identity + b"\n")

    async def serve(self) -> None:
        """Listen, and do what standard input says until it ends."""
        loop = asyncio.get_running_loop()
        lines = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        await self._listen()
        while line := await lines.readline():
            words = line.decode("ascii").split()
            self.mode = words[0]
            self.seconds = float(words[1]) if len(words) > 1 else 0.0
            if self.mode == "refuse":
                self._refuse()
            elif self._server is None:
                await self._listen()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), "127.0.0.1", self._port, reuse_address=True, backlog=1024
        )

    def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            connection.transport.abort()


class Connection(asyncio.Protocol):
    """One connection; requests with a Content-Length or without content, one at a time."""

    transport: asyncio.Transport

    def __init__(self, origin: Origin) -> None:
        """Wait for a request."""
        self._origin = origin
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self._origin.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._origin.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            lower = head.lower()
            size = 0
            if b"content-length: " in lower:
                size = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
            if len(rest) < size:
                return
            self._buffer = rest[size:]
            if self._origin.mode == "reset":
                self.transport.abort()
                return
            if self._origin.seconds:
                asyncio.get_running_loop().call_later(
                    self._origin.seconds, self._answer, head, rest[:size]
                )
            else:
                self._answer(head, rest[:size])

    def _answer(self, head: bytes, content: bytes) -> None:
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        if self._origin.mode == "fail":
            self.transport.write(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfail"
            )
            return
        if method == b"POST":
            self._origin.posted(target)
        body = b"%s %s %d" % (method, target, len(content))
        answer = b"HTTP/1.1 200 OK\r\nX-Server: %s\r\nContent-Length: %d\r\n\r\n" % (
            self._origin.name.encode("ascii"),
            len(body),
        )
        self.transport.write(answer if method == b"HEAD" else answer + body)


if __name__ == "__main__":
    asyncio.run(Origin(int(sys.argv[1]), sys.argv[2], sys.argv[3]).serve())
