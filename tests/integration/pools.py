"""A reverse proxy with one pool, as tests of pools want it; and servers that misbehave."""

from __future__ import annotations

import json
import socket
import struct
from contextlib import contextmanager, suppress
from pathlib import Path

from demo.proxies import Proxy, free_port
from tests.scripted import exchange

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def configuration(port: int, servers, pool: str = "", sections: str = "") -> str:
    listed = "" if servers is None else f"servers = {json.dumps(list(servers))}\n"
    return (
        '[log]\naccess = "access.log"\nformat = "json"\n'
        f"[pool.app]\n{listed}{pool}\n{sections}\n"
        f'[reverse.site]\nlisten = "127.0.0.1:{port}"\n[[reverse.site.routes]]\npool = "app"\n'
    )


@contextmanager
def serving(directory: Path, servers, pool: str = "", sections: str = ""):
    """Run a proxy whose pool has these servers (their URLs, or origins)."""
    urls = None if servers is None else [getattr(each, "url", each) for each in servers]
    port = free_port()
    with Proxy.serving(directory, configuration(port, urls, pool, sections), port) as proxy:
        yield proxy


def ask(proxy: Proxy, method: bytes = b"GET", path: bytes = b"/", fields: bytes = b"", content=b""):
    if content:
        fields += b"Content-Length: %d\r\n" % len(content)
    head = b"%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n" % (method, path, fields)
    return exchange(proxy.address, head + content)


def status(response: bytes) -> int:
    return int(response.split(b" ")[1]) if response else 0


def body(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]


def records(proxy: Proxy, directory: Path) -> list[dict]:
    """Stop the proxy and give what it logged."""
    proxy.stop()
    return [json.loads(line) for line in (directory / "access.log").read_text().splitlines()]


def refused() -> str:
    """Give the URL of a port where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


def closing(connection, head):
    """Close without an answer."""
    connection.shutdown(socket.SHUT_RDWR)


def resetting(connection, head):
    """Reset without an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def hanging(connection, head):
    """Say nothing."""


def wait_for_the_end(connection):
    """Wait until the other side closes or resets; a time-out is raised."""
    with suppress(ConnectionResetError):
        assert connection.recv(1) == b""
