"""Hits of the cache and the filters of responses: each answer is filtered, and goes at its pace."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.cached import ask, cache_says, content, field, fresh, serving, status
from tests.scripted import exchange

PAGE = b"<html><head></head><body>" + b"A cat.\n" * 20 + b"</body></html>"
SEEN = PAGE.replace(b"cat", b"dog").replace(b"</head>", b"<!-- seen --></head>")
LARGE = bytes(range(256)) * 1024  # 256 KiB

CONFIGURATION = """
[cache.main]
store = "{store}"
{cache}
[pool.a]
servers = ["{site}"]
[reverse.a]
listen = ["127.0.0.1:{port}"]
[[reverse.a.routes]]
path = "/paced/"
pool = "a"
cache = "main"
[[reverse.a.routes.filters]]
use = "bandwidth"
rate = "512KiB/s"
burst = "64KiB"
[[reverse.a.routes]]
path = "/both/"
pool = "a"
cache = "main"
[[reverse.a.routes.filters]]
use = "content"
[[reverse.a.routes.filters.rules]]
name = "cats"
type = ["text/*"]
replace = [{{ match = "cat", with = "dog" }}]
[[reverse.a.routes.filters]]
use = "bandwidth"
rate = "512KiB/s"
burst = "64KiB"
[[reverse.a.routes]]
pool = "a"
cache = "main"
[[reverse.a.routes.filters]]
use = "content"
[[reverse.a.routes.filters.rules]]
name = "cats"
type = ["text/*"]
replace = [{{ match = "cat", with = "dog" }}]
insert = [{{ before = "</head>", text = "<!-- seen -->" }}]
"""


@pytest.fixture(scope="module", params=["memory", "disk"])
def proxy(request, tmp_path_factory, site):
    directory = tmp_path_factory.mktemp("filtered")
    cache = 'directory = "store"\nmin_free = 0\nmemory = 0' if request.param == "disk" else ""
    named = {"store": request.param, "cache": cache, "site": site.url}
    with serving(directory, CONFIGURATION, **named) as running:
        site.asked.clear()
        yield running
        assert "Traceback" not in running.output.read_text()


def test_a_stored_page_is_filtered_for_each_answer_and_never_twice(proxy, site):
    site.put(b"/page", fresh() + b"Content-Type: text/html\r\n", PAGE)
    answers = [exchange(proxy.address, ask(b"/page")) for _ in range(4)]

    assert all(dechunked(each) == SEEN for each in answers)
    assert cache_says(answers[-1]).startswith(b"hit")
    assert site.count(b"/page") == 1
    # What is stored is what the server sent: its tag is not that of what the client has.
    assert all(field(each, b"ETag") != b'"v1"' for each in answers)


def dechunked(answer):
    body = content(answer)
    if field(answer, b"Transfer-Encoding") is None:
        return body
    whole = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        if not int(size, 16):
            return whole
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]


def test_a_hit_goes_at_its_pace_and_comes_whole(proxy, site):
    site.put(b"/paced/x", fresh(), LARGE)
    exchange(proxy.address, ask(b"/paced/x"))
    started = time.monotonic()
    answer = exchange(proxy.address, ask(b"/paced/x"))
    took = time.monotonic() - started

    assert cache_says(answer).startswith(b"hit")
    assert content(answer) == LARGE
    # 256 KiB, 64 of them at once, the rest at 512 a second; other tests may have used the burst.
    assert 0.25 < took < 2.5
    assert site.count(b"/paced/x") == 1


def test_two_hits_share_a_pace_and_ranges_have_it_too(proxy, site):
    site.put(b"/paced/y", fresh(), LARGE)
    exchange(proxy.address, ask(b"/paced/y"))
    half = ask(b"/paced/y", b"Range: bytes=0-131071\r\n")
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: exchange(proxy.address, half), range(2)))
    took = time.monotonic() - started

    assert all(status(each) == b"206" for each in answers)
    assert all(content(each) == LARGE[:131_072] for each in answers)
    assert 0.25 < took < 2.5
    assert site.count(b"/paced/y") == 1


def test_a_hit_is_filtered_and_paced(proxy, site):
    body = b"A cat. " * 30_000
    site.put(b"/both/x", fresh() + b"Content-Type: text/plain\r\n", body)
    for _ in range(2):
        started = time.monotonic()
        answer = exchange(proxy.address, ask(b"/both/x"))
        assert dechunked(answer) == body.replace(b"cat", b"dog")
        assert time.monotonic() - started > 0.2
    assert cache_says(answer).startswith(b"hit")
    assert site.count(b"/both/x") == 1


def test_a_client_that_leaves_a_paced_hit_leaves_the_others_theirs(proxy, site):
    site.put(b"/paced/z", fresh(), LARGE)
    exchange(proxy.address, ask(b"/paced/z"))
    for _ in range(5):
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(ask(b"/paced/z"))
            client.recv(1000)
    assert content(exchange(proxy.address, ask(b"/paced/z"))) == LARGE
