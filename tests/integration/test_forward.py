"""A forward proxy: safe by default, and its tunnels."""

from __future__ import annotations

import socket

import pytest

from tests.scripted import ScriptedOrigin, exchange, read_all, read_until, reply

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


@pytest.fixture(scope="module")
def strict(start):
    return start("forward")


@pytest.fixture(scope="module")
def proxy(start, origin):
    return start("forward", "--allow-private", "--connect-ports", str(origin.port))


def ask(target, host, method=b"GET"):
    line = b"%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
    return line % (method, target, host)


@pytest.mark.parametrize(
    "host", [b"127.0.0.1", b"localhost", b"[::1]", b"[::ffff:127.0.0.1]", b"10.0.0.1", b"0.0.0.0",
             b"169.254.169.254", b"192.168.1.1"]
)  # fmt: skip
def test_private_destinations_are_refused_by_default(strict, host):
    answer = exchange(strict.address, ask(b"http://%s/" % host, host))

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"destination_ip_prohibited" in answer


def test_a_tunnel_to_another_port_than_443_is_refused_by_default(strict):
    answer = exchange(strict.address, ask(b"a.example:25", b"a.example:25", b"CONNECT"))

    assert answer.startswith(b"HTTP/1.1 403 ")


def test_a_path_alone_is_a_400_that_explains_how_to_use_a_proxy(strict):
    answer = exchange(strict.address, ask(b"/", b"a.example"))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"--proxy" in answer


def test_https_in_absolute_form_is_refused(strict):
    answer = exchange(strict.address, ask(b"https://a.example/", b"a.example"))

    assert answer.startswith(b"HTTP/1.1 400 ")


def test_an_unknown_name_is_a_502(strict):
    answer = exchange(strict.address, ask(b"http://nowhere.invalid/", b"nowhere.invalid"))

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"dns_error" in answer


@pytest.mark.parametrize("name", [b"a" * 64 + b".example", b"a..example"])
def test_what_can_be_no_name_is_answered_too(strict, name):
    for _ in range(2):
        answer = exchange(strict.address, ask(b"http://%s/" % name, name))

        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"dns_error" in answer
    assert "Traceback" not in strict.output.read_text()


def test_clients_that_are_not_allowed_get_a_403(start, origin):
    proxy = start("forward", "--allow", "10.0.0.0/8", "--allow-private")

    answer = exchange(proxy.address, ask(origin.url.encode() + b"/", origin.url[7:].encode()))

    assert answer.startswith(b"HTTP/1.1 403 ")


def test_a_request_is_asked_for_in_origin_form_with_via(proxy, origin):
    authority = origin.url[7:].encode()

    answer = exchange(proxy.address, ask(b"http://%s/p?q" % authority, authority))

    assert answer.endswith(b"ok")
    seen = bytes(origin.received[-1])
    assert seen.startswith(b"GET /p?q HTTP/1.1\r\n")
    assert b"Via: 1.1 proxykit-" in seen
    assert b"X-Forwarded-For: 127.0.0.1\r\n" in seen


@pytest.mark.parametrize("fields", [b"", b"User-Agent: old\r\n"])
def test_of_requests_without_host_each_is_sent_with_its_own(start, fields):
    with ScriptedOrigin(reply(FINE)) as one, ScriptedOrigin(reply(FINE)) as other:
        proxy = start("forward", "--allow-private")
        for each in (one, other) * 3:
            exchange(proxy.address, b"GET %s/ HTTP/1.0\r\n%s\r\n" % (each.url.encode(), fields))

        for each in (one, other):
            seen = b"".join(bytes(received) for received in each.received)
            assert seen.count(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % each.port) == 3


def test_a_request_for_the_proxy_itself_is_a_loop(start):
    proxy = start("forward", "--allow-private")
    itself = proxy.url.encode()

    answer = exchange(proxy.address, ask(itself + b"/", itself[7:]))

    assert answer.startswith(b"HTTP/1.1 508 ")


def test_a_tunnel_keeps_half_closes_both_ways(start):
    def echo_at_end(connection, head):
        connection.sendall(b"go")
        read = read_all(connection)
        connection.sendall(b"<" + read + b">")
        connection.shutdown(socket.SHUT_WR)

    with ScriptedOrigin(echo_at_end) as origin:
        proxy = start("forward", "--allow-private", "--connect-ports", str(origin.port))
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n"
                           % (origin.port, origin.port))  # fmt: skip
            assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
            client.sendall(b"begin\r\n\r\n")
            assert read_until(client, b"go") == b"go"
            client.sendall(b"rest")
            client.shutdown(socket.SHUT_WR)

            assert read_all(client) == b"<rest>"
