"""The samples of etc/ for services that fail and for streams, each by running it."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from websockets.sync.client import connect

from demo.proxies import Proxy, free_port
from tests.scripted import ScriptedOrigin, exchange, read_until

ETC = Path(__file__).parents[2] / "etc"
ASK = b"GET %s HTTP/1.1\r\nHost: a.example\r\n%sConnection: close\r\n\r\n"


@pytest.fixture
def serve(tmp_path):
    """Start a sample with free ports in the place of its own."""
    running = []

    def start(name, *urls):
        port = free_port()
        text = (ETC / name).read_text().replace("127.0.0.1:8080", f"127.0.0.1:{port}")
        for number, url in enumerate(urls, 1):
            text = text.replace(f"http://127.0.0.1:900{number}", url)
        file = tmp_path / name
        file.write_text(text)
        proxy = Proxy(tmp_path, "serve", "--config", str(file), port=port)
        running.append(proxy.begin().wait_until_it_listens())
        return proxy

    yield start
    for proxy in running:
        proxy.stop()


def saying(text):
    def script(connection, head):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
        connection.sendall(answer % (len(text), text))

    return script


def test_services_that_fail_are_not_asked_and_callers_do_not_notice(serve):
    with ScriptedOrigin(saying(b"gone")) as gone:
        pass  # nobody listens there any more
    with ScriptedOrigin(saying(b"user")) as users, ScriptedOrigin(saying(b"order")) as orders:
        proxy = serve("microservices.toml", gone.url, users.url, orders.url)

        for _ in range(6):
            assert exchange(proxy.address, ASK % (b"/users/7", b"")).endswith(b"user")
        order = exchange(proxy.address, ASK % (b"/orders/7", b"X-Deadline-Ms: 900\r\n"))
        nothing = exchange(proxy.address, ASK % (b"/", b""))

        assert order.endswith(b"order")
        assert b"GET /7 HTTP/1.1\r\n" in bytes(b"".join(map(bytes, users.received)))
        told = b"".join(map(bytes, orders.received)).partition(b"X-Deadline-Ms: ")[2]
        assert 0 < int(told.partition(b"\r\n")[0]) <= 900
        assert nothing.startswith(b"HTTP/1.1 404 ")
        assert nothing.endswith(b'{"error": "no such service"}')


def test_a_caller_that_asks_too_much_is_told_so(serve):
    with ScriptedOrigin(saying(b"user")) as users:
        proxy = serve("microservices.toml", users.url, f"http://localhost:{users.port}", users.url)
        ask = ASK.replace(b"Connection: close\r\n", b"") % (b"/", b"")
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(ask * 700)
            data = b""
            while b" 429 " not in data:
                piece = client.recv(65536)
                assert piece, "the connection ended before the limit was reached"
                data = data[-16:] + piece


def test_events_arrive_one_by_one_and_stay_plain(serve):
    go_on = threading.Semaphore(0)

    def events(connection, head):
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(3):
            event = b"data: %d\n\n" % number
            connection.sendall(b"%x\r\n%b\r\n" % (len(event), event))
            go_on.acquire(timeout=5)

    with ScriptedOrigin(events) as live, ScriptedOrigin(saying(b"page" * 1000)) as app:
        proxy = serve("streaming.toml", live.url, app.url)
        accept = b"Accept-Encoding: gzip\r\n"
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(ASK % (b"/events", accept))
            for number in range(3):
                end = b"data: %d\n\n\r\n" % number
                began = time.monotonic()
                assert read_until(client, end).endswith(end)
                assert time.monotonic() - began < 3
                go_on.release()
        page = exchange(proxy.address, ASK % (b"/", accept))

    assert b"page" in page


def test_a_websocket_conversation_goes_through(serve, origins):
    proxy = serve("streaming.toml", origins.url, origins.url)

    with connect(f"ws://127.0.0.1:{proxy.port}/conversation") as conversation:
        conversation.send("hello")
        assert conversation.recv(timeout=5)
