"""Quotas in running proxies: refused, cut, and remembered when the process ends, however it ends."""

from __future__ import annotations

import signal
import socket
import sqlite3
import threading

import pytest

from demo.proxies import Proxy, free_port
from tests.scripted import ScriptedOrigin, exchange, read_all, read_until
from tests.waiting import eventually

CONTENT = bytes(range(1, 251)) * 4000  # a million bytes without an empty line


def respond(connection, head):
    """Answer with as many bytes as the path says; to Upgrade and SLOW, go on for long."""
    path = head.split(b" ", 2)[1].rpartition(b"/")[2]
    if b"Upgrade:" in head:
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
        )
        threading.Thread(target=send_slowly, args=(connection,), daemon=True).start()
    elif path == b"slow":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        threading.Thread(target=send_slowly, args=(connection,), daemon=True).start()
    elif path.isdigit():
        body = CONTENT[: int(path)]
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def send_slowly(connection):
    """Send two thousand bytes every two milliseconds until nobody takes them."""
    pause = threading.Event()
    for _ in range(5000):
        try:
            connection.sendall(CONTENT[:2000])
        except OSError:
            return
        pause.wait(0.002)


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(respond) as running:
        yield running


def configure(directory, origin, options):
    port = free_port()
    configuration = f"""
[log]
access = "access.log"
format = "json"
[pool.a]
servers = ["{origin.url}"]
[reverse.a]
listen = ["127.0.0.1:{port}"]
[[reverse.a.filters]]
use = "quota"
{options}
[[reverse.a.routes]]
pool = "a"
"""
    return Proxy.serving(directory, configuration, port)


def get(proxy, path, client="127.0.0.1"):
    with socket.create_connection(proxy.address, 10, (client, 0)) as connection:
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path)
        return read_all(connection)


def is_refused(answer):
    head = answer.partition(b"\r\n\r\n")[0]
    retry = head.partition(b"Retry-After: ")[2].partition(b"\r\n")[0]
    return head.startswith(b"HTTP/1.1 429 ") and 0 < int(retry) <= 31 * 86400 + 3600


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_used_is_known_after_a_restart(tmp_path, origin, how):
    proxy = configure(tmp_path, origin, 'volume = "300kB"\nperiod = "month"')
    with proxy:
        assert get(proxy, b"/200000").endswith(CONTENT[:200000])
        if how == signal.SIGKILL:

            def is_written():
                with sqlite3.connect(tmp_path / "quota.sqlite") as database:
                    rows = database.execute("SELECT sent FROM usage").fetchall()
                database.close()
                return rows == [(200000,)]

            eventually(is_written)
        proxy.process.send_signal(how)
        proxy.process.wait(10)
    with proxy:
        assert get(proxy, b"/100000").endswith(CONTENT[:100000])
        assert is_refused(get(proxy, b"/1"))
        assert get(proxy, b"/1", "127.0.0.2").startswith(b"HTTP/1.1 200 ")
    with proxy:
        assert is_refused(get(proxy, b"/1"))


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, origin):
    directory = tmp_path_factory.mktemp("quota")
    with configure(directory, origin, "volume = 500000") as running:
        running.directory = directory
        yield running


def test_a_download_is_cut_where_the_quota_ends(proxy):
    answer = get(proxy, b"/slow", "127.0.8.1")

    _, _, body = answer.partition(b"\r\n\r\n")
    assert 500_000 <= len(body) <= 800_000
    assert is_refused(get(proxy, b"/1", "127.0.8.1"))


def test_a_tunnel_is_cut_where_the_quota_ends(proxy):
    with socket.create_connection(proxy.address, 10, ("127.0.8.2", 0)) as connection:
        connection.sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
        )
        data = read_all(connection)

    assert data.startswith(b"HTTP/1.1 101 ")
    assert 500_000 <= len(data) <= 800_000
    assert is_refused(get(proxy, b"/1", "127.0.8.2"))


def test_an_upload_is_answered_where_the_quota_ends(proxy):
    with socket.create_connection(proxy.address, 10, ("127.0.8.3", 0)) as connection:
        connection.sendall(
            b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + CONTENT
        )
        connection.sendall(CONTENT[:1000])
        answer = read_until(connection, b"\n")

    assert is_refused(answer)


def test_a_reload_keeps_what_was_used(tmp_path, origin):
    proxy = configure(tmp_path, origin, "volume = 100000")
    with proxy:
        assert get(proxy, b"/100000").endswith(CONTENT[:100000])
        assert is_refused(get(proxy, b"/1"))
        file = proxy.file
        file.write_text(file.read_text().replace("100000", "150000"))
        proxy.process.send_signal(signal.SIGHUP)
        eventually(lambda: get(proxy, b"/1").startswith(b"HTTP/1.1 200 "))
        assert get(proxy, b"/60000").startswith(b"HTTP/1.1 200 ")

        assert is_refused(get(proxy, b"/1"))


def test_the_proxys_own_refusals_are_not_counted(proxy):
    for _ in range(3):
        exchange(proxy.address, b"GET / HTTP/1.1\r\n\r\n")
    get(proxy, b"/1", "127.0.8.4")

    def names():
        with sqlite3.connect(proxy.directory / "quota.sqlite") as database:
            rows = database.execute("SELECT name FROM usage").fetchall()
        database.close()
        return {name for (name,) in rows}

    eventually(lambda: "127.0.8.4" in names())
    assert "127.0.0.1" not in names()
