"""The filter of content in a running forward proxy: codings, limits, streams, and no stalls."""

from __future__ import annotations

import gzip
import hashlib
import queue
import random
import socket
import threading
import time
from functools import partial
from pathlib import Path

import brotli
import pytest
import requests
from backports import zstd

from demo.proxies import Proxy, free_port
from tests.scripted import ScriptedOrigin, exchange, read_until
from tests.stalls.detector import FILTER, LONGEST_MILLISECONDS, PLUGINS, longest_stall

CODINGS = {
    "identity": (bytes, bytes),
    "gzip": (gzip.compress, gzip.decompress),
    "br": (brotli.compress, brotli.decompress),
    "zstd": (zstd.compress, zstd.decompress),
}
PAGE = b"<html><head></head><body>" + b"A cat and another cat.\n" * 5000 + b"</body></html>"
FILTERED = PAGE.replace(b"cat", b"dog").replace(b"</head>", b"<!-- seen --></head>")
BOMB = gzip.compress(bytes(100_000_000))
SLOW = b"x" * 1_000_000

RULES = """
use = "content"
buffer_limit = "1MiB"
time_limit = "500ms"
files = ["u.filter"]
actions = ["u.action"]

[[forward.a.filters.rules]]
name = "cats"
type = ["text/*"]
replace = [{ match = "cat", with = "dog" }]
insert = [{ before = "</head>", text = "<!-- seen -->" }]

[[forward.a.filters.rules]]
name = "slow"
url = "/slow"
replace = [{ match = "x(.*y)?", with = "z", flags = "s" }]
"""
ACTIONS = """
{+block{It is an ad.}}
/ad/
{+handle-as-image}
/.*\\.png$
{+crunch-incoming-cookies +filter{shout} +hide-user-agent{Usual}}
/privoxy
{+redirect{s@/old@/new@}}
/old
"""
FILTER_FILE = "FILTER: shout\ns/a dog/A DOG/ig\n"


def serve(directory, filters, limits=""):
    port = free_port()
    (directory / "u.action").write_text(ACTIONS)
    (directory / "u.filter").write_text(FILTER_FILE)
    listed = "".join(f"[[forward.a.filters]]\n{each}\n" for each in filters)
    configuration = (
        f'[log]\naccess = "access-{port}.log"\n[forward.a]\nlisten = "127.0.0.1:{port}"\n'
        f"allow_private = true\n{limits}\n{listed}"
    )
    return Proxy.serving(directory, configuration, port)


def response(content, *fields, chunked=False):
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(field + b"\r\n" for field in fields)
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n" % len(content) + content
    pieces = [content[i : i + 16384] for i in range(0, len(content), 16384)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def answer(connection, head):
    """Serve pages by their path; the coding's name is its last segment."""
    method, path, _ = head.split(b"\r\n")[0].split(b" ")
    html = b"Content-Type: text/html; charset=utf-8"
    coding = path.decode().rpartition("/")[2]
    if coding in CODINGS:
        fields = [html, b'ETag: "v1"', b"Set-Cookie: a=1"]
        if coding != "identity":
            fields.append(b"Content-Encoding: " + coding.encode())
        data = response(CODINGS[coding][0](PAGE), *fields, chunked=path.startswith(b"/chunked"))
    elif path == b"/bomb":
        data = response(BOMB, html, b"Content-Encoding: gzip")
    elif path == b"/bad":
        data = response(b"no gzip, but a cat", html, b"Content-Encoding: gzip")
    elif path == b"/large":
        data = response(b"cat " * 500_000, html)
    elif path == b"/large-chunked":
        data = response(b"cat " * 500_000, html, chunked=True)
    elif path == b"/slow":
        data = response(SLOW, html)
    else:
        data = response(b"a cat", html)
    connection.sendall(data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == b"HEAD" else data)


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(answer) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, origin):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PLUGINS))
        with serve(tmp_path_factory.mktemp("content"), [FILTER, RULES]) as running:
            yield running


@pytest.fixture(scope="module")
def session(proxy):
    with requests.Session() as made:
        made.proxies = {"http": proxy.url}
        made.trust_env = False
        yield made


def raw(session, url, method="GET", **fields):
    """Give the response and its content as it came, in its coding."""
    headers = {"Accept-Encoding": "gzip, br, zstd, deflate", **fields}
    with session.request(
        method, url, headers=headers, stream=True, timeout=10, allow_redirects=False
    ) as got:
        return got, got.raw.read(decode_content=False)


@pytest.mark.parametrize("framing", ["", "/chunked"])
@pytest.mark.parametrize("coding", CODINGS)
def test_a_page_is_filtered_and_keeps_its_coding(session, origin, coding, framing):
    got, content = raw(session, f"{origin.url}{framing}/{coding}")

    assert CODINGS[coding][1](content) == FILTERED
    assert got.headers.get("Content-Encoding", "identity") == coding
    assert got.headers["ETag"] == 'W/"v1"'
    assert "Content-Length" not in got.headers
    assert b"Accept-Encoding: gzip, br, zstd\r\n" in bytes(b"".join(origin.received))


def test_a_head_has_the_fields_of_the_get(session, origin):
    of_get, _ = raw(session, f"{origin.url}/gzip")
    of_head, content = raw(session, f"{origin.url}/gzip", "HEAD")

    assert content == b""
    different = {"Date", "Transfer-Encoding"}
    assert {n: v for n, v in of_head.headers.items() if n not in different} == {
        n: v for n, v in of_get.headers.items() if n not in different
    }


def test_many_pages_on_one_connection_come_in_their_order(proxy, origin):
    """Some are filtered by threads, some at once; pipelined, they must not overtake each other."""
    paths = ["/gzip", "/small", "/identity", "/bad", "/zstd", "/small"] * 3
    with socket.create_connection(proxy.address, timeout=10) as client:
        client.sendall(
            b"".join(
                b"GET %s%s HTTP/1.1\r\nHost: %s\r\n\r\n"
                % (origin.url.encode(), path.encode(), origin.url[7:].encode())
                for path in paths
            )
            + b"GET %s/last HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
            % (origin.url.encode(), origin.url[7:].encode())
        )
        data = b"".join(iter(lambda: client.recv(65536), b""))
    assert data.count(b"HTTP/1.1 200 OK\r\n") == len(paths) + 1
    order = [
        "/small" if b"\r\na dog\r\n" in each else "/bad" if b"no gzip" in each else "/page"
        for each in data.split(b"HTTP/1.1 200 OK\r\n")[1:]
    ]
    assert order == [p if p in ("/small", "/bad") else "/page" for p in paths] + ["/small"]


def unfiltered_for(proxy, why, seconds=5.0):
    """Wait for the log to say that content went on unfiltered."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        lines = [line for line in proxy.output.read_text().splitlines() if "unfiltered" in line]
        if any(why in line for line in lines):
            return True
        time.sleep(0.02)
    return False


def highest_memory(proxy):
    for line in Path(f"/proc/{proxy.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError


def test_a_bomb_goes_on_as_it_came_and_costs_no_memory(proxy, session, origin):
    raw(session, f"{origin.url}/gzip")
    before = highest_memory(proxy)
    _, content = raw(session, f"{origin.url}/bomb")

    assert content == BOMB
    assert highest_memory(proxy) - before < 30_000_000
    assert unfiltered_for(proxy, "it is larger than 1048576 bytes")


def test_what_is_not_what_its_coding_says_goes_on_as_it_came(proxy, session, origin):
    _, content = raw(session, f"{origin.url}/bad")

    assert content == b"no gzip, but a cat"
    assert unfiltered_for(proxy, "it is not gzip")


@pytest.mark.parametrize("path", ["/large", "/large-chunked"])
def test_content_over_the_limit_goes_on_unfiltered(proxy, session, origin, path):
    got, content = raw(session, origin.url + path)

    assert hashlib.sha256(content).digest() == hashlib.sha256(b"cat " * 500_000).digest()
    assert (got.headers.get("Content-Length") == "2000000") is (path == "/large")
    assert unfiltered_for(proxy, "it is larger than 1048576 bytes")


def test_a_page_that_makes_an_expression_slow_goes_on_and_others_with_it(proxy, session, origin):
    longest_stall(proxy)
    slow = threading.Thread(target=lambda: results.append(raw(session, f"{origin.url}/slow")[1]))
    results = []
    slow.start()
    answered = 0
    with requests.Session() as other:
        other.proxies, other.trust_env = {"http": proxy.url}, False
        while slow.is_alive():
            assert raw(other, f"{origin.url}/small")[1] == b"a dog"
            answered += 1
    slow.join()
    assert results == [SLOW]
    assert answered > 5
    assert unfiltered_for(proxy, "it takes too long")
    stall = longest_stall(proxy)
    assert stall < LONGEST_MILLISECONDS


def test_a_client_that_leaves_while_its_page_is_filtered_is_missed_by_nobody(
    proxy, session, origin
):
    for _ in range(3):
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(
                b"GET %s/slow HTTP/1.1\r\nHost: %s\r\n\r\n"
                % (origin.url.encode(), origin.url[7:].encode())
            )
            read_until(client, b"\r\n\r\n")
    assert CODINGS["br"][1](raw(session, f"{origin.url}/br")[1]) == FILTERED
    assert "Traceback" not in proxy.output.read_text()


def test_events_reach_the_client_before_the_next_is_sent(tmp_path):
    wanted = queue.Queue()

    def events(connection, head):
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        while (event := wanted.get(timeout=10)) is not None:
            connection.sendall(b"%x\r\n%s\r\n" % (len(event), event))
        connection.sendall(b"0\r\n\r\n")

    with ScriptedOrigin(events) as origin, serve(tmp_path, [RULES]) as proxy:
        wanted.put(b"data: cat 0\n\n")
        with requests.get(origin.url, proxies={"http": proxy.url}, stream=True, timeout=5) as got:
            pieces = got.raw.read_chunked()
            assert next(pieces) == b"data: cat 0\n\n"
            for number in range(3):
                event = b"data: cat %d\n\n" % number
                wanted.put(event)
                assert next(pieces) == event
            wanted.put(None)
            assert list(pieces) == []


# --- no stalls --------------------------------------------------------------------------------


def large_page(seed=1):
    numbers = random.Random(seed)
    words = [
        b"cat",
        b"<script>",
        b"</script>",
        b"lorem",
        b"ipsum",
        b"x",
        b"\n",
        b"<img src='a.png'>",
    ]
    return b" ".join(numbers.choices(words, k=700_000))


@pytest.mark.parametrize(
    ("coding", "then"),
    [
        *((coding, "") for coding in CODINGS),
        ("identity", 'use = "compress"\nalgorithms = ["gzip"]\ngzip_level = 6'),
    ],
)
def test_a_page_of_megabytes_does_not_hold_the_reactor(tmp_path, monkeypatch, coding, then):
    monkeypatch.setenv("PYTHONPATH", str(PLUGINS))
    page = large_page()
    encode = CODINGS[coding][0]
    if coding == "br":
        encode = partial(brotli.compress, quality=1)
    field = [] if coding == "identity" else [b"Content-Encoding: " + coding.encode()]
    data = response(encode(page), b"Content-Type: text/html", *field)
    rules = (
        'use = "content"\nbuffer_limit = "8MiB"\ntime_limit = "20s"\n[[forward.a.filters.rules]]\nname = "r"\n'
        'replace = [{ match = "cat", with = "dog" }, { match = "(<script)(.*?)(</script>)", with = "{1}>{3}", flags = "s" },'
        ' { match = "<img[^>]+>", with = "", flags = "i" }]\n'
    )
    filters = [FILTER, rules, *([then] if then else [])]
    with ScriptedOrigin(lambda c, h: c.sendall(data)) as origin, serve(tmp_path, filters) as proxy:
        longest_stall(proxy)
        with requests.Session() as session:
            session.proxies, session.trust_env = {"http": proxy.url}, False
            got, content = raw(session, origin.url)
        content = CODINGS[got.headers.get("Content-Encoding", "identity")][1](content)
        stall = longest_stall(proxy)
        assert stall < LONGEST_MILLISECONDS
    assert b"cat" not in content
    assert b"<img" not in content
    assert b"lorem" in content


# --- Privoxy's files --------------------------------------------------------------------------


def test_privoxys_actions_are_done(proxy, session, origin):
    got, content = raw(session, f"{origin.url}/privoxy")
    assert content == b"A DOG"
    assert "Set-Cookie" not in got.headers
    assert b"User-Agent: Usual\r\n" in bytes(b"".join(origin.received))

    got, content = raw(session, f"{origin.url}/ad/x")
    assert got.status_code == 403
    assert b"It is an ad" in content
    assert "http_request_denied" in got.headers["Proxy-Status"]

    got, content = raw(session, f"{origin.url}/ad/x.png")
    assert (got.status_code, got.headers["Content-Type"]) == (403, "image/png")

    got, _ = raw(session, f"{origin.url}/old")
    assert (got.status_code, got.headers["Location"]) == (302, f"{origin.url}/new")


def test_the_log_says_how_much_of_the_files_was_not_taken_over(tmp_path):
    rules = RULES.replace('"u.filter"]', '"u.filter", "v.filter"]')
    (tmp_path / "v.filter").write_text("FILTER: v\ns/(a)\\1/b/\n")
    with serve(tmp_path, [rules]) as proxy:
        assert exchange(proxy.address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        said = proxy.output.read_text()
    assert "content: 2 things of Privoxy's files were not taken over" in said
