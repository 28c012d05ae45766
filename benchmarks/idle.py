"""The load of the idle case: thousands of clients that asked once and keep their connection."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse

from benchmarks.load import BadLoad

CLIENTS_PER_ADDRESS = 200
"""Below what a proxy that limits the connections of one client address allows it."""

AT_A_TIME = 20
"""How many clients wait for their answer together; the rest have theirs."""

OPENING_SECONDS = 60.0
"""Programs close idle connections, Proxykit after a minute, so the first may not wait longer."""


def source_address(number: int) -> str:
    """Return the loopback address from which client `number` connects."""
    block = number // CLIENTS_PER_ADDRESS
    return f"127.0.{1 + block // 250}.{1 + block % 250}"


@contextmanager
def idle_clients(port: int, path: str, body: bytes, count: int) -> Iterator[list[socket.socket]]:
    """Connect clients, a few at a time, each with one exchange behind it; close them in the end.

    Args:
        port: the proxy's.
        path: what each asks for.
        body: what each must get.
        count: how many clients.

    Raises:
        BadLoad: one was refused or got another answer, or it all took longer than a minute.
    """
    clients: list[socket.socket] = []
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    deadline = time.monotonic() + OPENING_SECONDS
    try:
        while len(clients) < count:
            numbers = range(len(clients), min(len(clients) + AT_A_TIME, count))
            try:
                for number in numbers:
                    clients.append(connect(port, number))
                    clients[-1].sendall(request)
                for number in numbers:
                    read_answer(clients[number], body)
            except (OSError, HTTPException) as error:
                raise BadLoad(f"{len(clients)} of {count} clients, then {error!r}") from None
            if time.monotonic() > deadline:
                raise BadLoad(f"only {len(clients)} clients within {OPENING_SECONDS:.0f} s")
        yield clients
    finally:
        for client in clients:
            client.close()


def connect(port: int, number: int) -> socket.socket:
    """Return the connection of client `number`."""
    source = (source_address(number), 0)
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=source)


def read_answer(client: socket.socket, body: bytes) -> None:
    """Read an answer to its end.

    Raises:
        HTTPException: it is not the one that is expected.
    """
    response = HTTPResponse(client)
    response.begin()
    if response.status != 200 or response.read() != body:
        raise HTTPException(f"an unexpected answer of status {response.status}")


def count_open(clients: list[socket.socket]) -> int:
    """Return how many of the idle connections the proxy still keeps."""
    poll = select.poll()
    for client in clients:
        poll.register(client, select.POLLIN | select.POLLRDHUP)
    return len(clients) - len(poll.poll(0))
