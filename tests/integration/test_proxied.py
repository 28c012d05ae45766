"""The PROXY protocol over real sockets: believed of trusted proxies, told to servers and parents."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time

import pytest

from demo.proxies import Proxy, free_port
from proxykit.net.proxy_protocol import HeaderReader, ProxyHeader, encode
from tests.scripted import ScriptedOrigin, ThreadedServer, exchange, read_all, read_until, reply

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
V1 = b"PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\n"


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


@pytest.fixture
def serve(tmp_path):
    with contextlib.ExitStack() as stack:

        def serve(text, port):
            configuration = (
                '[log]\naccess = "access.log"\nformat = "{client_address} {target} {status}"\n'
                + text
            )
            proxy = Proxy.serving(tmp_path, configuration, port)
            proxy.access_log = tmp_path / "access.log"
            return stack.enter_context(proxy)

        yield serve


# --- receiving --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def behind(start, origin):
    """A reverse proxy behind a trusted one."""
    return start(
        "reverse", "--backend", origin.url, "--trust-proxy", "127.0.0.1", "--proxy-protocol"
    )


@pytest.mark.parametrize("size", [3, 1000])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_trusted_proxys_header_says_who_the_client_is(behind, origin, version, size):
    header = ProxyHeader(("192.0.2.1", 5000), ("198.51.100.2", 443))
    data = encode(header, version) + GET + CLOSE
    told = b"X-Forwarded-For: 192.0.2.1\r\n"
    before = sum(bytes(each).count(told) for each in origin.received)
    with socket.create_connection(behind.address, timeout=5) as client:
        for start in range(0, len(data), size):
            client.sendall(data[start : start + size])
        assert read_all(client).count(b"\r\n\r\nok") == 2

    assert sum(bytes(each).count(told) for each in origin.received) == before + 2


def test_a_proxy_that_speaks_for_itself_is_its_own_client(behind, origin):
    exchange(behind.address, b"PROXY UNKNOWN\r\n" + CLOSE)

    assert b"X-Forwarded-For: 127.0.0.1\r\n" in bytes(origin.received[-1])


@pytest.mark.parametrize("data", [CLOSE, b"PROXY TCP4 1.2.3.4\r\n" + CLOSE, b"\x16\x03\x01\x00"])
def test_a_connection_without_a_header_is_closed(behind, data):
    assert exchange(behind.address, data) == b""


def test_nobody_else_is_believed(start, origin):
    proxy = start("reverse", "--backend", origin.url, "--trust-proxy", "10.0.0.0/8",
                  "--proxy-protocol")  # fmt: skip

    assert exchange(proxy.address, V1 + CLOSE) == b""


def test_a_header_is_no_header_where_none_is_expected(start, origin):
    proxy = start("reverse", "--backend", origin.url, "--trust-proxy", "127.0.0.1")

    assert exchange(proxy.address, V1 + CLOSE).startswith(b"HTTP/1.1 400 ")


def test_headers_stand_before_tls_and_before_socks(serve, origin, certificate):
    tls_port, socks_port = free_port(), free_port()
    proxy = serve(
        f'[pool.a]\nservers = ["{origin.url}"]\n'
        '[reverse.a]\ntrust_proxy = "127.0.0.1"\nproxy_protocol = true\n'
        f'tls = {{ listen = "127.0.0.1:{tls_port}", certificates = [{{ certificate = '
        f'"{certificate.certificate}", key = "{certificate.key}" }}] }}\n'
        '[[reverse.a.routes]]\npool = "a"\n'
        '[forward.a]\ntrust_proxy = "127.0.0.1"\nproxy_protocol = true\nallow_private = true\n'
        f'socks = "127.0.0.1:{socks_port}"\n',
        port=tls_port,
    )
    with socket.create_connection(("127.0.0.1", tls_port), timeout=5) as client:
        client.sendall(V1)
        context = ssl.create_default_context(cafile=str(certificate.authority))
        with context.wrap_socket(client, server_hostname="localhost") as tls:
            tls.sendall(CLOSE)
            assert read_until(tls, b"ok").endswith(b"ok")
    with socket.create_connection(("127.0.0.1", socks_port), timeout=5) as client:
        client.sendall(V1 + b"\x04\x01" + origin.port.to_bytes(2, "big") + b"\x7f\0\0\1\0")
        assert client.recv(8)[:2] == b"\0\x5a"
        client.sendall(GET)
        read_until(client, b"ok")
    proxy.stop()

    assert proxy.log_lines() == [
        "192.0.2.1 / 200",
        f"192.0.2.1 127.0.0.1:{origin.port} 200",
    ]


def test_a_reload_can_turn_headers_on_for_a_socket_that_stays(serve, origin):
    port = free_port()
    text = (
        f'[pool.a]\nservers = ["{origin.url}"]\n[[reverse.a.routes]]\npool = "a"\n'
        f'[reverse.a]\nlisten = "127.0.0.1:{port}"\ntrust_proxy = "127.0.0.1"\n'
    )
    proxy = serve(text, port=port)
    assert exchange(proxy.address, CLOSE).endswith(b"ok")

    proxy.file.write_text(text + "proxy_protocol = true\n")
    proxy.process.send_signal(1)
    deadline = time.monotonic() + 10
    answer = b""
    while not answer.endswith(b"ok"):
        assert time.monotonic() < deadline, proxy.output.read_text()
        with contextlib.suppress(OSError):
            answer = exchange(proxy.address, V1 + CLOSE)
    assert exchange(proxy.address, CLOSE) == b""


# --- sending ----------------------------------------------------------------------------------


class ToldOrigin(ThreadedServer):
    """Answers requests on connections that begin with a header; remembers the headers.

    :ivar told: the header of each connection and how many requests came on it.
    """

    def __init__(self, certificate=None):
        super().__init__()
        self.told = []
        self._context = certificate.server_context() if certificate else None

    def serve(self, connection):
        reader = HeaderReader()
        while (header := reader.feed(connection.recv(1))) is None:
            pass
        entry = [header, 0]
        self.told.append(entry)
        if self._context is None:
            self._answer(connection, entry)
        else:
            with self._context.wrap_socket(connection, server_side=True) as tls:
                self._answer(tls, entry)

    def _answer(self, connection, entry):
        while read_until(connection, b"\r\n\r\n"):
            entry[1] += 1
            connection.sendall(FINE)


@pytest.mark.parametrize(("version", "tls"), [("v1", False), ("v2", False), ("v2", True)])
def test_a_server_is_told_the_client_of_each_connection(serve, certificate, version, tls):
    with ToldOrigin(certificate if tls else None) as server:
        port = free_port()
        scheme = "https" if tls else "http"
        proxy = serve(
            f'[pool.a]\nservers = ["{scheme}://127.0.0.1:{server.port}"]\n'
            f'send_proxy = "{version}"\ntls = {{ ca = "{certificate.authority}" }}\n'
            f'[[reverse.a.routes]]\npool = "a"\n'
            f'[reverse.a]\nlisten = "127.0.0.1:{port}"\ntrust_proxy = "127.0.0.1"\n',
            port=port,
        )
        with (
            socket.create_connection(proxy.address, timeout=5) as one,
            socket.create_connection(proxy.address, timeout=5) as two,
        ):
            for client in (one, two, one, one):
                client.sendall(GET)
                assert read_until(client, b"ok").endswith(b"ok")
            forwarded = GET[:-2] + b"X-Forwarded-For: 192.0.2.1\r\n\r\n"
            two.sendall(forwarded)
            assert read_until(two, b"ok").endswith(b"ok")
            addresses = [client.getsockname() for client in (one, two)]

    assert server.told == [
        [ProxyHeader(addresses[0], ("127.0.0.1", port)), 3],
        [ProxyHeader(addresses[1], ("127.0.0.1", port)), 1],
        [ProxyHeader(("192.0.2.1", 0), ("127.0.0.1", port)), 1],
    ]


def test_a_full_server_is_given_to_the_next_client_by_a_new_connection(serve):
    with ToldOrigin() as server:
        port = free_port()
        proxy = serve(
            f'[pool.a]\nservers = ["http://127.0.0.1:{server.port}"]\n'
            f'send_proxy = "v1"\nmax_connections = 1\n'
            f'[[reverse.a.routes]]\npool = "a"\n[reverse.a]\nlisten = "127.0.0.1:{port}"\n',
            port=port,
        )
        with contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(socket.create_connection(proxy.address, timeout=5))
                for _ in range(5)
            ]
            for client in clients:
                client.sendall(GET)
            for client in clients:
                assert read_until(client, b"ok").endswith(b"ok")
            addresses = {client.getsockname() for client in clients}
    assert {header.source for header, _ in server.told} == addresses
    assert [requests for _, requests in server.told] == [1] * 5


@pytest.mark.parametrize("tunnel", [False, True])
def test_a_parent_is_told_the_client(serve, start, origin, tunnel):
    parent = start("forward", "--allow-private", "--allow", "192.0.2.0/24", "--trust-proxy",
                   "127.0.0.1", "--proxy-protocol", "--connect-ports", str(origin.port))  # fmt: skip
    port = free_port()
    proxy = serve(
        f'[forward.a]\nlisten = "127.0.0.1:{port}"\nallow_private = true\n'
        f'trust_proxy = "127.0.0.1"\nconnect_ports = [{origin.port}]\n'
        f'parents = [{{ url = "http://127.0.0.1:{parent.port}", send_proxy = "v2" }}]\n',
        port=port,
    )
    name = b"127.0.0.1:%d" % origin.port
    told = b"X-Forwarded-For: 192.0.2.9\r\n"
    with socket.create_connection(proxy.address, timeout=5) as client:
        if tunnel:
            client.sendall(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (name, name, told))
            assert b" 200 " in read_until(client, b"\r\n\r\n")
            client.sendall(GET)
        else:
            client.sendall(b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (name, name, told))
        assert read_until(client, b"ok").endswith(b"ok")
    parent.stop()

    assert parent.log_lines()[-1].startswith("192.0.2.9 ")
