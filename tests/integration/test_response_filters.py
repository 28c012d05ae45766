"""The filters of responses in a running proxy: streams without delay, HEAD, revalidation, limits."""

from __future__ import annotations

import gzip
import hashlib
import queue
import socket
import ssl
import threading
import time
import zlib

import brotli
import pytest
import requests

from demo.proxies import Proxy, free_port
from tests.scripted import ScriptedOrigin, exchange, read_all, read_until
from tests.waiting import wait_for_text

TEXT = b"A line of text that compresses well.\n" * 200


LISTEN = 'listen = "127.0.0.1:PORT"'


def serve(directory, origin, filters, listener="", pool="", limits=""):
    """Give a reverse proxy with filters, not yet started."""
    port = free_port()
    configuration = (
        f'[log]\naccess = "access-{port}.log"\n'
        f"[limits]\n{limits}\n"
        f'[pool.a]\nservers = ["{origin.url}"]\n{pool}\n'
        f"[reverse.a]\n{listener or LISTEN}\n".replace("PORT", str(port))
        + "".join(f"[[reverse.a.filters]]\n{each}\n" for each in filters)
        + '[[reverse.a.routes]]\npool = "a"\n'
    )
    return Proxy.serving(directory, configuration, port)


def ask(path=b"/", extra=b"", method=b"GET"):
    return b"%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n" % (method, path, extra)


def parted(answer):
    """Give the status, the fields in lower case, and what came behind them."""
    head, _, content = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    fields = [tuple(line.split(b": ", 1)) for line in lines]
    return int(status.split(b" ")[1]), {name.lower(): value for name, value in fields}, content


def unchunked(content):
    pieces = []
    while content:
        size, _, content = content.partition(b"\r\n")
        pieces.append(content[: int(size, 16)])
        content = content[int(size, 16) + 2 :]
    return b"".join(pieces)


# --- streams ----------------------------------------------------------------------------------

EVERY_FILTER = [
    'use = "maintenance"\non = false',
    'use = "cors"\norigins = "https://page.example"\ncredentials = true',
    'use = "rate-limit"\nrate = "1000/s"',
    'use = "rewrite"\npath = [{ match = "/", to = "/x/" }]\nlocation = [{ match = "/x/", to = "/" }]\n'
    'cookie_path = [{ match = "/x", to = "/" }]',
    'use = "headers"\nresponse = { set = { X-For = "{client_address} {status}" } }',
]


class Events:
    """An origin that sends an event when it is told to, and says nothing in between."""

    def __init__(self):
        self.wanted = queue.Queue()

    def __call__(self, connection, head):
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
            b"Set-Cookie: a=1; Path=/x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        while (event := self.wanted.get(timeout=10)) is not None:
            connection.sendall(b"%x\r\n%s\r\n" % (len(event), event))
        connection.sendall(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("compress", "coding", "decoder"),
    [
        ("", None, None),
        ('types = ["text/*"]\nalgorithms = ["gzip"]', "gzip", lambda: zlib.decompressobj(31).decompress),
        ('types = ["text/*"]\nalgorithms = ["brotli"]', "br", lambda: brotli.Decompressor().process),
    ],
)  # fmt: skip
def test_an_event_reaches_the_client_before_the_next_is_sent(tmp_path, compress, coding, decoder):
    events = Events()
    filters = [*EVERY_FILTER, f'use = "compress"\n{compress}']
    with ScriptedOrigin(events) as origin, serve(tmp_path, origin, filters) as proxy:
        session = requests.Session()
        events.wanted.put(b"data: first\n\n")
        with session.get(
            proxy.url,
            headers={"Accept-Encoding": "gzip, br", "Origin": "https://page.example"},
            stream=True,
            timeout=5,
        ) as response:
            assert response.headers.get("Content-Encoding") == coding
            assert response.headers["X-For"] == "127.0.0.1 200"
            assert response.headers["Access-Control-Allow-Origin"] == "https://page.example"
            assert response.headers["Set-Cookie"] == "a=1; Path=/"
            decode = decoder() if decoder else bytes
            pieces = response.raw.read_chunked(decode_content=False)
            assert decode(next(pieces)) == b"data: first\n\n"
            for number in range(5):
                event = b"data: %d\n\n" % number
                events.wanted.put(event)
                assert decode(next(pieces)) == event  # the origin waits: nothing else would push it
            events.wanted.put(None)
            decode(b"".join(pieces))
    assert origin.heads() == [b"GET /x/ HTTP/1.1"]


def test_a_long_poll_is_answered_when_the_origin_answers(tmp_path):
    """Content of a known length, of which the second half comes late."""
    answered = threading.Event()

    def script(connection, head):
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (2 * len(TEXT), TEXT)
        )
        answered.wait(10)
        connection.sendall(TEXT)

    with (
        ScriptedOrigin(script) as origin,
        serve(tmp_path, origin, ['use = "compress"']) as proxy,
        socket.create_connection(proxy.address, timeout=5) as client,
    ):
        client.sendall(ask(b"/", b"Accept-Encoding: gzip\r\n"))
        decoder = zlib.decompressobj(31)
        data = read_until(client, b"\r\n")
        while not data.partition(b"\r\n\r\n")[2].endswith(b"\r\n"):
            data += client.recv(65536)
        assert decoder.decompress(unchunked(data.partition(b"\r\n\r\n")[2])) == TEXT
        answered.set()
        assert decoder.decompress(unchunked(read_all(client))) == TEXT
        assert decoder.eof


# --- compress ---------------------------------------------------------------------------------


def page(connection, head):
    """Serve a page with an entity tag, as RFC 9110 has it."""
    method, *_ = head.split(b" ")
    fields = b'ETag: "v1"\r\nAccept-Ranges: bytes\r\nContent-Type: text/html\r\n'
    if b'If-None-Match: "v1"\r\n' in head + b"\r\n":
        connection.sendall(b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\n\r\n')
    elif b"Range: " in head:
        connection.sendall(
            b"HTTP/1.1 206 Partial Content\r\n%sContent-Range: bytes 0-4/%d\r\nContent-Length: 5"
            b"\r\n\r\n%s" % (fields, len(TEXT), TEXT[:5])
        )
    else:
        length = b"Content-Length: %d\r\n\r\n" % len(TEXT)
        content = b"" if method == b"HEAD" else TEXT
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + fields + length + content)


@pytest.fixture(scope="module")
def compressing(tmp_path_factory):
    directory = tmp_path_factory.mktemp("compressing")
    with ScriptedOrigin(page) as origin, serve(directory, origin, ['use = "compress"']) as proxy:
        proxy.origin = origin
        yield proxy


@pytest.mark.parametrize(
    ("coding", "decode"), [("gzip", gzip.decompress), ("br", brotli.decompress)]
)
def test_a_page_is_compressed_as_the_client_likes_it(compressing, coding, decode):
    accept = b"Accept-Encoding: %s\r\n" % coding.encode()
    status, fields, content = parted(exchange(compressing.address, ask(b"/", accept)))

    assert status == 200
    assert decode(unchunked(content)) == TEXT
    assert fields[b"content-encoding"] == coding.encode()
    assert fields[b"vary"] == b"Accept-Encoding"
    assert fields[b"etag"] == b'W/"v1~%s"' % coding.encode()
    assert b"content-length" not in fields
    assert b"accept-ranges" not in fields


def test_a_head_has_the_fields_of_the_get(compressing):
    _, of_get, _ = parted(exchange(compressing.address, ask(b"/", b"Accept-Encoding: gzip\r\n")))
    status, of_head, content = parted(
        exchange(compressing.address, ask(b"/", b"Accept-Encoding: gzip\r\n", b"HEAD"))
    )

    assert status == 200
    assert content == b""
    del of_get[b"transfer-encoding"], of_get[b"date"], of_head[b"date"]
    assert of_head == of_get


def test_a_head_without_a_transform_keeps_its_length_and_its_connection(compressing):
    with socket.create_connection(compressing.address, timeout=5) as client:
        for accept in (b"", b"Accept-Encoding: gzip\r\n", b""):
            client.sendall(b"HEAD / HTTP/1.1\r\nHost: a\r\n%s\r\n" % accept)
            _, fields, content = parted(read_until(client, b"\r\n\r\n"))
            assert content == b""
            assert (fields.get(b"content-length") == b"%d" % len(TEXT)) is not bool(accept)


def test_a_compressed_page_is_revalidated_by_the_origins_tag(compressing):
    revalidate = b'Accept-Encoding: gzip\r\nIf-None-Match: W/"v1~gzip"\r\n'
    status, fields, content = parted(exchange(compressing.address, ask(b"/", revalidate)))

    assert status == 304
    assert content == b""
    assert fields[b"etag"] == b'W/"v1~gzip"'
    assert fields[b"vary"] == b"Accept-Encoding"


def test_a_range_is_passed_as_it_is(compressing):
    partial = b"Accept-Encoding: gzip\r\nRange: bytes=0-4\r\n"
    status, fields, content = parted(exchange(compressing.address, ask(b"/", partial)))

    assert status == 206
    assert content == TEXT[:5]
    assert b"content-encoding" not in fields
    assert fields[b"etag"] == b'"v1"'


def test_a_response_that_breaks_off_is_no_complete_stream(tmp_path):
    def script(connection, head):
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s"
            % (2 * len(TEXT), TEXT)
        )
        connection.close()

    with ScriptedOrigin(script) as origin, serve(tmp_path, origin, ['use = "compress"']) as proxy:
        _, _, content = parted(exchange(proxy.address, ask(b"/", b"Accept-Encoding: gzip\r\n")))

    assert not content.endswith(b"0\r\n\r\n")


# --- limits -----------------------------------------------------------------------------------


def test_a_limit_on_the_command_line(start, origins):
    proxy = start("reverse", "--backend", origins.url, "--rate-limit", "3/m")

    answers = [requests.get(f"{proxy.url}/", timeout=5) for _ in range(5)]

    assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
    assert int(answers[-1].headers["Retry-After"]) in range(1, 21)


def test_a_page_of_another_origin_may_read_that_it_asked_too_much(tmp_path, origins):
    filters = ['use = "cors"\norigins = "https://page.example"', 'use = "rate-limit"\nrate = "1/h"']
    with serve(tmp_path, Origin(origins.url), filters) as proxy:
        headers = {"Origin": "https://page.example"}
        preflight = headers | {"Access-Control-Request-Method": "DELETE"}
        assert requests.options(proxy.url, headers=preflight, timeout=5).status_code == 204
        answers = [requests.get(proxy.url, headers=headers, timeout=5) for _ in range(2)]

    assert [each.status_code for each in answers] == [200, 429]
    for each in answers:
        assert each.headers["Access-Control-Allow-Origin"] == "https://page.example"


class Origin:
    """Something with a URL."""

    def __init__(self, url):
        self.url = url


def test_a_file_takes_a_site_out_of_service(tmp_path, origins):
    filters = ['use = "maintenance"\nfile = "down"\npage = "page.html"\nretry_after = "2m"']
    (tmp_path / "page.html").write_text("<p>back soon</p>")
    with serve(tmp_path, Origin(origins.url), filters) as proxy:
        assert requests.get(proxy.url, timeout=5).status_code == 200
        (tmp_path / "down").touch()
        deadline = time.monotonic() + 5
        while (answer := requests.get(proxy.url, timeout=5)).status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "120"
    assert answer.text == "<p>back soon</p>"


def test_the_log_has_the_target_that_the_client_sent(tmp_path, origins):
    filters = ['use = "rewrite"\npath = [{ match = "/there", to = "/echo" }]']
    with serve(tmp_path, Origin(origins.url), filters) as proxy:
        answer = requests.get(f"{proxy.url}/there?a=1", timeout=5)

    assert answer.json()["target"] == "/echo?a=1"
    assert "/there?a=1" in (tmp_path / f"access-{proxy.port}.log").read_text()


# --- slow clients -----------------------------------------------------------------------------

LARGE = bytes(range(256)) * 128 * 1024  # 32 MiB: more than what the kernel holds on the way


class LargeOrigin(ScriptedOrigin):
    """Sends much, and says when all of it was taken."""

    def __init__(self):
        super().__init__(self._send)
        self.taken = threading.Event()

    def _send(self, connection, head):
        content = LARGE if head.startswith(b"GET /large") else b"ok"
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content))
        connection.sendall(content)
        if content is LARGE:
            self.taken.set()


def slow_client(address, data=None, *, tls=False):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    client.settimeout(10)
    client.connect(address)
    if tls:
        client = ssl._create_unverified_context().wrap_socket(client)
    client.sendall(data or ask(b"/large"))
    return client


def checksum(client):
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(1024)
    digest = hashlib.sha256(head.partition(b"\r\n\r\n")[2])
    while piece := client.recv(1024 * 1024):
        digest.update(piece)
    return digest.hexdigest()


@pytest.mark.parametrize("tls", [False, True])
def test_a_slow_client_does_not_hold_the_server_when_there_is_room(tmp_path, certificate, tls):
    pair = f'certificate = "{certificate.certificate}", key = "{certificate.key}"'
    with_tls = f"tls = {{ {LISTEN}, certificates = [{{ {pair} }}] }}"
    listener = f'response_buffer = "40MiB"\n{with_tls if tls else LISTEN}'
    with (
        LargeOrigin() as origin,
        serve(tmp_path, origin, [], listener, "max_connections = 1") as proxy,
    ):
        client = slow_client(proxy.address, tls=tls)
        with client:
            assert origin.taken.wait(8)
            if not tls:
                # The one connection to the server is free: others are served meanwhile.
                assert exchange(proxy.address, ask(b"/small")).endswith(b"ok")
            assert checksum(client) == hashlib.sha256(LARGE).hexdigest()


def test_a_slow_client_holds_back_the_server_when_there_is_none(tmp_path):
    with (
        LargeOrigin() as origin,
        serve(tmp_path, origin, []) as proxy,
        slow_client(proxy.address) as client,
    ):
        assert not origin.taken.wait(1.0)
        assert checksum(client) == hashlib.sha256(LARGE).hexdigest()
        assert origin.taken.wait(5)


def test_a_client_is_given_time_as_long_as_it_takes_something(tmp_path):
    """Three times as long as one may take nothing, and with nothing more to come from the server."""
    limits = 'body_timeout = "1s"\nidle_timeout = "1s"'
    listener = LISTEN + '\nresponse_buffer = "40MiB"'
    with (
        LargeOrigin() as origin,
        serve(tmp_path, origin, [], listener, "", limits) as proxy,
        slow_client(proxy.address) as client,
    ):
        assert origin.taken.wait(8)
        received = 0
        for _ in range(30):
            received += len(client.recv(200_000, socket.MSG_WAITALL))
            time.sleep(0.1)
        received += len(read_all(client))

    assert received > len(LARGE)


def test_a_client_that_takes_nothing_is_cut_off(tmp_path):
    with (
        LargeOrigin() as origin,
        serve(tmp_path, origin, [], "", "", 'body_timeout = "1s"') as proxy,
        slow_client(proxy.address) as client,
    ):
        wait_for_text(tmp_path / f"access-{proxy.port}.log", "/large", 8)
        assert len(read_all(client)) < len(LARGE)


def test_who_pipelines_and_does_not_read_is_answered_no_further(tmp_path):
    """And later in full: nothing is lost. Each response is small enough to come in one read."""
    content = b"x" * 10_000
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    with (
        ScriptedOrigin(lambda connection, head: connection.sendall(reply)) as origin,
        serve(tmp_path, origin, []) as proxy,
        slow_client(proxy.address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3999 + ask()) as client,
    ):
        before, seen = -1, 0
        while before != seen:
            time.sleep(0.3)
            before, seen = seen, len(origin.heads())
        assert seen < 2000

        assert read_all(client).count(content) == 4000
