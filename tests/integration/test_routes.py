"""Routes of a running proxy: what they take, where they lead, what they answer themselves."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path

import pytest

from demo.origins import download_pieces
from demo.proxies import Proxy, free_port
from proxykit.reverse.split import mark_of
from tests.scripted import ScriptedOrigin, exchange, read_until, reply
from tests.waiting import wait_for_text

ETC = Path(__file__).parents[2] / "etc"


def saying(name):
    return reply(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(name), name))


def ask(target, host=b"a.example", extra=b"", content=b"", method=None):
    method = method or (b"POST" if content else b"GET")
    if content:
        extra += b"Content-Length: %d\r\n" % len(content)
    head = b"%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n"
    return head % (method, target, host, extra) + content


def status_of(answer):
    return int(answer.split(b" ")[1])


def field_of(answer, name):
    found = re.search(rb"^%s: (.*)\r$" % re.escape(name), answer, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else None


def content_of(answer):
    return answer.partition(b"\r\n\r\n")[2]


CONFIGURATION = """
[log]
access = "access.log"
format = "{{route}} {{target}} {{status}}"
[limits]
body_size = 100
[pool.one]
servers = ["{one}"]
[pool.two]
servers = ["{two}"]
[pool.gone]
servers = ["http://127.0.0.1:{closed}"]
[reverse.a]
listen = ["127.0.0.1:{port}"]

[[reverse.a.routes]]
name = "by-header"
headers = {{ X-Version = "~ ^2" }}
pool = "two"
[[reverse.a.routes]]
name = "by-query"
query = {{ version = ["2", "two"] }}
pool = "two"
[[reverse.a.routes]]
name = "by-client"
path = "/client"
client = ["10.0.0.0/8"]
respond = {{ body = "inside" }}
[[reverse.a.routes]]
name = "by-client"
path = "/client"
client = "127.0.0.1"
respond = {{ body = "here", content_type = "text/plain", headers = {{ X-Own = "ü" }} }}
[[reverse.a.routes]]
name = "stripped"
path = "/strip/"
strip_prefix = "/strip"
rewrite = {{ match = "^/([a-z]+)/([0-9]+)$", to = "/{{1}}-{{2}}" }}
add_prefix = "/v1"
pool = "one"
[[reverse.a.routes]]
name = "upload"
path = "/upload"
limits = {{ body_size = "1KiB" }}
pool = "one"
[[reverse.a.routes]]
name = "unlimited"
path = "/unlimited"
limits = {{ body_size = "none" }}
pool = "one"
[[reverse.a.routes]]
name = "down"
path = "/down"
pool = "gone"
error_pages = {{ "502" = "down.html", "4xx" = "bad.json" }}
[[reverse.a.routes]]
name = "intercepted"
path = "/intercepted"
pool = "two"
error_pages = {{ "4xx" = "bad.json" }}
intercept_errors = true
[[reverse.a.routes]]
name = "shown"
path = "/shown"
pool = "two"
error_pages = {{ "4xx" = "bad.json" }}
[[reverse.a.routes]]
name = "files"
path = "/files"
strip_prefix = "/files"
static = {{ root = "site" }}
error_pages = {{ "404" = "bad.json" }}
[[reverse.a.routes]]
name = "moved"
path = "~ ^/old/(?P<rest>.*)"
redirect = {{ to = "https://{{host}}/new/{{rest}}?{{query}}", status = 301 }}
[[reverse.a.routes]]
name = "only-one"
host = "one.example"
pool = "one"
"""


@pytest.fixture(scope="module")
def one():
    with ScriptedOrigin(saying(b"one")) as running:
        yield running


@pytest.fixture(scope="module")
def two():
    def script(connection, head):
        if b"/intercepted" in head or b"/shown" in head:
            connection.sendall(
                b'HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nETag: "x"\r\nX-Kept: yes\r\n\r\ntheir'
            )
        else:
            saying(b"two")(connection, head)

    with ScriptedOrigin(script) as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("routes")
    (directory / "site" / "sub").mkdir(parents=True)
    (directory / "site" / "index.html").write_text("<p>home</p>")
    (directory / "site" / "small.txt").write_text("0123456789")
    with (directory / "site" / "large.bin").open("wb") as file:
        for piece in download_pieces(20_000_000):
            file.write(piece)
    (directory / "down.html").write_text("<p>{status} {id}</p>")
    (directory / "bad.json").write_text('{"status": {status}}')
    return directory


@pytest.fixture(scope="module")
def proxy(site, one, two):
    port = free_port()
    text = CONFIGURATION.format(port=port, one=one.url, two=two.url, closed=free_port())
    with Proxy.serving(site, text, port) as running:
        yield running


@pytest.mark.parametrize(
    ("request_", "status", "end"),
    [
        (ask(b"/x", extra=b"X-Version: 2.1\r\n"), 200, b"two"),
        (ask(b"/x", extra=b"X-Version: 1\r\n"), 404, b""),
        (ask(b"/x?a=b&version=%74wo"), 200, b"two"),
        (ask(b"/client"), 200, b"here"),
        (ask(b"/x", b"One.Example:80"), 200, b"one"),
        (ask(b"/x", b"two.example"), 404, b""),
        (ask(b"/x", b"one.example", b"", b"content"), 200, b"one"),
    ],
)
def test_a_request_is_sent_where_the_first_route_that_matches_says(proxy, request_, status, end):
    answer = exchange(proxy.address, request_)

    assert status_of(answer) == status
    assert answer.endswith(end)


def test_a_fixed_response_has_its_type_and_fields(proxy):
    answer = exchange(proxy.address, ask(b"/client"))

    assert field_of(answer, b"Content-Type") == b"text/plain"
    assert field_of(answer, b"X-Own") == "ü".encode()
    assert field_of(answer, b"Content-Length") == b"4"
    assert content_of(exchange(proxy.address, ask(b"/client", method=b"HEAD"))) == b""


def test_the_server_is_asked_for_the_rewritten_path_and_the_log_has_the_clients(proxy, one, site):
    exchange(proxy.address, ask(b"/strip/item/7?x=%41"))
    exchange(proxy.address, ask(b"/x/../strip/b", extra=b"X-More: 1\r\n"))

    seen = b"".join(map(bytes, one.received))
    assert b"GET /v1/item-7?x=%41 HTTP/1.1\r\n" in seen
    assert b"GET /v1/b HTTP/1.1\r\n" in seen
    wait_for_text(site / "access.log", "stripped /strip/item/7?x=%41 200")
    wait_for_text(site / "access.log", "stripped /x/../strip/b 200")


@pytest.mark.parametrize(
    ("target", "size", "status"),
    [
        (b"/upload", 1024, 200),
        (b"/upload", 1025, 413),
        (b"/unlimited", 200_000, 200),
        (b"/strip/", 100, 200),
        (b"/strip/", 101, 413),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_routes_limit_on_content_takes_the_place_of_the_listeners(
    proxy, target, size, status, chunked
):
    content = b"x" * size
    if chunked:
        content = b"%x\r\n%s\r\n0\r\n\r\n" % (size, content)
        request = ask(target, extra=b"Transfer-Encoding: chunked\r\n", method=b"POST") + content
    else:
        request = ask(target, content=content)

    assert status_of(exchange(proxy.address, request)) == status


def test_a_routes_error_page_is_shown_with_the_status_and_the_exchanges_id(proxy):
    answer = exchange(proxy.address, ask(b"/down"))

    assert status_of(answer) == 502
    assert re.search(rb"<p>502 [0-9a-f]+-[0-9a-f]+</p>\Z", answer)
    assert field_of(answer, b"Content-Type") == b"text/html; charset=utf-8"
    assert b"error=connection_refused" in field_of(answer, b"Proxy-Status")


def test_a_servers_error_is_replaced_only_where_that_is_asked(proxy):
    replaced = exchange(proxy.address, ask(b"/intercepted"))
    shown = exchange(proxy.address, ask(b"/shown"))

    assert status_of(replaced) == status_of(shown) == 404
    assert content_of(replaced) == b'{"status": 404}'
    assert field_of(replaced, b"X-Kept") == b"yes"
    assert field_of(replaced, b"ETag") is None
    assert content_of(shown) == b"their"


def test_what_the_route_itself_does_not_find_has_its_page_too(proxy):
    answer = exchange(proxy.address, ask(b"/files/none"))

    assert status_of(answer) == 404
    assert content_of(answer) == b'{"status": 404}'


def test_a_redirect_has_the_groups_of_the_routes_expression(proxy):
    answer = exchange(proxy.address, ask(b"/old/a%0d%0ab/c?d=e", b"B.example:81"))

    assert status_of(answer) == 301
    assert field_of(answer, b"Location") == b"https://b.example/new/a%0D%0Ab/c?d=e"


# --- files ------------------------------------------------------------------------------------


def test_a_small_file_its_head_and_a_part_of_it(proxy):
    whole = exchange(proxy.address, ask(b"/files/small.txt"))
    head = exchange(proxy.address, ask(b"/files/small.txt", method=b"HEAD"))
    part = exchange(proxy.address, ask(b"/files/small.txt", extra=b"Range: bytes=-3\r\n"))
    again = exchange(
        proxy.address,
        ask(b"/files/small.txt", extra=b"If-None-Match: %s\r\n" % field_of(whole, b"ETag")),
    )

    assert content_of(whole) == b"0123456789"
    assert content_of(head) == b""
    assert field_of(head, b"Content-Length") == field_of(whole, b"Content-Length") == b"10"
    assert (status_of(part), content_of(part)) == (206, b"789")
    assert field_of(part, b"Content-Range") == b"bytes 7-9/10"
    assert (status_of(again), content_of(again)) == (304, b"")
    assert field_of(again, b"Content-Length") is None


def test_files_are_served_one_after_the_other_on_one_connection(proxy):
    with socket.create_connection(proxy.address, timeout=5) as client:
        request = ask(b"/files/small.txt").replace(b"Connection: close\r\n", b"")
        client.sendall(request * 3 + ask(b"/files/"))
        data = read_until(client, b"<p>home</p>")

    assert data.count(b"0123456789") == 3


def test_a_large_file_is_sent_as_the_client_takes_it(proxy, site):
    """The proxy's memory does not grow by the file, whose reader has stopped for the while."""
    whole = (site / "site" / "large.bin").read_bytes()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        client.settimeout(10)
        client.connect(proxy.address)
        before = resident_bytes(proxy)
        client.sendall(ask(b"/files/large.bin"))
        data = bytearray(client.recv(1000))
        # Others are served meanwhile.
        for _ in range(20):
            assert content_of(exchange(proxy.address, ask(b"/files/small.txt"))) == b"0123456789"
        assert resident_bytes(proxy) - before < 8_000_000
        while piece := client.recv(1_000_000):
            data += piece

    assert content_of(bytes(data)) == whole


def resident_bytes(proxy):
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def test_a_client_that_leaves_a_large_file_leaves_no_file_open(proxy):
    descriptors = Path(f"/proc/{proxy.process.pid}/fd")
    with socket.create_connection(proxy.address, timeout=5) as client:
        client.sendall(ask(b"/files/large.bin"))
        assert client.recv(10)
        assert any("large.bin" in str(each.readlink()) for each in descriptors.iterdir())

    waiting = threading.Event()
    for _ in range(250):
        names = []
        for each in descriptors.iterdir():
            try:
                names.append(str(each.readlink()))
            except FileNotFoundError:
                continue
        if not any("large.bin" in name for name in names):
            return
        waiting.wait(0.02)
    raise AssertionError(names)


def test_a_folder_without_a_slash_is_redirected_with_its_prefix(proxy):
    answer = exchange(proxy.address, ask(b"/files/sub?x"))

    assert status_of(answer) == 301
    assert field_of(answer, b"Location") == b"/files/sub/?x"


# --- streams ----------------------------------------------------------------------------------


def test_events_and_long_polls_pass_as_they_come(start):
    """Each event is sent only when the client has seen the one before."""
    seen = threading.Event()

    def events(connection, head):
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(3):
            event = b"data: %d\n\n" % number
            connection.sendall(b"%x\r\n%s\r\n" % (len(event), event))
            assert seen.wait(5)
            seen.clear()
        connection.sendall(b"0\r\n\r\n")

    with ScriptedOrigin(events) as origin:
        proxy = start("reverse", "--backend", origin.url)
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(ask(b"/events"))
            for number in range(3):
                data = read_until(client, b"data: %d\n\n\r\n" % number)
                assert data.endswith(b"data: %d\n\n\r\n" % number)
                seen.set()
            assert read_until(client, b"0\r\n\r\n").endswith(b"0\r\n\r\n")


# --- the samples ------------------------------------------------------------------------------


def sample(directory, name, *origins):
    """Start a sample of etc/ with free ports in the place of its own."""
    port = free_port()
    text = (ETC / name).read_text().replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    for number, origin in enumerate(origins, 1):
        text = text.replace(f"http://127.0.0.1:900{number}", origin.url)
    file = directory / name
    file.write_text(text)
    return Proxy(directory, "serve", "--config", str(file), port=port)


def test_the_sample_of_several_hosts_serves_them(tmp_path, one, two):
    with (
        ScriptedOrigin(saying(b"three")) as three,
        sample(tmp_path, "several-hosts.toml", one, two, three) as proxy,
    ):

        def get(target, host):
            return exchange(proxy.address, ask(target, host))

        assert get(b"/", b"shop.example").endswith(b"one")
        assert get(b"/", b"blog.example").endswith(b"two")
        assert get(b"/", b"x.customers.example").endswith(b"three")
        assert status_of(get(b"/", b"customers.example")) == 404
        assert get(b"/admin/", b"shop.example").endswith(b"Only from the office.\n")
        moved = get(b"/a?b", b"shop.test")
        assert field_of(moved, b"Location") == b"https://shop.example/a?b"
        archive = get(b"/archive/2024/a/b", b"blog.example")
        assert field_of(archive, b"Location") == b"/2024/a/b"
        assert get(b"/feed?x", b"blog.example").endswith(b"two")
        assert b"GET /index.xml?x HTTP/1.1" in two.heads()


def test_the_sample_of_a_canary_splits_sticks_and_mirrors(tmp_path, one, two):
    with (
        ScriptedOrigin(saying(b"three")) as shadow,
        sample(tmp_path, "canary.toml", one, two, shadow) as proxy,
    ):
        asked_for = exchange(proxy.address, ask(b"/", extra=b"X-Canary: 1\r\n"))
        assert asked_for.endswith(b"two")
        assert field_of(asked_for, b"Set-Cookie") is None
        for pool, name in ((b"canary", b"two"), (b"stable", b"one")):
            cookie = b"Cookie: variant=%s\r\n" % mark_of(pool.decode()).encode()
            for _ in range(15):
                answer = exchange(proxy.address, ask(b"/back", extra=cookie))
                assert answer.endswith(name)
                assert field_of(answer, b"Set-Cookie") is None
        cookie = field_of(exchange(proxy.address, ask(b"/new")), b"Set-Cookie")
        assert re.match(rb"variant=[0-9a-f]{12}; .*; Max-Age=604800\Z", cookie)
        # Of 31 requests and more, each copied with one half's chance, one was.
        assert shadow.received
    assert '"site/canary"' in proxy.output.read_text()
