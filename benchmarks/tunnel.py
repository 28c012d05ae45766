"""The load of the CONNECT case: tunnels through which files are downloaded."""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from attrs import define

from benchmarks.load import BadLoad

READ_BYTES = 1 << 20
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@define
class Download:
    """A connection that fetches the same file again and again.

    Attributes:
        connection: the socket, through a tunnel or straight.
        request: what is sent for each file.
        size: the length that each file must have.
        missing: bytes of the current file that have not come yet.
    """

    connection: socket.socket
    request: bytes
    size: int
    missing: int = 0

    def begin(self) -> int:
        """Ask for the file and read its head; return how many bytes of the body came along."""
        self.connection.sendall(self.request)
        head, rest = read_head(self.connection)
        length = CONTENT_LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200") or length is None or int(length[1]) != self.size:
            raise BadLoad(f"an unexpected answer in a tunnel: {head[:60]!r}")
        self.missing = self.size - len(rest)
        return len(rest)

    def read(self, buffer: bytearray) -> int:
        """Read what there is, and ask again at the end of the file; return the bytes read."""
        count = self.connection.recv_into(buffer, min(self.missing, len(buffer)))
        if not count:
            raise BadLoad("a tunnel was closed in the middle of a file")
        self.missing -= count
        return count if self.missing else count + self.begin()


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Read an answer's head; return it and what came after it.

    Raises:
        BadLoad: the connection ended before the head did.
    """
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        if not data:
            raise BadLoad(f"closed in a head: {received[:60]!r}")
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


def open_tunnel(port: int, origin: int, *, connect: bool) -> socket.socket:
    """Return a connection to the origin through the proxy.

    Args:
        port: the proxy's.
        origin: the origin's.
        connect: whether to ask for it with CONNECT; if not, the proxy passes TCP on.

    Raises:
        BadLoad: the proxy refused.
    """
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if connect:
        authority = f"127.0.0.1:{origin}"
        connection.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        head, rest = read_head(connection)
        if not re.match(rb"HTTP/1\.[01] 2", head) or rest:
            connection.close()
            raise BadLoad(f"CONNECT was answered {head[:60]!r}")
    return connection


@contextmanager
def open_downloads(
    port: int, origin: int, *, path: str, size: int, connections: int, connect: bool
) -> Iterator[list[Download]]:
    """Open the tunnels and begin a download in each; all are closed after the block.

    Args:
        port: the proxy's.
        origin: the origin's.
        path: the file.
        size: its length in bytes.
        connections: how many tunnels.
        connect: as in `open_tunnel`.

    Raises:
        BadLoad: a tunnel or an answer was not as it should be.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{origin}\r\n\r\n".encode()
    with ExitStack() as stack:
        downloads = []
        for _ in range(connections):
            connection = stack.enter_context(open_tunnel(port, origin, connect=connect))
            downloads.append(Download(connection, request, size))
        for download in downloads:
            download.begin()
        yield downloads


def download_for(downloads: list[Download], seconds: float) -> tuple[int, float]:
    """Download through all tunnels for a time.

    Returns:
        The bytes that came, and the seconds that it lasted.

    Raises:
        BadLoad: a tunnel broke, or nothing came for ten seconds.
    """
    buffer = bytearray(READ_BYTES)
    received = 0
    with selectors.DefaultSelector() as selector:
        for download in downloads:
            selector.register(download.connection, selectors.EVENT_READ, download)
        began = time.monotonic()
        now = began
        while now - began < seconds:
            ready = selector.select(timeout=10)
            if not ready:
                raise BadLoad("nothing came through the tunnels for ten seconds")
            for key, _ in ready:
                received += key.data.read(buffer)
            now = time.monotonic()
    return received, now - began
