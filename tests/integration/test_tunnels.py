"""What is logged of tunnels."""

from __future__ import annotations

import json
import socket

from tests.scripted import ScriptedOrigin, read_all


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
