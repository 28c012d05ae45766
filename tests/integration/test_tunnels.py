"""What is logged of tunnels."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.scripted import ScriptedOrigin, read_all
from tests.waiting import eventually


def half_closing(connection, head):
    connection.sendall(b"hello")
    connection.shutdown(socket.SHUT_WR)


def test_a_tunnel_that_the_server_ends_first_is_logged_with_its_bytes(start):
    with ScriptedOrigin(half_closing) as origin:
        proxy = start("forward", "--allow-private", "--connect-ports", str(origin.port),
                      "--log-format", "json")  # fmt: skip
        authority = f"127.0.0.1:{origin.port}"
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
            client.sendall(b"anybody?\r\n\r\n")
            assert read_all(client).endswith(b"\r\n\r\nhello")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
        proxy.stop()

    (entry,) = map(json.loads, proxy.log_lines())
    assert entry["tunnel"] is True
    assert (entry["received_bytes"], entry["sent_bytes"]) == (12, 5)
    assert entry["detail"] == ""


def tunnel_to(proxy, origin, more=b""):
    authority = f"127.0.0.1:{origin.port}"
    client = socket.create_connection(proxy.address, timeout=5)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode() + more)
    return client


def test_what_is_sent_ahead_of_a_tunnel_however_much_holds_nothing_up(start):
    """It was read before the tunnel was there, and the client not any more until then."""
    with ScriptedOrigin(lambda connection, head: None) as origin:
        proxy = start("forward", "--allow-private", "--connect-ports", str(origin.port))
        ahead = b"a" * 300_000
        with tunnel_to(proxy, origin, ahead) as client:
            client.sendall(b"last\r\n\r\n")
            eventually(lambda: origin.received and origin.received[0].endswith(b"last\r\n\r\n"))
        assert len(origin.received[0]) == len(ahead) + 8


def is_open(proxy, client):
    """Say whether the proxy still has its end of a client's connection (see proc(5))."""
    ends = [f":{port:04X}" for port in (proxy.port, client.getsockname()[1])]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, near, far, *_, inode = line.split()[:10]
        if near.endswith(ends[0]) and far.endswith(ends[1]):
            return inode != "0"
    return False


@pytest.fixture(params=["", 'use = "bandwidth"\nrate = "1GiB/s"'])
def ended(request, configured):
    """Give a proxy, and a client that read nothing of a tunnel until that was idle for too long."""
    with ScriptedOrigin(lambda connection, head: connection.sendall(b"x" * 20_000_000)) as origin:
        filters = f"[[forward.a.filters]]\n{request.param}" if request.param else ""
        proxy = configured(
            lambda port: (
                f"""
[limits]
tunnel_timeout = "1s"
[forward.a]
listen = "127.0.0.1:{port}"
allow_private = true
connect_ports = [{origin.port}]
{filters}
"""
            )
        )
        with tunnel_to(proxy, origin, b"go\r\n\r\n") as client:
            eventually(lambda: origin.closed)
            yield proxy, client


def test_who_reads_nothing_of_a_tunnel_that_has_ended_does_not_keep_it(ended):
    proxy, client = ended

    assert is_open(proxy, client)
    eventually(lambda: not is_open(proxy, client))
