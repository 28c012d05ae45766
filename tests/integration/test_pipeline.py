"""Filters of every kind, at once and awaited, in a running proxy; and other ways to servers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.proxies import Proxy, free_port
from tests.scripted import ScriptedOrigin, exchange, reply

PROBE = Path(__file__).with_name("probe")
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def ask(path, extra=b"", content=b""):
    head = b"%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n%s"
    return head % (b"POST" if content else b"GET", path, extra, content)


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


def serve(directory, origin, options, patch):
    patch.setenv("PYTHONPATH", str(PROBE))
    port = free_port()
    configuration = (
        f'[pool.a]\nservers = ["{origin.url}"]\n'
        f'[reverse.a]\nlisten = ["127.0.0.1:{port}"]\n'
        f'[[reverse.a.filters]]\nuse = "probe"\n{options}\n'
        '[[reverse.a.routes]]\npool = "a"\n'
    )
    return Proxy.serving(directory, configuration, port)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, origin):
    directory = tmp_path_factory.mktemp("probe")
    with pytest.MonkeyPatch.context() as patch:
        options = f'observe = "{directory / "observed"}"'
        with serve(directory, origin, options, patch) as running:
            running.observed = directory / "observed"
            yield running


@pytest.mark.parametrize(
    ("path", "status", "end"),
    [
        (b"/plain", b"200", b"ok"),
        (b"/answer", b"418", b"teapot"),
        (b"/answer-later", b"418", b"late teapot"),
        (b"/deny-later", b"403", b""),
        (b"/fail", b"500", b""),
        (b"/wait", b"200", b"ok"),
        (b"/replace", b"200", b"replaced"),
        (b"/wait-response", b"200", b"ok"),
        (b"/fail-response", b"500", b""),
    ],
)
def test_a_filter_may_answer_wait_refuse_or_fail(proxy, path, status, end):
    answer = exchange(proxy.address, ask(path))

    assert answer.split(b" ")[1] == status
    assert answer.endswith(end)
    assert (b"X-Waited: yes\r\n" in answer) is (path == b"/wait-response")


@pytest.mark.parametrize("path", [b"/capitals", b"/wait/capitals"])
def test_a_transform_on_a_requests_content_sends_it_in_chunks(proxy, origin, path):
    exchange(proxy.address, ask(path, b"Content-Length: 5\r\n", b"hello"))

    seen = bytes(origin.received[-1])
    assert b"Transfer-Encoding: chunked\r\n" in seen
    assert b"Content-Length" not in seen
    assert seen.endswith(b"\r\n\r\n5\r\nHELLO\r\n1\r\n!\r\n0\r\n\r\n")


def test_an_observer_is_told_of_every_exchange_failed_ones_too(proxy):
    exchange(proxy.address, ask(b"/fail?seen"))
    exchange(proxy.address, b"GET /bad HTTP/1.1\r\n\r\n")

    observed = proxy.observed.read_text()
    assert "/fail?seen 500 proxy_internal_error\n" in observed
    assert "/ 400 http_request_error\n" in observed


def test_a_connection_filter_refuses_before_a_byte_is_read(tmp_path, origin, monkeypatch):
    with serve(tmp_path, origin, "refuse_connections = true", monkeypatch) as proxy:
        assert exchange(proxy.address, ask(b"/")) == b""


def test_max_forwards_is_counted_down_and_answered_at_none(proxy, origin):
    trace = ask(b"/t", b"Max-Forwards: 0\r\nCookie: secret\r\n").replace(b"GET", b"TRACE")
    answer = exchange(proxy.address, trace)
    assert b"TRACE /t HTTP/1.1\r\n" in answer
    assert b"secret" not in answer

    exchange(proxy.address, ask(b"*", b"Max-Forwards: 3\r\n").replace(b"GET", b"OPTIONS"))
    assert b"Max-Forwards: 2\r\n" in bytes(origin.received[-1])


def test_what_a_server_is_told_of_the_client(proxy, origin):
    """Forwarding fields of a client that is not trusted are dropped, not added to."""
    exchange(
        proxy.address, ask(b"/told", b"X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n")
    )

    seen = bytes(origin.received[-1])
    assert b"1.2.3.4" not in seen
    assert b"X-Forwarded-For: 127.0.0.1\r\n" in seen
    assert b"X-Forwarded-Proto: http\r\n" in seen
    assert b"X-Forwarded-Host: a\r\n" in seen
    assert b'Forwarded: for=127.0.0.1;host="a";proto=http\r\n' in seen
    assert b"Host: a\r\n" in seen


def test_a_server_behind_a_unix_socket(start, tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()

        def serve_one():
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(FINE)

        threading.Thread(target=serve_one, daemon=True).start()
        proxy = start("reverse", "--backend", f"unix:{path}")

        assert exchange(proxy.address, ask(b"/")).endswith(b"ok")


RESOURCE = """
import sys
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site
from proxykit.reverse import ReverseProxyResource
root = Resource()
root.putChild(b"app", ReverseProxyResource(reactor, [sys.argv[1]], b"/base"))
port = reactor.listenTCP(0, Site(root), interface="127.0.0.1")
reactor.callWhenRunning(lambda: print(port.getHost().port, flush=True))
reactor.run()
"""


@contextmanager
def resource(origin):
    """Run a site of ``twisted.web`` with a resource in it; give its address."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", RESOURCE, origin.url], stdout=subprocess.PIPE, env=environment
    )
    try:
        yield "127.0.0.1", int(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_a_pool_is_a_resource_of_twisted_web(origin):
    with resource(origin) as address:
        answer = exchange(address, ask(b"/app/x?y=1", b"Content-Length: 4\r\n", b"sent"))
        missing = exchange(address, ask(b"/other"))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"ok")
    assert missing.startswith(b"HTTP/1.1 404 ")
    seen = bytes(origin.received[-1])
    assert seen.startswith(b"POST /base/x?y=1 HTTP/1.1\r\n")
    assert seen.endswith(b"\r\n\r\nsent")


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (b"GET /app/x HTTP/1.1", b"Host: a b\r\n"),
        (b"GET /app/x HTTP/1.1", b"Host: a\r\nHost: b\r\n"),
        (b"GET /app/x HTTP/1.1", b""),
        (b"GET /app/x HTTP/1.1", b"Host: a\r\nX: a\x0bb\r\n"),
        (b"CONNECT /app/x HTTP/1.1", b"Host: a\r\n"),
    ],
)
def test_a_resource_refuses_what_twisted_web_lets_through(line, fields):
    """A Host that nobody had judged raised where a connection had been taken already."""
    with ScriptedOrigin(reply(FINE)) as behind, resource(behind) as address:
        answer = exchange(address, line + b"\r\n" + fields + b"Connection: close\r\n\r\n")
        after = exchange(address, ask(b"/app/x"))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert after.endswith(b"ok")
    assert len(behind.heads()) == 1
