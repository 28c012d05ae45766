"""Shadow copies: the same request, and nothing that happens to them comes back."""

from __future__ import annotations

import socket
import time

import pytest

from demo.proxies import Proxy, free_port
from tests.scripted import ScriptedOrigin, exchange, read_until, reply
from tests.waiting import eventually

FINE = reply(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\noriginal")
SHADOW = reply(b"HTTP/1.1 500 Oops\r\nContent-Length: 6\r\nX-Shadow: 1\r\n\r\nshadow")


def ask(target=b"/app/x?y=1", content=b"", extra=b""):
    if content:
        extra += b"Content-Length: %d\r\n" % len(content)
    head = b"%s %s HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n%s\r\n"
    return head % (b"POST" if content else b"GET", target, extra) + content


def serve(directory, origin, shadow_url, options="", pool=""):
    port = free_port()
    configuration = f"""
[pool.app]
servers = ["{origin.url}"]
[pool.shadow]
servers = ["{shadow_url}"]
{pool}
[reverse.a]
listen = ["127.0.0.1:{port}"]
[[reverse.a.filters]]
use = "mirror"
pool = "shadow"
{options}
[[reverse.a.routes]]
path = "/app"
strip_prefix = "/app"
pool = "app"
[[reverse.a.routes.filters]]
use = "headers"
request = {{ set = {{ X-Set = "by a filter" }}, remove = ["X-Removed"] }}
[[reverse.a.routes]]
respond = {{ body = "own" }}
"""
    return Proxy.serving(directory, configuration, port)


def received(origin):
    return b"".join(map(bytes, origin.received))


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(FINE) as running:
        yield running


@pytest.fixture(scope="module")
def shadow():
    with ScriptedOrigin(SHADOW) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, origin, shadow):
    with serve(tmp_path_factory.mktemp("mirror"), origin, shadow.url) as running:
        yield running


def lines_of(data):
    """Give what was received as a set of lines, which come in no fixed order."""
    return sorted(data.split(b"\r\n"))


def test_the_copy_is_what_the_server_was_sent_and_its_answer_is_thrown_away(proxy, origin, shadow):
    answer = exchange(proxy.address, ask(extra=b"X-Removed: 1\r\nCookie: a=b\r\n"))
    eventually(lambda: received(shadow).endswith(b"\r\n\r\n"))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"hadow" not in answer
    assert lines_of(received(shadow)) == lines_of(received(origin))
    assert received(shadow).startswith(b"GET /x?y=1 HTTP/1.1\r\n")
    assert b"X-Set: by a filter\r\n" in received(shadow)
    assert b"X-Removed" not in received(shadow)


@pytest.mark.parametrize("chunked", [False, True])
def test_content_is_copied_too(proxy, origin, shadow, chunked):
    content = b"%08d" % chunked * 10_000
    if chunked:
        data = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
        request = ask(extra=b"Transfer-Encoding: chunked\r\n").replace(b"GET", b"POST") + data
    else:
        request = ask(content=content)

    assert exchange(proxy.address, request).endswith(b"original")
    eventually(lambda: received(shadow).count(b"%08d" % chunked) >= 10_000)
    assert received(shadow).count(b"%08d" % chunked) == received(origin).count(b"%08d" % chunked)


def test_what_the_proxy_answers_itself_and_what_becomes_a_tunnel_is_not_copied(proxy, shadow):
    before = len(received(shadow))
    assert exchange(proxy.address, ask(b"/own")).endswith(b"own")
    upgrade = ask(extra=b"Upgrade: websocket\r\n").replace(b": close", b": Upgrade")
    with socket.create_connection(proxy.address, timeout=5) as client:
        client.sendall(upgrade)
        assert read_until(client, b"original").endswith(b"original")
    # A copy of this comes behind what would have been copies of those.
    exchange(proxy.address, ask(b"/app/last"))
    eventually(lambda: b"/last" in received(shadow))

    assert received(shadow)[before:].count(b" HTTP/1.1\r\n") == 1


def test_a_shadow_that_is_down_breaks_nothing_and_is_logged_once(tmp_path, origin):
    with serve(tmp_path, origin, f"http://127.0.0.1:{free_port()}") as proxy:
        for _ in range(5):
            assert exchange(proxy.address, ask()).endswith(b"original")
            assert exchange(proxy.address, ask(content=b"x" * 1000)).endswith(b"original")
        eventually(lambda: "copies" in proxy.output.read_text())

    log = proxy.output.read_text()
    assert log.count("mirror.shadow: ") == 1
    assert "Traceback" not in log


def test_a_shadow_that_says_nothing_slows_nothing_and_its_copies_are_bounded(tmp_path, origin):
    options = 'max_exchanges = 2\ntimeout = "200ms"'
    with (
        ScriptedOrigin(lambda connection, head: None) as silent,
        serve(tmp_path, origin, silent.url, options) as proxy,
    ):
        started = time.monotonic()
        for _ in range(10):
            assert exchange(proxy.address, ask()).endswith(b"original")
        # Far from the ten time-outs that waiting for copies would take.
        assert time.monotonic() - started < 1.5
        eventually(lambda: "too many copies are under way" in proxy.output.read_text())
        # Those that were given up make room for others.
        before = received(silent).count(b"HTTP/1.1")
        eventually(
            lambda: exchange(proxy.address, ask()) and received(silent).count(b"HTTP/1.1") > before
        )


def test_a_shadow_that_does_not_read_holds_back_nothing_and_its_copy_is_given_up(tmp_path):
    """The original has content of 20 MB, of which the shadow takes what its socket takes."""

    def answer_at_the_end(connection, head):
        while not connection.recv(1_000_000).endswith(b"the end"):
            pass
        FINE(connection, head)

    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        ScriptedOrigin(answer_at_the_end) as origin,
        serve(tmp_path, origin, f"http://127.0.0.1:{silent.getsockname()[1]}") as proxy,
    ):
        with socket.create_connection(proxy.address, timeout=10) as client:
            client.sendall(ask(content=b"y" * 20_000_000 + b"the end"))
            data = read_until(client, b"original")
        assert data.startswith(b"HTTP/1.1 200 ")
        eventually(lambda: "takes the content too slowly" in proxy.output.read_text())


def test_a_share_of_requests_is_copied(tmp_path, origin):
    with (
        ScriptedOrigin(SHADOW) as shadow,
        serve(tmp_path, origin, shadow.url, "share = 0.5") as proxy,
        socket.create_connection(proxy.address, timeout=5) as client,
    ):
        request = ask().replace(b"Connection: close\r\n", b"")
        for _ in range(200):
            client.sendall(request)
            read_until(client, b"original")
        # A binomial of 200 with p = 1/2 leaves 50 to 150 about once in 10^12 runs.
        eventually(lambda: received(shadow).count(b"GET /x") >= 50)
        assert received(shadow).count(b"GET /x") <= 150
