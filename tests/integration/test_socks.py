"""The SOCKS listener: real clients, the listener's own rules, hostile clients, datagrams."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from pathlib import Path

import bcrypt
import pytest

from demo.proxies import Proxy, free_port
from proxykit.net.socks.addresses import Datagram, decode_datagram, encode_address, encode_datagram
from tests.scripted import ScriptedOrigin, read_all, reply
from tests.waiting import wait_until_listening

PROBE = Path(__file__).with_name("probe")
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOG = "{protocol} {method} {target} {user} {status} {error} {received_bytes} {sent_bytes}"


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


class Socks:
    """A proxy with a SOCKS listener."""

    def __init__(self, proxy, port):
        self.proxy = proxy
        self.address = ("127.0.0.1", port)
        # The proxy is waited for by its other listener, which it opens first.
        wait_until_listening(proxy.process, port)

    def curl(self, flavour, url, *options):
        at = "{}:{}".format(*self.address)
        command = ["curl", "-sS", "--max-time", "8", f"--{flavour}", at, *options, url]
        done = subprocess.run(command, capture_output=True, check=False)
        return done.stdout, done.stderr.decode()

    def connect(self):
        return socket.create_connection(self.address, timeout=5)

    def ask(self, data, *, rest=b""):
        """Ask without authentication; give the connection and the reply."""
        connection = self.connect()
        connection.sendall(b"\x05\x01\x00" + data + rest)
        assert connection.recv(2) == b"\x05\x00"
        return connection, connection.recv(10)


@pytest.fixture(scope="module")
def run(start):
    def run(*options):
        port = free_port()
        return Socks(start("forward", "--socks", f"127.0.0.1:{port}", *options), port)

    return run


@pytest.fixture(scope="module")
def socks(run):
    return run("--allow-private", "--log-format", LOG)


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Start a SOCKS listener out of a configuration file."""
    monkeypatch.setenv("PYTHONPATH", str(PROBE))
    running = []

    def serve(text, limits=""):
        port, http_port = free_port(), free_port()
        configuration = (
            f'[log]\naccess = "access.log"\nformat = "{LOG}"\n[limits]\n{limits}\n'
            f'[forward.a]\nlisten = "127.0.0.1:{http_port}"\nsocks = "127.0.0.1:{port}"\n{text}\n'
        )
        proxy = Proxy.serving(tmp_path, configuration, http_port)
        proxy.access_log = tmp_path / "access.log"
        running.append(proxy.__enter__())
        return Socks(proxy, port)

    yield serve
    for proxy in running:
        proxy.stop()


def connect_to(host, port):
    return b"\x05\x01\x00" + encode_address(host, port)


# --- real clients -----------------------------------------------------------------------------


@pytest.mark.parametrize("flavour", ["socks4", "socks4a", "socks5", "socks5-hostname"])
def test_curl_is_served_in_every_version(socks, origin, flavour):
    assert socks.curl(flavour, f"http://127.0.0.1:{origin.port}/") == (b"ok", "")


@pytest.mark.parametrize("flavour", ["socks4a", "socks5-hostname"])
def test_a_name_is_resolved_by_the_proxy(socks, origin, flavour):
    assert socks.curl(flavour, f"http://localhost:{origin.port}/") == (b"ok", "")


def test_a_user_and_password_that_nobody_asks_for_are_taken(socks, origin):
    with socks.connect() as client:
        client.sendall(b"\x05\x01\x02")
        assert client.recv(2) == b"\x05\x02"
        client.sendall(b"\x01\x01a\x01b")
        assert client.recv(2) == b"\x01\x00"


def test_the_log_has_a_line_like_any_tunnels(run, origin):
    socks = run("--allow-private", "--log-format", LOG)
    socks.curl("socks5", f"http://127.0.0.1:{origin.port}/")
    socks.curl("socks4", "http://127.0.0.1:1/")
    socks.proxy.stop()

    served, refused = socks.proxy.log_lines()
    begin = f"SOCKS5 CONNECT 127.0.0.1:{origin.port}  200  "
    assert served.startswith(begin)
    assert served.split()[-1] == str(len(FINE))
    assert int(served.split()[-2]) > 50
    assert refused.startswith("SOCKS4 CONNECT 127.0.0.1:1  502 connection_refused ")


def test_bytes_sent_ahead_reach_the_server_and_half_closes_are_kept(socks):
    def echo_at_end(connection, head):
        connection.sendall(b"go")
        connection.sendall(b"<" + read_all(connection) + b">")
        connection.shutdown(socket.SHUT_WR)

    with ScriptedOrigin(echo_at_end) as origin:
        connection, answer = socks.ask(connect_to("127.0.0.1", origin.port), rest=b"a\r\n\r\n")
        with connection:
            assert answer[:2] == b"\x05\x00"
            assert connection.recv(2) == b"go"
            connection.sendall(b"rest")
            connection.shutdown(socket.SHUT_WR)

            assert read_all(connection) == b"<rest>"
        assert bytes(origin.received[0]) == b"a\r\n\r\n"


# --- the listener's rules ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (connect_to("127.0.0.1", 1), 2),
        (connect_to("localhost", 1), 2),
        (connect_to("::1", 1), 2),
        (connect_to("10.0.0.1", 1), 2),
        (connect_to("nowhere.invalid", 80), 4),
        (b"\x05\x02\x00" + encode_address("192.0.2.1", 80), 7),  # BIND
        (b"\x05\x09\x00" + encode_address("192.0.2.1", 80), 7),
        (connect_to("192.0.2.1", 0), 2),
    ],
)
def test_what_is_not_done_is_said_in_socks_words(strict, request_, code):
    connection, answer = strict.ask(request_)
    with connection:
        assert answer == bytes((5, code)) + b"\x00\x01" + b"\0" * 6
        assert connection.recv(1) == b""


@pytest.fixture(scope="module")
def strict(run):
    return run()


def test_a_refused_connection_is_a_5(socks):
    connection, answer = socks.ask(connect_to("127.0.0.1", 1))
    with connection:
        assert answer[1] == 5


def test_filters_and_ports_hold_for_socks_too(serve, origin):
    socks = serve(
        f"allow_private = true\nsocks_ports = [{origin.port}, 2]\n"
        '[[forward.a.filters]]\nuse = "access"\n'
        'rules = [{ action = "deny", domain = "localhost" }]\n'
    )

    assert socks.curl("socks5", f"http://127.0.0.1:{origin.port}/")[0] == b"ok"
    for host, port, code in (("localhost", origin.port, 2), ("127.0.0.1", 1, 2),
                             ("127.0.0.1", 2, 5)):  # fmt: skip
        connection, answer = socks.ask(connect_to(host, port))
        with connection:
            assert answer[1] == code


# --- authentication ---------------------------------------------------------------------------


def test_an_authenticating_filter_judges_socks_users(serve, origin):
    socks = serve('allow_private = true\n[[forward.a.filters]]\nuse = "probe-authentication"\n')
    url = f"http://127.0.0.1:{origin.port}/"

    assert socks.curl("socks5", url, "--proxy-user", "ada:pw") == (b"ok", "")
    for wrong in ("ada:no", "bob:pw"):
        content, error = socks.curl("socks5", url, "--proxy-user", wrong)
        assert content == b""
        assert "rejected" in error
    assert socks.curl("socks5", url)[0] == b""
    assert socks.curl("socks4", url)[0] == b""
    with socks.connect() as client:
        client.sendall(b"\x05\x01\x00")
        assert read_all(client) == b"\x05\xff"

    socks.proxy.stop()
    lines = socks.proxy.log_lines()
    assert lines[0].startswith(f"SOCKS5 CONNECT 127.0.0.1:{origin.port} ada 200 ")
    assert [line.split()[:2] for line in lines[1:3]] == [["SOCKS5", "CONNECT"]] * 2
    assert all(" 407 " in line for line in lines[1:])
    assert len(lines) == 6
    assert "no" not in "".join(lines[1:3])


# --- hostile clients --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x05\x01\x05", b"\x04\x01\x00\x50\x7f\0\0\1" + b"x" * 999]
)
def test_what_is_not_socks_is_closed(socks, data):
    with socks.connect() as client:
        client.sendall(data)
        assert read_all(client) in (b"", b"\x05\xff")


def test_a_client_that_says_nothing_is_closed_in_time(serve):
    socks = serve("", 'head_timeout = "500ms"')
    with socks.connect() as client:
        client.sendall(b"\x05")
        assert read_all(client) == b""


def test_connections_are_limited_as_any_listeners_are(serve):
    socks = serve("", "connections_per_client = 1")
    # The connection by which the proxy was waited for may be counted still.
    deadline = time.monotonic() + 5
    while not is_served(first := socks.connect()):
        first.close()
        assert time.monotonic() < deadline
    with first, socks.connect() as second:
        assert read_all(second) == b""


def is_served(connection):
    connection.sendall(b"\x05\x01\x00")
    try:
        return connection.recv(2) == b"\x05\x00"
    except ConnectionResetError:
        return False


# --- datagrams --------------------------------------------------------------------------------


@pytest.fixture
def echo():
    """A UDP server that says back what it hears."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve():
            while True:
                data, address = server.recvfrom(65536)
                if data == b"end":
                    return
                server.sendto(b"<" + data + b">", address)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.sendto(b"end", server.getsockname())
        thread.join(5)


def associate(socks):
    connection, answer = socks.ask(b"\x05\x03\x00" + encode_address("0.0.0.0", 0))
    assert answer[:4] == b"\x05\x00\x00\x01"
    assert answer[4:8] == b"\x7f\0\0\1"
    relay = ("127.0.0.1", int.from_bytes(answer[8:], "big"))
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(5)
    return connection, client, relay


def is_silent(client):
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(100)
    client.settimeout(5)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_datagrams_are_carried_both_ways(socks, echo, host):
    connection, client, relay = associate(socks)
    with connection, client:
        for data in (b"one", b"two" * 5000):
            client.sendto(encode_datagram(Datagram(host, echo, data)), relay)
            assert decode_datagram(client.recv(65536)) == Datagram(
                "127.0.0.1", echo, b"<" + data + b">"
            )


def test_fragments_and_strangers_datagrams_are_dropped(socks, echo):
    connection, client, relay = associate(socks)
    fine = encode_datagram(Datagram("127.0.0.1", echo, b"x"))
    with connection, client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        client.sendto(b"\0\0\1" + fine[3:], relay)
        client.sendto(b"nonsense", relay)
        client.sendto(fine, relay)
        assert decode_datagram(client.recv(100)).data == b"<x>"
        # Another port is another client, though it has the same address.
        stranger.sendto(fine, relay)
        is_silent(stranger)
        is_silent(client)


def test_datagrams_to_private_destinations_are_dropped_by_default(strict, echo):
    connection, client, relay = associate(strict)
    with connection, client:
        for host in ("127.0.0.1", "localhost"):
            client.sendto(encode_datagram(Datagram(host, echo, b"x")), relay)
        is_silent(client)


def test_a_relay_ends_with_its_connection_and_each_destination_is_logged(serve, echo):
    socks = serve("allow_private = true")
    connection, client, relay = associate(socks)
    with client:
        client.sendto(encode_datagram(Datagram("127.0.0.1", echo, b"one")), relay)
        client.recv(100)
        connection.close()
        for _ in range(100):
            client.sendto(encode_datagram(Datagram("127.0.0.1", echo, b"two")), relay)
            client.settimeout(0.05)
            try:
                client.recv(100)
            except (TimeoutError, ConnectionRefusedError):
                break
        else:
            raise AssertionError("the relay is still there")
    socks.proxy.stop()

    assert f"SOCKS5 UDP 127.0.0.1:{echo}  200  3 5" in socks.proxy.log_lines()[0]


def test_datagrams_can_be_turned_off(serve):
    socks = serve("udp = false")
    connection, answer = socks.ask(b"\x05\x03\x00" + encode_address("192.0.2.1", 0))
    with connection:
        assert answer[1] == 7


def test_the_users_of_a_file_may_use_socks_and_nobody_else(run, origin, tmp_path):
    users = tmp_path / "htpasswd"
    hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
    users.write_text(f"alice:{hashed}\n")
    guarded = run("--allow-private", "--users", str(users), "--log-format", LOG)
    url = f"{origin.url}/"

    right, _ = guarded.curl("socks5", url, "--proxy-user", "alice:open sesame")
    _, wrong = guarded.curl("socks5", url, "--proxy-user", "alice:guess")
    _, nobody = guarded.curl("socks5", url)
    guarded.proxy.stop()

    assert right == b"ok"
    assert wrong
    assert nobody
    log = guarded.proxy.access_log.read_text()
    assert "CONNECT" in log
    assert " alice 200 " in log
    assert "sesame" not in log + guarded.proxy.output.read_text()
