"""The cache in a real Redis: shared by proxies, away and back, slow, and with bad values."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
from contextlib import ExitStack

import pytest

from demo.proxies import ProxyDidNotStart, free_port
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
from tests.integration.stores import Redis
from tests.scripted import exchange

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="there is no redis-server"
)

CONFIGURATION = """
[cache.main]
store = "redis"
{cache}
max_object_size = "2MiB"
[pool.a]
servers = ["{site}"]
[reverse.a]
listen = ["127.0.0.1:{port}"]
[[reverse.a.routes]]
pool = "a"
[reverse.a.routes.cache]
use = "main"
purge_from = ["127.0.0.1"]
key_headers = ["X-Country"]
[log]
access = "access-{port}.log"
"""


class Machines:
    def __init__(self, directory, site, stack):
        self.directory, self._site, self._stack = directory, site, stack

    def redis(self, *options, running=True):
        server = Redis(self.directory, *options)
        if running:
            server.start()
        self._stack.callback(lambda: server.stop() if hasattr(server, "process") else None)
        return server

    def proxy(self, cache):
        return self._stack.enter_context(
            serving(self.directory, CONFIGURATION, cache=cache, site=self._site.url)
        )

    def both(self, more=""):
        redis = self.redis()
        return redis, self.proxy(f'url = "{redis.url}"\ntimeout = "2s"\n{more}')


@pytest.fixture
def machines(tmp_path, site):
    with ExitStack() as stack:
        yield Machines(tmp_path, site, stack)


def hit(proxy, path):
    """Ask until it is answered from the store, which is connected to when first asked."""
    answers = []

    def is_hit():
        answers.append(exchange(proxy.address, ask(path)))
        return cache_says(answers[-1]).startswith(b"hit")

    until(is_hit)
    return answers[-1]


SIZES = (0, 10, 16 * 1024, 16 * 1024 + 1, 256 * 1024, 256 * 1024 + 1, 1_500_000)


def test_what_one_proxy_stores_is_a_hit_in_another(machines, site):
    redis, one = machines.both()
    other = machines.proxy(f'url = "{redis.url}"\ntimeout = "2s"')
    for size in SIZES:
        path = b"/shared/%d" % size
        site.put(path, fresh(), body_of(size))
        assert content(hit(one, path)) == body_of(size)
        asked = site.count(path)
        answer = hit(other, path)
        assert content(answer) == body_of(size)
        assert field(answer, b"Content-Length") == b"%d" % size
        if size > 10:
            assert site.count(path) == asked
    part = exchange(other.address, ask(b"/shared/1500000", b"Range: bytes=300000-900000\r\n"))
    assert status(part) == b"206"
    assert content(part) == body_of(1_500_000)[300_000:900_001]
    for key in redis.ask(b"KEYS", b"*"):
        assert redis.ask(b"TTL", key) > 0
    assert "Traceback" not in one.output.read_text() + other.output.read_text()


def test_a_crowd_is_one_request(machines, site):
    _, proxy = machines.both()
    site.put(b"/warm", fresh())
    hit(proxy, b"/warm")
    body = body_of(1_000_000)
    answer = b"HTTP/1.1 200 OK\r\n" + fresh() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)

    answers = crowd_behind_a_gate(proxy, site, b"/crowd", answer, 20)

    assert all(content(each) == body for each in answers)
    assert site.count(b"/crowd") == 1


def test_validation_variants_and_purges(machines, site):
    redis, proxy = machines.both()
    site.put(b"/vary", fresh() + b"Vary: Accept-Language\r\nCache-Tag: v\r\n")
    hit(proxy, b"/vary")
    for language in (b"de", b"fr", b"de", b"fr"):
        exchange(proxy.address, ask(b"/vary", b"Accept-Language: %s\r\n" % language))
    assert len(redis.ask(b"HKEYS", redis.keys(b"k")[0])) == 3

    site.put(b"/stale", fresh(age=100), b"stored")
    exchange(proxy.address, ask(b"/stale"))
    site.put(b"/stale", fresh(), b"", b"304 Not Modified")
    assert content(exchange(proxy.address, ask(b"/stale"))) == b"stored"
    assert cache_says(exchange(proxy.address, ask(b"/stale"))).startswith(b"hit")

    def purge(path, extra=b""):
        answer = exchange(proxy.address, ask(path, extra, method=b"PURGE"))
        return json.loads(content(answer))["purged"]

    assert purge(b"/", b"Cache-Tag: v\r\nSoft-Purge: 1\r\n") == 3
    until(lambda: not cache_says(exchange(proxy.address, ask(b"/vary"))).startswith(b"hit"))
    assert purge(b"/", b"Cache-Tag: v\r\n") == 3
    assert purge(b"/", b"Cache-Tag: v\r\n") == 0
    site.put(b"/large", fresh(), body_of(600_000))
    for country in (b"a", b"b", b"c"):
        exchange(proxy.address, ask(b"/large", b"X-Country: %s\r\n" % country))
    until(lambda: len(redis.keys(b"b")) == 9)
    assert purge(b"/large") == 3
    assert purge(b"/sta*") == 1
    assert purge(b"/sta*") == 0
    until(lambda: redis.keys(b"b") == [])
    assert "Traceback" not in proxy.output.read_text()


def test_a_new_response_takes_the_old_ones_place(machines, site):
    redis, proxy = machines.both()
    site.put(b"/again", fresh(), body_of(300_000))
    hit(proxy, b"/again")
    site.put(b"/again", fresh(), body_of(300_001))
    exchange(proxy.address, ask(b"/again", b"Cache-Control: no-cache\r\n"))

    until(lambda: content(hit(proxy, b"/again")) == body_of(300_001))
    until(lambda: len(redis.keys(b"b")) == 2)


def test_an_unsafe_request_is_seen_by_the_next_one(machines, site):
    _, proxy = machines.both()
    site.put(b"/form", fresh(), b"old")
    hit(proxy, b"/form")
    for number in range(5):
        site.put(b"/form", fresh(), b"%d" % number)
        exchange(proxy.address, ask(b"/form", method=b"POST", content=b"x"))
        assert content(exchange(proxy.address, ask(b"/form"))) == b"%d" % number


def test_parts_are_combined(machines, site):
    _, proxy = machines.both()
    site.put(b"/warm", fresh())
    hit(proxy, b"/warm")
    site.answers[b"/parts"] = ranged_answer
    for spec in (b"0-3", b"4-9"):
        answer = exchange(proxy.address, ask(b"/parts", b"Range: bytes=%s\r\n" % spec))
        assert status(answer) == b"206"
    assert content(hit(proxy, b"/parts")) == b"0123456789"
    assert site.count(b"/parts") <= 3


def ranged_answer(connection, head):
    body = b"0123456789"
    spec = next((x for x in head.split(b"\r\n") if x.lower().startswith(b"range:")), None)
    if spec is None:
        start, stop, line, extra = 0, 10, b"200 OK", b""
    else:
        first, last = spec.partition(b"bytes=")[2].split(b"-")
        start, stop, line = int(first), int(last) + 1, b"206 Partial Content"
        extra = b"Content-Range: bytes %d-%d/10\r\n" % (start, stop - 1)
    part = body[start:stop]
    connection.sendall(
        b"HTTP/1.1 %s\r\n%s%sContent-Length: %d\r\n\r\n%s" % (line, fresh(), extra, len(part), part)
    )


# --- away -------------------------------------------------------------------------------------


def test_while_it_is_away_the_proxy_serves_and_comes_back_by_itself(machines, site):
    redis = machines.redis(running=False)
    proxy = machines.proxy(f'url = "{redis.url}"\ntimeout = "200ms"')
    site.put(b"/away", fresh(), body_of(300_000))
    for _ in range(3):
        assert content(exchange(proxy.address, ask(b"/away"))) == body_of(300_000)
    redis.start()
    assert content(hit(proxy, b"/away")) == body_of(300_000)
    redis.stop()
    for _ in range(3):
        assert content(exchange(proxy.address, ask(b"/away"))) == body_of(300_000)
    redis.start()
    assert content(hit(proxy, b"/away")) == body_of(300_000)
    assert "Traceback" not in proxy.output.read_text()


def test_a_server_that_hangs_costs_no_more_than_the_time_out(machines, site):
    redis = machines.redis()
    proxy = machines.proxy(f'url = "{redis.url}"\ntimeout = "200ms"')
    site.put(b"/hangs", fresh(), body_of(300_000))
    hit(proxy, b"/hangs")
    redis.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    for _ in range(10):
        assert content(exchange(proxy.address, ask(b"/hangs"))) == body_of(300_000)
    assert time.monotonic() - began < 5
    assert proxy.output.read_text().count("is not used") == 1
    redis.process.send_signal(signal.SIGCONT)
    assert content(hit(proxy, b"/hangs")) == body_of(300_000)
    assert "Traceback" not in proxy.output.read_text()


def test_a_server_that_is_none_is_away(machines, site):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = machines.proxy(f'url = "redis://127.0.0.1:{listening.getsockname()[1]}"')
        site.put(b"/none", fresh(), b"served")
        exchange(proxy.address, ask(b"/none"))
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            until(lambda: "is no answer" in proxy.output.read_text())
        assert content(exchange(proxy.address, ask(b"/none"))) == b"served"
    assert "Traceback" not in proxy.output.read_text()


# --- bad values -------------------------------------------------------------------------------


def refetched(proxy, site, path, body):
    asked = site.count(path)

    def again():
        answer = exchange(proxy.address, ask(path))
        if site.count(path) > asked:
            assert content(answer) == body
            return True
        return False

    until(again)
    assert content(hit(proxy, path)) == body


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "other", "pack"])
def test_a_record_that_is_not_what_was_written_is_a_miss(machines, site, harm):
    redis, proxy = machines.both()
    site.put(b"/record", fresh(), b"stored")
    site.put(b"/other", fresh(), b"other")
    hit(proxy, b"/record")
    hit(proxy, b"/other")
    (key,) = [each for each in redis.keys(b"k") if each.partition(b"\n")[0].endswith(b"/record")]
    (other,) = [each for each in redis.keys(b"k") if each.partition(b"\n")[0].endswith(b"/other")]
    name, record = redis.ask(b"HGETALL", key)
    harmed = {
        "flip": record[:-3] + bytes([record[-3] ^ 1]) + record[-2:],
        "cut": record[:-1],
        "empty": b"",
        "other": redis.ask(b"HGETALL", other)[1],
        "pack": b"\x93\x01\x02\x03",
    }[harm]
    redis.ask(b"HSET", key, name, harmed)

    refetched(proxy, site, b"/record", b"stored")
    assert "Traceback" not in proxy.output.read_text()


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("harm", ["gone", "flip", "cut"])
def test_a_chunk_that_is_not_what_was_written_is_never_given(machines, site, harm, place):
    redis, proxy = machines.both()
    body = body_of(700_000)
    site.put(b"/chunk", fresh(), body)
    hit(proxy, b"/chunk")
    (key,) = [each for each in redis.keys(b"b") if each.endswith(b":%d" % place)]
    chunk = redis.ask(b"GET", key)
    if harm == "gone":
        redis.ask(b"DEL", key)
    else:
        redis.ask(b"SET", key, chunk[:-1] + (b"" if harm == "cut" else bytes([chunk[-1] ^ 1])))

    first = content(exchange(proxy.address, ask(b"/chunk")))
    assert body.startswith(first)
    if harm == "gone" or place == 0:
        assert first == body  # it was found out before anything was sent
    until(lambda: content(exchange(proxy.address, ask(b"/chunk"))) == body)
    assert content(hit(proxy, b"/chunk")) == body
    assert "Traceback" not in proxy.output.read_text()


# --- how it is reached ------------------------------------------------------------------------


def test_a_unix_socket_a_password_and_a_database(machines, site):
    redis = machines.redis("--requirepass", "s@cret")
    site.put(b"/unix", fresh(), b"stored")
    proxy = machines.proxy(f'url = "unix://:s%40cret@{redis.socket}?db=3"\nprefix = "p"')
    hit(proxy, b"/unix")

    assert "cret" not in proxy.output.read_text()


def test_a_wrong_password_is_said_but_not_shown(machines, site):
    redis = machines.redis("--requirepass", "right")
    proxy = machines.proxy(f'url = "redis://:wr0ng@127.0.0.1:{redis.port}"')
    site.put(b"/wrong", fresh(), b"served")
    exchange(proxy.address, ask(b"/wrong"))
    until(lambda: "refuses to let us in" in proxy.output.read_text())

    assert content(exchange(proxy.address, ask(b"/wrong"))) == b"served"
    assert "wr0ng" not in proxy.output.read_text()


def test_tls_with_an_authority_of_its_own(machines, site, certificate):
    tls_port = free_port()
    machines.redis(
        *("--tls-port", str(tls_port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate.certificate)),
        *("--tls-key-file", str(certificate.key)),
        *("--tls-ca-cert-file", str(certificate.authority)),
    )
    site.put(b"/tls", fresh(), body_of(300_000))
    url = f'url = "rediss://localhost:{tls_port}"\ntimeout = "2s"\n'
    proxy = machines.proxy(url + f'ca = "{certificate.authority}"')
    assert content(hit(proxy, b"/tls")) == body_of(300_000)

    stranger = machines.proxy(url)
    assert content(exchange(stranger.address, ask(b"/tls"))) == body_of(300_000)
    until(lambda: "is not used" in stranger.output.read_text())


def test_a_server_that_is_full_gets_no_more(machines, site):
    redis, proxy = machines.both('size = "1KiB"')
    site.put(b"/full", fresh(), b"served")
    site.put(b"/more", fresh(), b"served")
    until(
        lambda: (
            exchange(proxy.address, ask(b"/full"))
            and redis.ask(b"CLIENT", b"LIST").count(b"\n") > 1
        )
    )
    for _ in range(3):
        exchange(proxy.address, ask(b"/full"))
    time.sleep(0.1)
    assert content(exchange(proxy.address, ask(b"/more"))) == b"served"
    assert not any(b"/more" in each for each in redis.keys(b"k"))


def test_a_bad_url_is_an_error_that_does_not_show_it(machines):
    with pytest.raises(ProxyDidNotStart, match=r"cache\.main\.url: expected a URL") as refused:
        machines.proxy('url = "http://:secret@a"')
    assert "secret" not in str(refused.value)
