"""What only sockets show of exchanges: streaming, interim responses, faults in the middle."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.scripted import ScriptedOrigin, exchange, read_all, read_until, reply

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module", params=["proxykit", "epoll", "asyncio"])
def reactor(request):
    return request.param


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(start, origin, reactor):
    return start("reverse", "--backend", origin.url, reactor=reactor)


@pytest.fixture
def script(origin):
    def use(script):
        origin.script = script

    yield use
    origin.script = reply(FINE)


def test_pipelined_requests_are_answered_in_order(proxy, script):
    script(
        lambda connection, head: connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + head.split(b" ")[1]
        )
    )
    first, second, last = (CLOSE.replace(b"/ ", path + b" ") for path in (b"/1", b"/2", b"/3"))
    first, second = (each.replace(b"Connection: close\r\n", b"") for each in (first, second))

    answer = exchange(proxy.address, first + second + last)

    assert [part[:2] for part in answer.split(b"\r\n\r\n")[1:]] == [b"/1", b"/2", b"/3"]


def test_a_chunked_response_goes_to_an_http_1_0_client_until_close(proxy, script):
    script(reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))

    answer = exchange(proxy.address, b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")

    assert b"chunked" not in answer.lower()
    assert answer.endswith(b"\r\n\r\nok")


def test_an_http_1_0_origin_that_closes_gives_a_chunked_response(proxy, script):
    def close(connection, head):
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nold")
        connection.shutdown(socket.SHUT_RDWR)

    script(close)

    answer = exchange(proxy.address, CLOSE)

    assert answer.endswith(b"\r\n\r\n3\r\nold\r\n0\r\n\r\n")


def test_trailers_are_passed_on_but_for_those_that_frame(proxy, script):
    script(
        reply(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n"
        )
    )

    answer = exchange(proxy.address, CLOSE)

    assert answer.endswith(b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_a_response_without_content_ends_with_its_head(proxy, script, status):
    script(reply(b"HTTP/1.1 %s\r\nETag: x\r\n\r\n" % status))

    assert exchange(proxy.address, CLOSE).endswith(b"\r\n\r\n")


def test_head_keeps_the_length_and_sends_nothing(proxy, script):
    script(reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"))

    answer = exchange(proxy.address, CLOSE.replace(b"GET", b"HEAD"))

    assert b"Content-Length: 2\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_100_continue_comes_from_the_origin_and_then_goes_the_content(proxy, script):
    script(
        lambda connection, head: connection.sendall(
            b"HTTP/1.1 100 Continue\r\n\r\n" if b"Expect" in head else FINE
        )
    )
    with socket.create_connection(proxy.address, timeout=5) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
        interim = read_until(client, b"\r\n\r\n")
        client.sendall(b"\r\n\r\n")
        final = read_until(client, b"ok")

    assert interim.startswith(b"HTTP/1.1 100 ")
    assert final.startswith(b"HTTP/1.1 200 ")


def test_a_refused_expectation_is_answered_before_the_content(proxy, script):
    script(reply(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"))
    with socket.create_connection(proxy.address, timeout=5) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
        )
        answer = read_all(client)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close\r\n" in answer


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n", b""],
    ids=["length", "chunks", "until close"],
)
def test_an_origin_that_dies_in_the_middle_truncates_detectably(proxy, script, head):
    """And another client's exchange, begun before, goes on."""
    go_on = threading.Event()
    arrived = threading.Event()

    def die(connection, request):
        if b"/waits" in request:
            go_on.wait(5)
            connection.sendall(FINE)
            return
        content = b"4\r\npart\r\n" if b"chunked" in head else b"part"
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + content)
        arrived.wait(5)  # a reset overtakes what was not read yet
        # A killed process's sockets are reset when something was unread.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    script(die)
    with socket.create_connection(proxy.address, timeout=5) as other:
        other.sendall(GET.replace(b"/ ", b"/waits "))
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(GET)
            answer = read_until(client, b"part" if b"Length" in head else b"part\r\n")
            arrived.set()
            answer += read_all(client)
        go_on.set()
        undisturbed = read_until(other, b"ok")

    assert not answer.endswith(b"0\r\n\r\n")
    assert len(answer.partition(b"\r\n\r\n")[2]) < 100
    assert undisturbed.startswith(b"HTTP/1.1 200 ")


def test_a_stale_pooled_connection_is_retried_for_get_and_not_for_post(proxy, origin, script):
    fine = threading.Event()

    def close_after_first(connection, head):
        if b"/warm" in head or fine.is_set():
            connection.sendall(FINE)
        else:
            fine.set()  # the next connection is served
            connection.shutdown(socket.SHUT_RDWR)

    script(close_after_first)
    exchange(proxy.address, CLOSE.replace(b"/ ", b"/warm "))
    assert b" 200 " in exchange(proxy.address, CLOSE)

    fine.clear()
    exchange(proxy.address, CLOSE.replace(b"/ ", b"/warm "))
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    assert b" 502 " in exchange(proxy.address, post)


def test_a_stalled_client_holds_back_the_origin(proxy, script):
    """The proxy's memory does not grow with what the client does not read."""
    sent = []
    full = threading.Event()

    def flood(connection, head):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n")
        connection.settimeout(1)
        try:
            for _ in range(200):
                connection.sendall(b"x" * 1048576)
                sent.append(1)
        except TimeoutError:
            full.set()

    script(flood)
    before = resident_mebibytes(proxy)
    with socket.create_connection(proxy.address, timeout=5) as client:
        client.sendall(GET)
        client.recv(100)
        assert full.wait(10), "the origin could send everything to a client that reads nothing"
        assert resident_mebibytes(proxy) - before < 20

    assert len(sent) < 100


def resident_mebibytes(proxy):
    with open(f"/proc/{proxy.process.pid}/status", encoding="ascii") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmRSS"].split()[0]) / 1024


def test_an_error_page_is_as_accept_asks(start):
    with ScriptedOrigin(reply(FINE)) as gone:
        pass
    proxy = start("reverse", "--backend", gone.url)
    ask = CLOSE.replace(b"\r\n\r\n", b"\r\nAccept: %s\r\n\r\n")

    html = exchange(proxy.address, ask % b"text/html")
    data = exchange(proxy.address, ask % b"application/json")
    text = exchange(proxy.address, CLOSE)

    assert html.startswith(b"HTTP/1.1 502 ")
    assert b"Content-Type: text/html" in html
    assert b"Content-Type: application/json" in data
    assert b"Content-Type: text/plain" in text
    assert b"Proxy-Status: proxykit-" in text
    assert b"error=connection_refused" in text


def test_a_server_that_never_comes_to_its_response_for_interim_ones_is_a_502(proxy, script):
    """What a client does not read of them would be heaped up in the proxy."""

    def flood(connection, head):
        while True:
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: <%s>\r\n\r\n" % (b"x" * 8000))

    script(flood)
    answer = exchange(proxy.address, CLOSE)

    assert answer.count(b"HTTP/1.1 103 ") <= 100
    assert b"HTTP/1.1 502 " in answer
