"""The cache on disk in running proxies: restarted, shared, damaged, killed."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import time
from contextlib import ExitStack

import pytest

from benchmarks.kill_disk import Killing, orphans
from demo.proxies import Proxy, free_port
from tests.integration.cached import (
    ask,
    body_of,
    cache_says,
    content,
    crowd_behind_a_gate,
    field,
    fresh,
    serving,
    status,
    until,
)
from tests.scripted import exchange, read_all

CONFIGURATION = """
[cache.main]
store = "disk"
directory = "store"
size = "{size}"
memory = {memory}
min_free = 0
max_object_size = "2MiB"
[pool.a]
servers = ["{url}"]
[reverse.a]
listen = ["127.0.0.1:{port}"]
{tls}
[[reverse.a.routes]]
pool = "a"
cache = {{ use = "main", purge_from = ["127.0.0.1"] }}
[log]
access = "access-{port}.log"
"""


class Machine:
    """Proxies with one directory."""

    def __init__(self, directory, site, stack):
        self.directory, self._site, self._stack = directory, site, stack

    def start(self, memory=0, size="32MiB", tls="", port=None):
        named = self._named(memory, size, tls)
        return self._stack.enter_context(serving(self.directory, CONFIGURATION, port, **named))

    def write(self, proxy, memory=0, size="32MiB"):
        """Write what a proxy reads when it is reloaded."""
        named = self._named(memory, size, "")
        proxy.file.write_text(CONFIGURATION.format(port=proxy.port, **named))

    def _named(self, memory, size, tls):
        return {"url": self._site.url, "memory": memory, "size": size, "tls": tls}

    def bodies(self):
        return list((self.directory / "store/v1/bodies").glob("*/*"))


@pytest.fixture
def machine(tmp_path, site):
    with ExitStack() as stack:
        yield Machine(tmp_path, site, stack)


SIZES = (0, 10, 5000, 64 * 1024, 200_000, 1_500_000)


@pytest.mark.parametrize("memory", [0, 1_000_000])
def test_what_is_stored_is_there_after_a_restart(machine, site, memory):
    proxy = machine.start(memory=memory)
    for size in SIZES:
        path = b"/restart/%d/%d" % (memory, size)
        site.put(path, fresh(), body_of(size))
        assert content(exchange(proxy.address, ask(path))) == body_of(size)
        assert content(exchange(proxy.address, ask(path))) == body_of(size)
    proxy.stop()
    assert "Server Shut Down" in proxy.output.read_text()
    proxy = machine.start(memory=memory)
    for _ in range(3):
        for size in SIZES:
            path = b"/restart/%d/%d" % (memory, size)
            answer = exchange(proxy.address, ask(path))
            assert content(answer) == body_of(size)
            assert cache_says(answer).startswith(b"hit")
            assert field(answer, b"Content-Length") == b"%d" % size
            assert site.count(path) == 1
    assert "Traceback" not in proxy.output.read_text()


def test_ranges_conditions_and_head_are_answered_from_disk(machine, site):
    site.put(b"/parts", fresh(), body_of(300_000))
    proxy = machine.start()
    exchange(proxy.address, ask(b"/parts"))
    proxy.stop()
    proxy = machine.start()

    part = exchange(proxy.address, ask(b"/parts", b"Range: bytes=100000-250000\r\n"))
    assert status(part) == b"206"
    assert content(part) == body_of(300_000)[100_000:250_001]
    assert status(exchange(proxy.address, ask(b"/parts", b'If-None-Match: "v1"\r\n'))) == b"304"
    whole = exchange(proxy.address, ask(b"/parts", method=b"HEAD"))
    assert field(whole, b"Content-Length") == b"300000"
    assert site.count(b"/parts") == 1


def test_workers_share_what_is_stored_and_what_is_purged(machine, site):
    one, other = machine.start(memory=1_000_000), machine.start(memory=1_000_000)
    site.put(b"/shared", fresh() + b"Surrogate-Key: a\r\n", body_of(5000))
    exchange(one.address, ask(b"/shared"))
    only_stored = ask(b"/shared", b"Cache-Control: only-if-cached\r\n")
    until(lambda: status(exchange(other.address, only_stored)) == b"200")
    for proxy in (one, other, one, other):
        assert cache_says(exchange(proxy.address, ask(b"/shared"))).startswith(b"hit")
    assert site.count(b"/shared") == 1

    purge = ask(b"/", b"Surrogate-Key: a\r\n", method=b"PURGE")
    assert json.loads(content(exchange(one.address, purge)))["purged"] == 1
    site.put(b"/shared", fresh(), b"new")
    assert content(exchange(other.address, ask(b"/shared"))) == b"new"
    assert content(exchange(one.address, ask(b"/shared"))) == b"new"


def test_an_unsafe_request_is_seen_by_the_next_one(machine, site):
    proxy = machine.start()
    site.put(b"/form", fresh(), b"old")
    exchange(proxy.address, ask(b"/form"))
    for number in range(5):
        site.put(b"/form", fresh(), b"%d" % number)
        exchange(proxy.address, ask(b"/form", method=b"POST", content=b"x"))
        assert content(exchange(proxy.address, ask(b"/form"))) == b"%d" % number


def test_a_crowd_is_one_request_and_reads_while_it_is_written(machine, site):
    proxy = machine.start()
    exchange(proxy.address, ask(b"/")) if site.put(b"/", fresh()) else None
    body = body_of(1_500_000)
    answer = b"HTTP/1.1 200 OK\r\n" + fresh() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)

    answers = crowd_behind_a_gate(proxy, site, b"/crowd", answer, 20)

    assert all(content(each) == body for each in answers)
    assert site.count(b"/crowd") == 1


@pytest.mark.parametrize("memory", [0, 4_000_000])
def test_slow_clients_get_every_byte(machine, site, memory):
    proxy = machine.start(memory=memory)
    for size in (200_000, 1_500_000):
        path = b"/slow/%d/%d" % (memory, size)
        site.put(path, fresh(), body_of(size))
        for _ in range(3):
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.settimeout(10)
                client.connect(proxy.address)
                client.sendall(ask(path))
                time.sleep(0.1)
                assert content(read_all(client)) == body_of(size)
        assert site.count(path) == 1


def test_hits_on_one_connection_follow_each_other(machine, site):
    proxy = machine.start()
    for size in (5000, 60_000):
        site.put(b"/row/%d" % size, fresh(), body_of(size))
        for _ in range(2):
            exchange(proxy.address, ask(b"/row/%d" % size))
    get = b"GET /row/%d HTTP/1.1\r\nHost: a\r\n\r\n"
    requests = (get % 60_000 + get % 5000) * 5 + ask(b"/row/5000")

    answer = exchange(proxy.address, requests)

    assert answer.count(b"HTTP/1.1 200 OK") == 11
    assert answer.count(body_of(60_000)) == 5
    assert answer.count(body_of(5000)) == 6


def test_hits_over_tls_are_the_same(machine, site, certificate):
    port = free_port()
    tls = (
        f'tls = {{ listen = ["127.0.0.1:{port}"], certificates = '
        f'[ {{ certificate = "{certificate.certificate}", key = "{certificate.key}" }} ] }}'
    )
    proxy = machine.start(tls=tls)
    site.put(b"/tls", fresh(), body_of(64 * 1024))
    context = ssl.create_default_context(cafile=str(certificate.authority))
    for _ in range(3):
        raw = socket.create_connection(("127.0.0.1", port), timeout=5)
        with context.wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(ask(b"/tls"))
            assert content(read_all(client)) == body_of(64 * 1024)
    assert site.count(b"/tls") == 1
    assert "Traceback" not in proxy.output.read_text()


def test_what_was_damaged_on_disk_is_fetched_again(machine, site):
    proxy = machine.start()
    site.put(b"/damaged", fresh(), body_of(60_000))
    for _ in range(3):
        exchange(proxy.address, ask(b"/damaged"))
    until(lambda: len(machine.bodies()) == 1)
    with machine.bodies()[0].open("r+b") as file:
        file.seek(30_000)
        file.write(b"not what was stored")

    def fetched_again():
        answer = exchange(proxy.address, ask(b"/damaged"))
        return site.count(b"/damaged") == 2 and content(answer) == body_of(60_000)

    # What was read a moment ago is not compared again for a second.
    until(fetched_again, 5)
    assert cache_says(exchange(proxy.address, ask(b"/damaged"))).startswith(b"hit")


def test_a_reload_that_changes_the_store_goes_on_with_the_directory(machine, site):
    proxy = machine.start()
    site.put(b"/reload", fresh(), body_of(5000))
    exchange(proxy.address, ask(b"/reload"))
    until(lambda: len(machine.bodies()) == 1)
    exchange(proxy.address, ask(b"/reload"))
    machine.write(proxy, memory=1_000_000, size="64MiB")
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: "was reloaded" in proxy.output.read_text())

    for _ in range(3):
        answer = exchange(proxy.address, ask(b"/reload"))
        assert content(answer) == body_of(5000)
    assert site.count(b"/reload") == 1
    proxy.stop()
    assert "Traceback" not in proxy.output.read_text()


def test_a_directory_that_cannot_be_used_is_said_when_it_is_loaded(tmp_path, site):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Exception, match="cannot be written"):
        Proxy(
            tmp_path, "reverse", "--backend", site.url, "--cache-dir", str(tmp_path / "file/x")
        ).begin().wait_until_it_listens()


def test_on_the_command_line_a_directory_is_enough(start, site, tmp_path):
    site.put(b"/line", fresh(), body_of(5000))
    proxy = start("reverse", "--backend", site.url, "--cache-dir", str(tmp_path / "a/b"))
    for _ in range(3):
        assert content(exchange(proxy.address, ask(b"/line"))) == body_of(5000)
    assert site.count(b"/line") == 1
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700


@pytest.mark.timeout(120)
def test_killed_under_load_it_never_gives_a_wrong_byte(tmp_path):
    """The short version of ``python -m benchmarks.kill_disk``."""
    killing = Killing(tmp_path, 24 * 1024 * 1024, workers=2)
    killing.run(kills=6, seconds=0.4)

    assert killing.seen.hits > 20
    assert orphans(killing.store) == []
    assert "Traceback" not in killing.log()
