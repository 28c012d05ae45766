"""Bandwidth in running proxies: downloads, uploads and tunnels at their pace, and the whole of them."""

from __future__ import annotations

import signal
import socket
import threading
import time

import pytest

from demo.proxies import Proxy, free_port
from tests.scripted import ScriptedOrigin, exchange, read_all, read_until
from tests.waiting import wait_for_text

KIB = 1024
CONTENT = bytes(range(256)) * 4 * 1024  # a MiB


def respond(connection, head):
    """Answer with as much as the path says, in the framing that it says; take what is sent."""
    words = head.split(b" ", 2)
    path = words[1].rpartition(b"/")[2] if len(words) > 1 else b""
    if b"Upgrade:" in head:
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
        )
        connection.sendall(CONTENT[: 200 * KIB])
        return
    if words[0] == b"POST":
        return  # the content comes as another head, for so it ends
    if words[0] != b"GET":
        path = b"2"
    size = int(path.removeprefix(b"chunked-").removeprefix(b"close-").removeprefix(b"cut-"))
    body = CONTENT[:size]
    if path.startswith(b"chunked-"):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, size, 3000):
            piece = body[start : start + 3000]
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
    elif path.startswith(b"close-"):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + body)
        connection.close()
    elif path.startswith(b"cut-"):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + body)
        connection.close()
    else:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (size, body))


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(respond) as running:
        yield running


def configure(directory, origin, filters, more=""):
    port = free_port()
    (directory / "files").mkdir(exist_ok=True)
    (directory / "files" / "large").write_bytes(CONTENT)
    configuration = f"""
[limits]
body_timeout = "1s"
tunnel_timeout = "1s"
[pool.a]
servers = ["{origin.url}"]
response_timeout = "1s"
[forward.f]
listen = ["127.0.0.1:{port + 1}"]
allow_private = true
connect_ports = [{origin.port}]
{filters.replace("LISTENER", "forward.f")}
[reverse.a]
listen = ["127.0.0.1:{port}"]
{filters.replace("LISTENER", "reverse.a")}
[[reverse.a.routes]]
path = "/files/"
static = {{ root = "files" }}
strip_prefix = "/files"
[[reverse.a.routes]]
pool = "a"
{more}
"""
    return Proxy.serving(directory, configuration, port)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, origin):
    """Each way has 100 KiB a second, of which the first fifth comes at once."""
    filters = (
        '[[LISTENER.filters]]\nuse = "bandwidth"\ndownload = "100KiB/s"\nupload = "100KiB/s"\n'
    )
    with configure(tmp_path_factory.mktemp("bandwidth"), origin, filters) as running:
        yield running


@pytest.fixture
def client():
    """An address that no other test's client has."""
    return client_address()


_addresses = iter(range(2, 250))


def client_address():
    return f"127.0.7.{next(_addresses)}"


def connect(address, source):
    return socket.create_connection(address, timeout=10, source_address=(source, 0))


def get(address, source, path, extra=b""):
    """Give what came and how long that took."""
    began = time.monotonic()
    with connect(address, source) as connection:
        connection.sendall(
            b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n" % (path, extra)
        )
        data = read_all(connection)
    return data, time.monotonic() - began


@pytest.mark.parametrize("path", [b"/120000", b"/close-120000", b"/chunked-120000"])
def test_a_download_takes_its_time_and_comes_whole(proxy, client, path):
    data, seconds = get(proxy.address, client, path)

    head, _, body = data.partition(b"\r\n\r\n")
    if b"chunked" in head:
        pieces = []
        while body:
            size, _, body = body.partition(b"\r\n")
            pieces.append(body[: int(size, 16)])
            body = body[int(size, 16) + 2 :]
        body = b"".join(pieces)
    assert body == CONTENT[:120000]
    assert 0.8 < seconds < 2.5


def test_a_file_is_paced_as_what_a_server_sends(proxy, client):
    data, seconds = get(proxy.address, client, b"/files/large", b"Range: bytes=0-119999\r\n")

    assert data.endswith(b"\r\n\r\n" + CONTENT[:120000])
    assert 0.8 < seconds < 2.5


def test_pacing_is_nobodys_fault(proxy, client):
    """With time-outs of a second a download of three is finished: it is we who are slow."""
    data, seconds = get(proxy.address, client, b"/320000")

    assert data.endswith(b"\r\n\r\n" + CONTENT[:320000])
    assert 2.6 < seconds < 5


@pytest.mark.parametrize("path", [b"/cut-100000"])
def test_what_came_before_the_server_failed_is_sent_at_its_pace(proxy, client, path):
    data, seconds = get(proxy.address, client, path)

    assert data.endswith(b"\r\n\r\n" + CONTENT[:100000])
    assert 0.6 < seconds < 2.5


def test_an_upload_takes_its_time_and_comes_whole(proxy, origin, client):
    content = CONTENT[:319996] + b"\r\n\r\n"
    began = time.monotonic()
    with connect(proxy.address, client) as connection:
        connection.sendall(
            b"POST /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 320000\r\n\r\n"
            + content
        )
        answer = read_all(connection)
    seconds = time.monotonic() - began

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert bytes(origin.received[-1]).endswith(content)
    assert 2.6 < seconds < 5


def test_small_exchanges_on_one_connection_are_paced_together(proxy, client):
    began = time.monotonic()
    with connect(proxy.address, client) as connection:
        for _ in range(30):
            connection.sendall(b"GET /4000 HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_until(connection, CONTENT[:4000]).startswith(b"HTTP/1.1 200 ")
    assert 0.8 < time.monotonic() - began < 2.5


def test_clients_do_not_share_a_bucket(proxy):
    results = []
    threads = [
        threading.Thread(
            target=lambda: results.append(get(proxy.address, client_address(), b"/120000"))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(seconds < 2.5 for _, seconds in results)
    assert all(data.endswith(CONTENT[:120000]) for data, _ in results)


def forward_address(proxy):
    return proxy.address[0], proxy.port + 1


@pytest.fixture(scope="module")
def peer():
    """A server that is no HTTP server: sends 120,000 bytes, and what it reads when told to end."""
    listening = socket.create_server(("127.0.0.1", 0))
    received = {}

    def serve(connection, number):
        connection.settimeout(10)
        with connection:
            if connection.recv(1) == b"d":
                connection.sendall(CONTENT[:120000])
            else:
                received[number] = read_all(connection)
                connection.sendall(b"thanks")

    def accept():
        number = 0
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection, number), daemon=True).start()
            number += 1

    threading.Thread(target=accept, daemon=True).start()
    yield listening.getsockname()[1], received
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


@pytest.fixture(scope="module")
def tunnels(start, peer):
    """Both ways of all that a client does have 100 KiB a second, by the command's option."""
    port = str(peer[0])
    options = ["--allow-private", "--connect-ports", port, "--rate", "100KiB/s"]
    return start("forward", *options, "--allow", "127.0.0.0/8")


def open_tunnel(tunnels, peer, client):
    connection = connect(tunnels.address, client)
    connection.sendall(
        b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (peer[0], peer[0])
    )
    assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    return connection


def test_what_comes_through_a_tunnel_takes_its_time(tunnels, peer, client):
    began = time.monotonic()
    with open_tunnel(tunnels, peer, client) as connection:
        connection.sendall(b"d")
        data = read_all(connection)

    assert data == CONTENT[:120000]
    assert 0.8 < time.monotonic() - began < 2.5


def test_what_goes_through_a_tunnel_takes_its_time_and_the_half_close_comes_behind_it(
    tunnels, peer, client
):
    began = time.monotonic()
    with open_tunnel(tunnels, peer, client) as connection:
        connection.sendall(b"u" + CONTENT[:120000])
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)

    assert answer == b"thanks"
    assert peer[1][max(peer[1])] == CONTENT[:120000]
    assert 0.8 < time.monotonic() - began < 2.5


def test_a_tunnel_that_waits_for_its_bucket_is_not_idle_and_one_that_does_not_is(
    proxy, origin, client
):
    """The time-out of tunnels is a second here."""
    began = time.monotonic()
    with connect(proxy.address, client) as connection:
        connection.sendall(
            b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
        )
        data = read_all(connection)

    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert body == CONTENT[: 200 * KIB]
    assert 2.6 < time.monotonic() - began < 6


def test_one_client_has_its_rate_for_both_directions_of_all_its_connections(tunnels, peer, client):
    began = time.monotonic()

    def download():
        with open_tunnel(tunnels, peer, client) as connection:
            connection.sendall(b"d")
            assert read_all(connection) == CONTENT[:120000]

    threads = [threading.Thread(target=download) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1.9 < time.monotonic() - began < 4


def test_all_limits_hold_and_a_reload_keeps_the_buckets(tmp_path, origin):
    """A bucket that took a long burst is empty after the reload too."""
    filters = (
        '[[LISTENER.filters]]\nuse = "bandwidth"\n'
        'limits = [{ key = "client", rate = "1MiB/s" },'
        ' { key = "total", download = "20KiB/s", burst = "100KiB" }]\n'
    )
    with configure(tmp_path, origin, filters) as proxy:
        _, seconds = get(proxy.address, client_address(), b"/100000")
        assert seconds < 1
        file = proxy.file
        file.write_text(file.read_text().replace('body_timeout = "1s"', 'body_timeout = "9s"'))
        proxy.process.send_signal(signal.SIGHUP)
        wait_for_text(proxy.output, "the configuration was reloaded")
        data, seconds = get(proxy.address, client_address(), b"/30000")

        assert data.endswith(CONTENT[:30000])
        assert seconds > 0.5


def test_a_client_that_is_held_back_for_a_slow_server_is_not_too_slow_itself(tmp_path):
    """The time-out of content is a second; the server reads nothing for more than two."""
    pause = threading.Event()

    def read_late(connection, head):
        if head.startswith(b"POST"):
            pause.wait(2.6)
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with ScriptedOrigin(read_late) as origin:
        proxy = configure(tmp_path, origin, "")
        file = proxy.file
        file.write_text(file.read_text().replace('response_timeout = "1s"', ""))
        with proxy, connect(proxy.address, "127.0.0.1") as connection:
            content = CONTENT * 16 + b"\r\n\r\n"
            head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(content)
            connection.sendall(head + content)
            answer = read_until(connection, b"\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("", "it limits nothing"),
        ('rate = "fast"', 'expected a speed such as "2MiB/s"'),
        ("rate = 1000.0", 'expected a speed such as "2MiB/s"'),
        ('rate = "0B/s"', 'expected a speed such as "2MiB/s"'),
        ('limits = [{ key = "client" }]', "it limits nothing"),
        ('burst = "1MiB"\nlimits = [{ rate = "1MiB/s" }]', "stand beside the rate"),
        ('rate = "1MiB/s"\nkey = "planet"', "key"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_with_its_place(tmp_path, origin, keys, problem):
    from proxykit.config.load import ConfigurationErrors, load

    proxy = configure(tmp_path, origin, f'[[LISTENER.filters]]\nuse = "bandwidth"\n{keys}\n')
    with pytest.raises(ConfigurationErrors) as caught:
        load(proxy.file)

    messages = [str(each) for each in caught.value.problems]
    assert any(problem in message and "forward.f.filters" in message for message in messages)


def test_a_connection_is_used_again_after_a_paced_exchange(proxy, origin, client):
    before = len(origin.received)
    for _ in range(3):
        exchange(proxy.address, b"GET /10 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert len(origin.received) <= before + 1
