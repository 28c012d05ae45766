"""The cache in running proxies: hits, crowds, staleness, ranges, control, and what is refused."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from contextlib import ExitStack
from email.utils import formatdate

import pytest

from demo.proxies import free_port
from tests.integration.cached import (
    DIGITS,
    ask,
    cache_says,
    content,
    crowd,
    crowd_behind_a_gate,
    field,
    fresh,
    gate,
    ranged,
    serving,
    status,
    until,
)
from tests.scripted import exchange, read_all, read_until

RULES = """
[cache.main]
store = "memory"
size = "8MiB"
max_object_size = "1MiB"
lock_timeout = "1s"
[cache.other]
size = "1MiB"
[pool.a]
servers = ["{url}"]
response_timeout = "10s"
retries = 0
[reverse.a]
listen = ["127.0.0.1:{port}"]
[[reverse.a.routes]]
path = "/ruled/"
pool = "a"
[reverse.a.routes.cache]
use = "main"
bypass_cookies = ["session"]
lifetimes = {{ "404" = "30s" }}
query_ignore = ["utm_*"]
key_headers = ["X-Country"]
purge_from = ["127.0.0.0/8"]
stale_if_error = "60s"
[[reverse.a.routes.cache.rules]]
path = "/ruled/never/"
bypass = true
[[reverse.a.routes.cache.rules]]
path = "/ruled/forced/"
force_lifetime = "60s"
[[reverse.a.routes]]
pool = "a"
cache = "main"
[reverse.b]
listen = ["127.0.0.1:{other}"]
[[reverse.b.routes]]
pool = "a"
cache = {{ use = "main", purge_from = ["192.0.2.0/24"] }}
[log]
access = "access.log"
format = "{{target}} {{cache}}"
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, site):
    directory = tmp_path_factory.mktemp("cache")
    other = free_port()
    with serving(directory, RULES, url=site.url, other=other) as running:
        running.other = ("127.0.0.1", other)
        running.log = directory / "access.log"
        yield running


# --- hits and misses --------------------------------------------------------------------------


def test_a_fresh_response_is_answered_without_the_origin(proxy, site):
    site.put(b"/hit", fresh(), b"stored")

    first = exchange(proxy.address, ask(b"/hit"))
    second = exchange(proxy.address, ask(b"/hit"))

    assert content(first) == content(second) == b"stored"
    assert site.count(b"/hit") == 1
    assert cache_says(first) == b"fwd=uri-miss; stored"
    assert cache_says(second).startswith(b"hit; ttl=59")
    assert field(second, b"Age") == b"0"
    assert field(second, b"Via") == field(first, b"Via")


def test_the_origins_age_counts(proxy, site):
    site.put(b"/aged", fresh(age=50), b"stored")
    exchange(proxy.address, ask(b"/aged"))

    answer = exchange(proxy.address, ask(b"/aged"))

    assert int(field(answer, b"Age")) in (50, 51)
    assert cache_says(answer).startswith((b"hit; ttl=9", b"hit; ttl=8"))


def test_head_is_answered_from_a_stored_get(proxy, site):
    site.put(b"/headed", fresh(), b"stored")
    exchange(proxy.address, ask(b"/headed"))

    answer = exchange(proxy.address, ask(b"/headed", method=b"HEAD"))

    assert field(answer, b"Content-Length") == b"6"
    assert content(answer) == b""
    assert site.count(b"/headed") == 1


def test_two_hosts_are_two_keys_and_two_listeners_are_two_name_spaces(proxy, site):
    site.put(b"/shared", fresh())
    for address, host in ((proxy.address, b"a"), (proxy.address, b"b"), (proxy.other, b"a")):
        exchange(address, ask(b"/shared").replace(b"Host: a", b"Host: " + host))

    assert site.count(b"/shared") == 3


def test_the_hosts_case_and_its_default_port_are_one_key(proxy, site):
    site.put(b"/host", fresh())
    for host in (b"a", b"A", b"a:80"):
        exchange(proxy.address, ask(b"/host").replace(b"Host: a", b"Host: " + host))

    assert site.count(b"/host") == 1


def test_a_response_in_chunks_is_stored_whole(proxy, site):
    site.answers[b"/chunks"] = (
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
    )
    exchange(proxy.address, ask(b"/chunks"))

    answer = exchange(proxy.address, ask(b"/chunks"))

    assert content(answer) == b"abcdef"
    assert field(answer, b"Content-Length") == b"6"
    assert site.count(b"/chunks") == 1


def test_an_http_1_0_client_is_answered_from_the_cache(proxy, site):
    site.put(b"/old", fresh(), b"stored")
    exchange(proxy.address, ask(b"/old"))

    answer = exchange(proxy.address, b"GET /old HTTP/1.0\r\nHost: a\r\n\r\n")

    assert answer.endswith(b"\r\n\r\nstored")
    assert site.count(b"/old") == 1


def test_pipelined_hits_are_answered_in_order(proxy, site):
    for path in (b"/p1", b"/p2"):
        site.put(path, fresh(), path)
        exchange(proxy.address, ask(path))
    get = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"

    answer = exchange(proxy.address, get % b"/p1" + get % b"/p2" + get % b"/p1" + ask(b"/p2"))

    assert [part[:3] for part in answer.split(b"\r\n\r\n")[1:]] == [b"/p1", b"/p2", b"/p1", b"/p2"]


def test_vary_keeps_variants_apart_and_spelling_does_not(proxy, site):
    site.put(b"/vary", fresh() + b"Vary: Accept-Encoding\r\n")
    for value in (b"gzip, br", b"br,gzip", b"GZIP ,br", b"identity"):
        exchange(proxy.address, ask(b"/vary", b"Accept-Encoding: %s\r\n" % value))
    missing = exchange(proxy.address, ask(b"/vary"))

    assert site.count(b"/vary") == 3
    assert cache_says(missing).startswith(b"fwd=vary-miss")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (b"/no-store", b"Cache-Control: no-store, max-age=60\r\n"),
        (b"/private", b"Cache-Control: private, max-age=60\r\n"),
        (b"/vary-star", b"Cache-Control: max-age=60\r\nVary: *\r\n"),
        (b"/set-cookie", b"Cache-Control: max-age=60\r\nSet-Cookie: a=1\r\n"),
        (b"/silent", b""),
        (b"/expired", b"Expires: 0\r\n"),
    ],
)
def test_what_may_not_be_stored_goes_to_the_origin_each_time(proxy, site, path, fields):
    site.put(path, fields, b"mine")

    for _ in range(3):
        answer = exchange(proxy.address, ask(path))
        assert content(answer) == b"mine"
        assert b"stored" not in cache_says(answer)

    assert site.count(path) == 3


def test_a_response_to_authorization_is_stored_only_when_it_says_so(proxy, site):
    site.put(b"/auth", b"Cache-Control: max-age=60\r\n")
    site.put(b"/auth-public", b"Cache-Control: max-age=60, public\r\n")
    for path in (b"/auth", b"/auth-public"):
        for _ in range(2):
            exchange(proxy.address, ask(path, b"Authorization: Basic eA==\r\n"))

    assert site.count(b"/auth") == 2
    assert site.count(b"/auth-public") == 1


def test_fields_are_stored_but_those_of_the_connection_and_of_proxies(proxy, site):
    site.put(
        b"/fields",
        fresh()
        + b"X-Unheard-Of: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n"
        + b"Proxy-Authenticate: Basic\r\n",
    )
    exchange(proxy.address, ask(b"/fields"))
    answer = exchange(proxy.address, ask(b"/fields"))

    assert cache_says(answer).startswith(b"hit")
    assert field(answer, b"X-Unheard-Of") == b"1"
    for name in (b"X-Hop", b"Keep-Alive", b"Proxy-Authenticate"):
        assert field(answer, name) is None


def test_directives_are_passed_on_to_the_client_and_to_the_origin(proxy, site):
    value = b'max-age=60, community="UCI", frobnicate'
    site.put(b"/passed", b"Cache-Control: %s\r\n" % value)
    for _ in range(2):
        answer = exchange(proxy.address, ask(b"/passed", b"Cache-Control: min-fresh=1, x-y\r\n"))
        assert field(answer, b"Cache-Control") == value
    assert b"Cache-Control: min-fresh=1, x-y" in site.last(b"/passed")


def test_the_most_recent_of_several_that_fit_is_used(proxy, site):
    dates = [formatdate(time.time() - age, usegmt=True).encode() for age in (50, 100)]
    vary = b"Vary: X-A\r\nCache-Control: max-age=600\r\nDate: %s\r\n"
    site.put(b"/recent", vary % dates[0] + b'ETag: "1"\r\n', b"newer")
    exchange(proxy.address, ask(b"/recent", b"X-A: 1\r\n"))
    # What is received later is not what is more recent: that is said by Date.
    other = b"Vary: X-B\r\nCache-Control: max-age=600\r\nDate: %s\r\n" % dates[1]
    site.put(b"/recent", other, b"older")
    exchange(proxy.address, ask(b"/recent", b"X-A: 2\r\nX-B: 1\r\n"))

    answer = exchange(proxy.address, ask(b"/recent", b"X-A: 1\r\nX-B: 1\r\n"))

    assert content(answer) == b"newer"
    assert site.count(b"/recent") == 2


def test_if_match_goes_to_the_origin(proxy, site):
    site.put(b"/if-match", fresh())
    exchange(proxy.address, ask(b"/if-match"))
    site.put(b"/if-match", b"", b"", b"412 Precondition Failed")

    answer = exchange(proxy.address, ask(b"/if-match", b'If-Match: "v2"\r\n'))

    assert status(answer) == b"412"
    assert b'If-Match: "v2"' in site.last(b"/if-match")


# --- validation -------------------------------------------------------------------------------


def test_a_stale_response_is_validated_and_freshened_by_a_304(proxy, site):
    site.put(b"/stale", fresh(age=100) + b"X-Old: 1\r\n", b"stored")
    exchange(proxy.address, ask(b"/stale"))
    site.put(
        b"/stale",
        b'ETag: "v1"\r\nCache-Control: max-age=60\r\nX-New: 1\r\n',
        b"",
        b"304 Not Modified",
    )

    answer = exchange(proxy.address, ask(b"/stale"))
    again = exchange(proxy.address, ask(b"/stale"))

    assert content(answer) == b"stored"
    assert b'If-None-Match: "v1"' in site.last(b"/stale")
    assert cache_says(answer) == b"fwd=stale; fwd-status=304"
    assert field(answer, b"X-New") == b"1"
    assert field(answer, b"X-Old") == b"1"
    assert cache_says(again).startswith(b"hit")
    assert site.count(b"/stale") == 2


def test_a_stale_response_is_replaced_by_a_200(proxy, site):
    site.put(b"/changed", fresh(age=100), b"old")
    exchange(proxy.address, ask(b"/changed"))
    site.put(b"/changed", b'Cache-Control: max-age=60\r\nETag: "v2"\r\n', b"new")

    assert content(exchange(proxy.address, ask(b"/changed"))) == b"new"
    assert content(exchange(proxy.address, ask(b"/changed"))) == b"new"
    assert site.count(b"/changed") == 2


def test_a_304_about_something_else_is_followed_by_an_unconditional_request(proxy, site):
    site.put(b"/other-304", fresh(age=100), b"old")
    exchange(proxy.address, ask(b"/other-304"))

    def answer(connection, head):
        if b"If-None-Match" in head:
            connection.sendall(b'HTTP/1.1 304 Not Modified\r\nETag: "v9"\r\n\r\n')
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")

    site.answers[b"/other-304"] = answer

    assert content(exchange(proxy.address, ask(b"/other-304"))) == b"new"


@pytest.mark.parametrize(
    "condition",
    [
        b'If-None-Match: "v1"\r\n',
        b'If-None-Match: "x", W/"v1"\r\n',
        b"If-None-Match: *\r\n",
        b"If-Modified-Since: Fri, 02 Jan 2026 00:00:00 GMT\r\n",
    ],
)
def test_a_clients_condition_is_answered_from_the_cache(proxy, site, condition):
    site.put(b"/conditional", fresh() + b"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n")
    exchange(proxy.address, ask(b"/conditional"))

    answer = exchange(proxy.address, ask(b"/conditional", condition))

    assert status(answer) == b"304"
    assert field(answer, b"ETag") == b'"v1"'
    assert site.count(b"/conditional") == 1


def test_a_clients_condition_on_a_miss_is_answered_out_of_the_whole_response(proxy, site):
    site.put(b"/conditional-miss", fresh(), b"stored")

    answer = exchange(proxy.address, ask(b"/conditional-miss", b'If-None-Match: "v1"\r\n'))
    after = exchange(proxy.address, ask(b"/conditional-miss"))

    assert status(answer) == b"304"
    assert b"If-None-Match" not in site.last(b"/conditional-miss")
    assert content(after) == b"stored"
    assert site.count(b"/conditional-miss") == 1


def test_no_cache_of_a_client_asks_the_origin_and_only_if_cached_never_does(proxy, site):
    site.put(b"/directed", fresh(), b"stored")

    refused = exchange(proxy.address, ask(b"/directed", b"Cache-Control: only-if-cached\r\n"))
    assert status(refused) == b"504"
    assert site.count(b"/directed") == 0

    exchange(proxy.address, ask(b"/directed"))
    exchange(proxy.address, ask(b"/directed", b"Cache-Control: no-cache\r\n"))
    exchange(proxy.address, ask(b"/directed", b"Pragma: no-cache\r\n"))
    assert site.count(b"/directed") == 3
    answer = exchange(proxy.address, ask(b"/directed", b"Cache-Control: only-if-cached\r\n"))
    assert content(answer) == b"stored"
    assert site.count(b"/directed") == 3


def test_head_updates_what_is_stored_and_a_changed_one_makes_it_stale(proxy, site):
    site.put(b"/by-head", fresh(age=100), b"stored")
    exchange(proxy.address, ask(b"/by-head"))

    site.answers[b"/by-head"] = (
        b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: "v1"\r\nCache-Control: max-age=60\r\n\r\n'
    )
    exchange(proxy.address, ask(b"/by-head", method=b"HEAD"))
    assert cache_says(exchange(proxy.address, ask(b"/by-head"))).startswith(b"hit")

    site.answers[b"/by-head"] = (
        b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: "v2"\r\nCache-Control: max-age=60\r\n\r\n'
    )
    exchange(proxy.address, ask(b"/by-head", b"Cache-Control: no-cache\r\n", b"HEAD"))
    site.put(b"/by-head", fresh(), b"changed")
    assert content(exchange(proxy.address, ask(b"/by-head"))) == b"changed"


# --- invalidation -----------------------------------------------------------------------------


@pytest.mark.parametrize("request_line", [b"GET /ruled/no-host", b"POST /ruled/no-host"])
def test_what_names_no_host_passes_by(proxy, site, request_line):
    site.put(b"/ruled/no-host", fresh(), b"answered")
    before = site.count(b"/ruled/no-host")
    fields = b"Cookie: other=1\r\n" + (b"Content-Length: 0\r\n" if b"POST" in request_line else b"")

    answer = exchange(proxy.address, b"%s HTTP/1.0\r\n%s\r\n" % (request_line, fields))

    assert (status(answer), content(answer)) == (b"200", b"answered")
    assert cache_says(answer) in (b"fwd=bypass", b"fwd=method")
    assert site.count(b"/ruled/no-host") == before + 1


def test_an_unsafe_request_invalidates_its_target_and_where_it_points(proxy, site):
    for path in (b"/item", b"/list", b"/elsewhere"):
        site.put(path, fresh(), b"old")
        exchange(proxy.address, ask(path))
    site.put(
        b"/item",
        b"Location: /list\r\nContent-Location: http://b/elsewhere\r\n",
        b"done",
        b"201 Created",
    )
    exchange(proxy.address, ask(b"/item", method=b"POST", content=b"x"))
    for path in (b"/item", b"/list", b"/elsewhere"):
        site.put(path, fresh(), b"new")

    assert content(exchange(proxy.address, ask(b"/item"))) == b"new"
    assert content(exchange(proxy.address, ask(b"/list"))) == b"new"
    assert content(exchange(proxy.address, ask(b"/elsewhere"))) == b"old"


def test_an_unsafe_request_that_fails_invalidates_nothing(proxy, site):
    site.put(b"/kept", fresh(), b"old")
    exchange(proxy.address, ask(b"/kept"))
    site.put(b"/kept", b"", b"no", b"409 Conflict")
    exchange(proxy.address, ask(b"/kept", method=b"DELETE"))

    assert content(exchange(proxy.address, ask(b"/kept"))) == b"old"


# --- under load -------------------------------------------------------------------------------


def test_one_hundred_clients_for_one_missing_object_are_one_request(proxy, site):
    body = bytes(range(256)) * 1000
    answer = b"HTTP/1.1 200 OK\r\n" + fresh() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)

    answers = crowd_behind_a_gate(proxy, site, b"/crowd", answer)

    assert site.count(b"/crowd") == 1
    assert all(content(each) == body for each in answers)
    assert sum(b"collapsed" in cache_says(each) for each in answers) == 99


def test_one_hundred_clients_whose_one_request_is_cut_off_are_one_request(proxy, site):
    answers = crowd_behind_a_gate(
        proxy, site, b"/crowd-cut", lambda connection: connection.shutdown(socket.SHUT_RDWR)
    )

    assert site.count(b"/crowd-cut") == 1
    assert {status(each) for each in answers} == {b"502"}


def test_one_hundred_clients_whose_one_request_fails_at_the_origin_are_one_request(proxy, site):
    answer = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops"

    answers = crowd_behind_a_gate(proxy, site, b"/crowd-500", answer)

    assert site.count(b"/crowd-500") == 1
    assert {status(each) for each in answers} == {b"500"}
    site.put(b"/crowd-500", b"", b"fine")
    assert content(exchange(proxy.address, ask(b"/crowd-500"))) == b"fine"


def test_an_error_page_of_one_user_is_not_shown_to_another(proxy, site):
    answer = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\n\r\nsecret"
    open_gate = gate(site, b"/users-500", answer)
    requests = [ask(b"/users-500", b"Cookie: u=%d\r\n" % n) for n in range(5)]
    answers = crowd(proxy, requests, open_gate.set)

    assert site.count(b"/users-500") == 1
    assert sum(b"secret" in each for each in answers) == 1
    assert {status(each) for each in answers} == {b"500", b"502"}


def test_a_crowd_for_what_is_private_is_served_one_by_one(proxy, site):
    answer = b"HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 4\r\n\r\nmine"

    answers = crowd_behind_a_gate(proxy, site, b"/crowd-private", answer, 10)

    assert site.count(b"/crowd-private") == 10
    assert all(content(each) == b"mine" for each in answers)


def test_a_crowd_for_two_variants_is_two_requests(proxy, site):
    open_gate = threading.Event()

    def wait(connection, head):
        open_gate.wait(5)
        coding = b"gzip" if b"Accept-Encoding: gzip" in head else b"none"
        connection.sendall(
            b"HTTP/1.1 200 OK\r\n"
            + fresh()
            + b"Vary: Accept-Encoding\r\nContent-Length: 4\r\n\r\n"
            + coding
        )

    site.answers[b"/variants"] = wait
    asked = [ask(b"/variants", b"Accept-Encoding: gzip\r\n"), ask(b"/variants")] * 20
    answers = crowd(proxy, asked, open_gate.set)

    assert [content(each) for each in answers] == [b"gzip", b"none"] * 20
    assert site.count(b"/variants") == 2


def test_a_crowd_for_what_must_be_validated_is_never_answered_without(proxy, site):
    control = b'Cache-Control: no-cache, max-age=60\r\nETag: "a"\r\n'
    answer = b"HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nok" % control

    answers = crowd_behind_a_gate(proxy, site, b"/crowd-no-cache", answer, 5)

    assert {content(each) for each in answers} == {b"ok"}
    assert site.count(b"/crowd-no-cache") == 5


def test_a_response_cut_short_reaches_nobody_as_whole_and_is_not_stored(proxy, site):
    def cut(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + fresh() + b"Content-Length: 100\r\n\r\nhalf")
        connection.shutdown(socket.SHUT_RDWR)

    answers = crowd_behind_a_gate(proxy, site, b"/cut", cut, 5)
    assert all(content(each) == b"half" for each in answers)  # and 96 bytes are missing

    site.put(b"/cut", fresh(), b"whole")
    assert content(exchange(proxy.address, ask(b"/cut"))) == b"whole"
    assert site.count(b"/cut") == 2


def slow_origin(pieces, between):
    """Give an answer that sends pieces, each once the event before it is set."""

    def answer(connection, head):
        for piece, event in zip(pieces, between, strict=True):
            event.wait(5)
            connection.sendall(piece)

    return answer


def test_content_reaches_all_while_it_arrives(proxy, site):
    go = [threading.Event() for _ in range(2)]
    head = b"HTTP/1.1 200 OK\r\n" + fresh() + b"Content-Length: 10\r\n\r\nfirst"
    site.answers[b"/streamed"] = slow_origin([head, b"other"], go)
    connections = [socket.create_connection(proxy.address, timeout=5) for _ in range(2)]
    for connection in connections:
        connection.sendall(ask(b"/streamed"))
    until(lambda: site.count(b"/streamed") == 1)
    go[0].set()
    for connection in connections:
        assert read_until(connection, b"first").endswith(b"first")
    late = socket.create_connection(proxy.address, timeout=5)
    late.sendall(ask(b"/streamed"))
    assert read_until(late, b"first").endswith(b"first")  # it joins what is under way
    go[1].set()

    for connection in (*connections, late):
        with connection:
            assert read_all(connection) == b"other"
    assert site.count(b"/streamed") == 1


def test_a_slow_client_holds_up_nobody(proxy, site):
    body = b"x" * 900_000
    site.put(b"/slow-client", fresh(), body)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(proxy.address)
    slow.sendall(ask(b"/slow-client"))

    answers = crowd(proxy, [ask(b"/slow-client")] * 5)

    assert all(content(each) == body for each in answers)
    assert site.count(b"/slow-client") == 1
    slow.settimeout(5)
    with slow:
        assert content(read_all(slow)) == body


def test_the_first_client_leaves_and_the_others_are_served(proxy, site):
    go = [threading.Event() for _ in range(2)]
    head = b"HTTP/1.1 200 OK\r\n" + fresh() + b"Content-Length: 10\r\n\r\nfirst"
    site.answers[b"/left"] = slow_origin([head, b"other"], go)
    first, second = (socket.create_connection(proxy.address, timeout=5) for _ in range(2))
    first.sendall(ask(b"/left"))
    until(lambda: site.count(b"/left") == 1)
    second.sendall(ask(b"/left"))
    go[0].set()
    assert read_until(second, b"first").endswith(b"first")
    first.close()
    go[1].set()

    with second:
        assert read_all(second) == b"other"
    assert site.count(b"/left") == 1


def test_a_fetch_that_nobody_waits_for_is_given_up_before_its_head(proxy, site):
    closed = threading.Event()

    def answer(connection, head):
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        closed.set()

    site.answers[b"/abandoned"] = answer
    with socket.create_connection(proxy.address, timeout=5) as client:
        client.sendall(ask(b"/abandoned"))
        until(lambda: site.count(b"/abandoned") == 1)

    assert closed.wait(5)


def test_a_fetch_that_is_nearly_done_is_finished_and_stored(proxy, site):
    go = [threading.Event() for _ in range(2)]
    head = b"HTTP/1.1 200 OK\r\n" + fresh() + b"Content-Length: 10\r\n\r\nfirst"
    site.answers[b"/finished"] = slow_origin([head, b"other"], go)
    with socket.create_connection(proxy.address, timeout=5) as client:
        client.sendall(ask(b"/finished"))
        go[0].set()
        assert read_until(client, b"first").endswith(b"first")
    time.sleep(0.05)
    go[1].set()

    def is_hit():
        return (
            status(exchange(proxy.address, ask(b"/finished", b"Cache-Control: only-if-cached\r\n")))
            == b"200"
        )

    until(is_hit)
    assert site.count(b"/finished") == 1


def test_who_waits_too_long_asks_for_itself(proxy, site):
    open_gate = gate(site, b"/locked", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    first, second = (socket.create_connection(proxy.address, timeout=10) for _ in range(2))
    first.sendall(ask(b"/locked"))
    until(lambda: site.count(b"/locked") == 1)
    second.sendall(ask(b"/locked"))
    until(lambda: site.count(b"/locked") == 2)
    open_gate.set()

    answers = []
    for connection in (first, second):
        with connection:
            answers.append(read_all(connection))
    assert {content(each) for each in answers} == {b"ok"}
    assert cache_says(answers[1]) == b"fwd=uri-miss; detail=lock-timeout"


def test_a_stale_response_is_used_while_it_is_revalidated_once(proxy, site):
    swr = b'Cache-Control: max-age=10, stale-while-revalidate=600\r\nETag: "v1"\r\n'
    site.put(b"/swr", swr + b"Age: 100\r\n", b"old")
    exchange(proxy.address, ask(b"/swr"))
    open_gate = gate(site, b"/swr", b"HTTP/1.1 200 OK\r\n" + swr + b"Content-Length: 3\r\n\r\nnew")

    answers = crowd(proxy, [ask(b"/swr")] * 10)

    assert all(content(each) == b"old" for each in answers)
    assert all(cache_says(each).startswith(b"hit; ttl=-9") for each in answers)
    open_gate.set()
    until(lambda: content(exchange(proxy.address, ask(b"/swr"))) == b"new")
    assert site.count(b"/swr") == 2


def test_a_stale_response_is_used_when_the_origin_fails(proxy, site):
    fields = b'Cache-Control: max-age=10, stale-if-error=600\r\nETag: "v1"\r\nAge: 100\r\n'
    site.put(b"/sie", fields, b"old")
    exchange(proxy.address, ask(b"/sie"))
    site.put(b"/sie", b"", b"oops", b"503 Service Unavailable")
    by_status = exchange(proxy.address, ask(b"/sie"))
    site.answers[b"/sie"] = lambda connection, head: connection.shutdown(socket.SHUT_RDWR)
    by_failure = exchange(proxy.address, ask(b"/sie"))

    assert content(by_status) == content(by_failure) == b"old"
    assert cache_says(by_failure).startswith(b"hit; ttl=-9")
    assert site.count(b"/sie") == 3


def test_a_refresh_behind_the_back_that_fails_leaves_what_is_stored(proxy, site):
    swr = b"Cache-Control: max-age=10, stale-while-revalidate=600\r\nAge: 100\r\n"
    site.put(b"/swr-fails", swr, b"old")
    exchange(proxy.address, ask(b"/swr-fails"))
    site.put(b"/swr-fails", b"", b"oops" * 100_000, b"500 Oops")

    for asked in range(2, 5):
        assert content(exchange(proxy.address, ask(b"/swr-fails"))) == b"old"
        until(lambda asked=asked: site.count(b"/swr-fails") == asked)


def test_what_must_be_revalidated_is_a_504_when_the_origin_is_gone(proxy, site):
    site.put(b"/must", fresh(age=100).replace(b"=60", b"=60, must-revalidate, stale-if-error=600"))
    exchange(proxy.address, ask(b"/must"))
    site.answers[b"/must"] = lambda connection, head: connection.shutdown(socket.SHUT_RDWR)

    assert status(exchange(proxy.address, ask(b"/must", b"Cache-Control: max-stale\r\n"))) == b"504"


def test_what_is_too_large_is_passed_on_and_not_stored(proxy, site):
    body = bytes(range(256)) * 8192  # 2 MiB
    site.put(b"/large", fresh(), body)
    site.answers[b"/large-chunked"] = (
        b"HTTP/1.1 200 OK\r\n" + fresh() + b"Transfer-Encoding: chunked\r\n\r\n"
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    )

    for _ in range(2):
        assert content(exchange(proxy.address, ask(b"/large"))) == body
        old = exchange(proxy.address, b"GET /large-chunked HTTP/1.0\r\nHost: a\r\n\r\n")
        assert content(old) == body

    assert site.count(b"/large") == 2
    assert site.count(b"/large-chunked") == 2


def test_a_response_that_becomes_too_large_is_shared_at_the_pace_of_the_fastest(proxy, site):
    body = bytes(range(256)) * 49152  # 12 MiB, and no more than 1 MiB is stored
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    head = b"HTTP/1.1 200 OK\r\n" + fresh() + b"Transfer-Encoding: chunked\r\n\r\n"
    open_gate = gate(site, b"/grows", head + chunk)
    with ExitStack() as stack:
        fast = stack.enter_context(socket.create_connection(proxy.address, timeout=10))
        slow = stack.enter_context(socket.socket())
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(proxy.address)
        fast.sendall(b"GET /grows HTTP/1.0\r\nHost: a\r\n\r\n")
        slow.sendall(ask(b"/grows"))
        for _ in range(2):
            exchange(proxy.address, ask(b"/after", b"Cache-Control: only-if-cached\r\n"))
        open_gate.set()
        assert content(read_all(fast)) == body
        slow.settimeout(5)
        # The client that took nothing was left behind, and can tell: the last chunk is missing.
        assert not read_all(slow).endswith(b"0\r\n\r\n")
    assert site.count(b"/grows") == 1


def test_what_is_not_for_the_cache_goes_with_the_clients_own_conditions(proxy, site):
    site.put(b"/own", b'Cache-Control: private\r\nETag: "p"\r\n', b"mine")
    condition = b'If-None-Match: "p"\r\n'

    first = exchange(proxy.address, ask(b"/own", condition))
    assert status(first) == b"304"  # answered out of the origin's 200
    assert condition.strip() not in site.last(b"/own")
    site.put(b"/own", b'ETag: "p"\r\n', b"", b"304 Not Modified")
    second = exchange(proxy.address, ask(b"/own", condition))

    assert status(second) == b"304"
    assert condition.strip() in site.last(b"/own")


# --- ranges -----------------------------------------------------------------------------------


def test_ranges_are_answered_out_of_the_whole(proxy, site):
    site.answers[b"/whole"] = lambda connection, head: connection.sendall(ranged(head))
    exchange(proxy.address, ask(b"/whole"))

    one = exchange(proxy.address, ask(b"/whole", b"Range: bytes=-3\r\n"))
    two = exchange(proxy.address, ask(b"/whole", b"Range: bytes=0-1,5-6\r\n"))
    none = exchange(proxy.address, ask(b"/whole", b"Range: bytes=10-\r\n"))
    held = exchange(proxy.address, ask(b"/whole", b'Range: bytes=0-1\r\nIf-Range: "r1"\r\n'))
    changed = exchange(proxy.address, ask(b"/whole", b'Range: bytes=0-1\r\nIf-Range: "r2"\r\n'))

    assert (status(one), content(one)) == (b"206", b"789")
    assert field(one, b"Content-Range") == b"bytes 7-9/10"
    assert field(two, b"Content-Type").startswith(b"multipart/byteranges; boundary=")
    assert b"Content-Range: bytes 5-6/10\r\n\r\n56\r\n--" in content(two)
    assert int(field(two, b"Content-Length")) == len(content(two))
    assert (status(none), field(none, b"Content-Range")) == (b"416", b"bytes */10")
    assert (status(held), content(held)) == (b"206", b"01")
    assert (status(changed), content(changed)) == (b"200", DIGITS)
    assert site.count(b"/whole") == 1


def test_parts_are_stored_answered_from_and_combined_to_the_whole(proxy, site):
    site.answers[b"/parts"] = lambda connection, head: connection.sendall(ranged(head))

    def part(spec):
        return exchange(proxy.address, ask(b"/parts", b"Range: bytes=%s\r\n" % spec))

    assert content(part(b"0-3")) == b"0123"
    assert cache_says(part(b"1-2")).startswith(b"hit")
    assert content(part(b"6-9")) == b"6789"
    assert cache_says(part(b"3-6")) == b"fwd=partial; stored"
    assert site.count(b"/parts") == 3
    assert content(part(b"2-8")) == b"2345678"
    whole = exchange(proxy.address, ask(b"/parts"))
    assert (status(whole), content(whole)) == (b"200", DIGITS)
    assert cache_says(whole).startswith(b"hit")
    assert site.count(b"/parts") == 3


def test_parts_of_two_versions_are_not_combined(proxy, site):
    for version, spec in ((b"1", b"0-4"), (b"2", b"5-9")):
        site.answers[b"/versions"] = lambda connection, head, version=version: connection.sendall(
            ranged(head).replace(b'"r1"', b'"r%s"' % version)
        )
        exchange(proxy.address, ask(b"/versions", b"Range: bytes=%s\r\n" % spec))

    exchange(proxy.address, ask(b"/versions"))
    assert site.count(b"/versions") == 3
    site.answers[b"/weak"] = lambda connection, head: connection.sendall(
        ranged(head).replace(b'"r1"', b'W/"r1"')
    )
    for spec in (b"0-4", b"5-9"):
        exchange(proxy.address, ask(b"/weak", b"Range: bytes=%s\r\n" % spec))
    exchange(proxy.address, ask(b"/weak"))
    assert site.count(b"/weak") == 3


def test_combined_parts_have_the_fields_of_both(proxy, site):
    for name, spec in ((b"X-First: 1\r\nX-Both: 1\r\n", b"0-4"), (b"X-Both: 2\r\n", b"5-9")):
        site.answers[b"/both"] = lambda connection, head, name=name: connection.sendall(
            ranged(head).replace(b"Content-Length", name + b"Content-Length")
        )
        exchange(proxy.address, ask(b"/both", b"Range: bytes=%s\r\n" % spec))

    answer = exchange(proxy.address, ask(b"/both"))

    assert content(answer) == DIGITS
    assert field(answer, b"X-First") == b"1"
    assert field(answer, b"X-Both") == b"2"
    assert site.count(b"/both") == 2


def test_a_range_is_answered_out_of_what_the_origin_gives_whole(proxy, site):
    site.put(b"/no-ranges", fresh(), DIGITS)

    answer = exchange(proxy.address, ask(b"/no-ranges", b"Range: bytes=2-4\r\n"))

    assert (status(answer), content(answer)) == (b"206", b"234")
    assert cache_says(exchange(proxy.address, ask(b"/no-ranges"))).startswith(b"hit")


# --- control ----------------------------------------------------------------------------------


def test_a_cookie_a_path_or_a_status_may_have_its_own_rule(proxy, site):
    site.put(b"/ruled/a", fresh())
    site.put(b"/ruled/never/a", fresh())
    site.put(b"/ruled/forced/a", b"")
    site.put(b"/ruled/missing", b"", b"none", b"404 Not Found")
    for path in (b"/ruled/never/a", b"/ruled/forced/a", b"/ruled/missing"):
        for _ in range(2):
            exchange(proxy.address, ask(path))
    for _ in range(2):
        passing = exchange(proxy.address, ask(b"/ruled/a", b"Cookie: x=1; session=2\r\n"))

    assert site.count(b"/ruled/a") == 2
    assert cache_says(passing) == b"fwd=bypass"
    assert site.count(b"/ruled/never/a") == 2
    assert site.count(b"/ruled/forced/a") == 1
    assert site.count(b"/ruled/missing") == 1


def test_the_key_leaves_out_parameters_and_takes_in_fields(proxy, site):
    for path in (b"/ruled/k?a=1&utm_source=x", b"/ruled/k?utm_medium=y&a=1", b"/ruled/k?a=2"):
        site.put(path, fresh())
        exchange(proxy.address, ask(path))
    assert site.count(b"/ruled/k?utm_medium=y&a=1") == 0
    assert site.count(b"/ruled/k?a=2") == 1

    for country in (b"de", b"fr", b"de"):
        exchange(proxy.address, ask(b"/ruled/k?a=2", b"X-Country: %s\r\n" % country))
    assert site.count(b"/ruled/k?a=2") == 3


def purge(proxy, path, extra=b""):
    answer = exchange(proxy.address, ask(path, extra, b"PURGE"))
    assert status(answer) == b"200", answer
    return json.loads(content(answer))["purged"]


def test_purging_by_key_by_prefix_and_by_tag(proxy, site):
    paths = [b"/ruled/p/%d" % n for n in range(4)]
    for number, path in enumerate(paths):
        site.put(
            path, fresh() + b"Surrogate-Key: all n%d\r\nCache-Tag: odd%d\r\n" % (number, number % 2)
        )
        answer = exchange(proxy.address, ask(path))
        assert field(answer, b"Surrogate-Key") is None
    exchange(proxy.address, ask(paths[0], b"X-Country: de\r\n"))

    assert purge(proxy, paths[0]) == 2
    assert purge(proxy, paths[0]) == 0
    assert purge(proxy, b"/ruled/", b"Cache-Tag: odd1\r\n") == 2
    exchange(proxy.address, ask(paths[1]))
    assert purge(proxy, b"/ruled/p/*") == 2
    exchange(proxy.address, ask(paths[0]))
    assert purge(proxy, b"/ruled/", b"Surrogate-Key: all\r\nSoft-Purge: 1\r\n") == 1
    site.put(paths[0], b'ETag: "v1"\r\n', b"", b"304 Not Modified")
    assert cache_says(exchange(proxy.address, ask(paths[0]))) == b"fwd=stale; fwd-status=304"


def test_purge_is_refused_to_those_who_may_not_and_passed_on_where_nobody_said(proxy, site):
    assert status(exchange(proxy.other, ask(b"/x", method=b"PURGE"))) == b"403"

    site.put(b"/purge-me", b"", b"no", b"405 Method Not Allowed")
    assert status(exchange(proxy.address, ask(b"/purge-me", method=b"PURGE"))) == b"405"


def test_no_vary_search_lets_one_response_answer_other_queries(proxy, site):
    rule = b'No-Vary-Search: key-order, params=("u")\r\n'
    for path in (b"/nvs?a=1&b=2&u=3", b"/nvs?b=2&u=9&a=1", b"/nvs?a=2&b=2"):
        site.put(path, fresh() + rule)
        exchange(proxy.address, ask(path))

    assert site.count(b"/nvs?b=2&u=9&a=1") == 0
    assert site.count(b"/nvs?a=2&b=2") == 1


def test_a_cdn_cache_control_goes_before_cache_control(proxy, site):
    site.put(b"/cdn", b"Cache-Control: no-store\r\nCDN-Cache-Control: max-age=60\r\n")
    for _ in range(2):
        exchange(proxy.address, ask(b"/cdn"))

    assert site.count(b"/cdn") == 1


# --- security ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extra",
    [
        b"X-Original-URL: /admin\r\n",
        b"X-Rewrite-URL: /admin\r\n",
        b"X-HTTP-Method-Override: POST\r\n",
        b"X-Host: evil.example\r\n",
        b"X-Forwarded-Scheme: http\r\n",
        b"X-Forwarded-Port: 1234\r\n",
    ],
)
def test_a_request_with_an_unkeyed_field_poisons_nobody(proxy, site, extra):
    site.answers[b"/poison"] = lambda connection, head: connection.sendall(
        b"HTTP/1.1 200 OK\r\n"
        + fresh()
        + b"Content-Length: 4\r\n\r\n"
        + (b"evil" if extra.strip() in head else b"good")
    )

    poisoned = exchange(proxy.address, ask(b"/poison", extra + b"Cache-Control: no-cache\r\n"))
    assert cache_says(poisoned) == b"fwd=bypass"

    assert content(exchange(proxy.address, ask(b"/poison"))) == b"good"


def test_what_connection_keeps_from_the_origin_selects_nothing(proxy, site):
    """RFC 9110 section 7.6.1: a field that Connection names goes no further."""
    site.answers[b"/kept-back"] = lambda connection, head: connection.sendall(
        b"HTTP/1.1 200 OK\r\nVary: X-Language\r\n"
        + fresh()
        + b"Content-Length: 2\r\n\r\n"
        + (b"de" if b"X-Language: de" in head else b"en")
    )
    wanted = b"X-Language: de\r\n"

    for _ in range(3):
        kept_back = ask(b"/kept-back", wanted + b"Connection: x-language\r\n")
        assert cache_says(exchange(proxy.address, kept_back)) == b"fwd=bypass"

    assert content(exchange(proxy.address, ask(b"/kept-back", wanted))) == b"de"
    assert content(exchange(proxy.address, ask(b"/kept-back", wanted))) == b"de"
    assert content(exchange(proxy.address, ask(b"/kept-back"))) == b"en"
    # It is answered out of no store either, where most requests are.
    assert content(exchange(proxy.address, kept_back)) == b"en"


def test_a_forwarded_host_of_a_stranger_never_reaches_the_origin(proxy, site):
    site.put(b"/xfh", fresh())
    exchange(proxy.address, ask(b"/xfh", b"X-Forwarded-Host: evil\r\nForwarded: host=evil\r\n"))

    assert b"evil" not in site.last(b"/xfh")


def test_a_get_with_content_is_neither_answered_nor_stored(proxy, site):
    site.put(b"/fat", fresh(), b"fat")
    fat = exchange(proxy.address, ask(b"/fat", content=b"q=evil"))
    site.put(b"/fat", fresh(), b"lean")

    assert cache_says(fat) == b"fwd=bypass"
    assert content(exchange(proxy.address, ask(b"/fat"))) == b"lean"
    assert content(exchange(proxy.address, ask(b"/fat", content=b"q=evil"))) == b"lean"
    assert site.count(b"/fat") == 3


@pytest.mark.parametrize(
    "line",
    [b"400 Bad Request", b"403 Forbidden", b"413 Content Too Large", b"431 Too Large", b"500 Oops"],
)
def test_an_error_that_a_request_can_provoke_is_not_stored(proxy, site, line):
    path = b"/error/" + line[:3]
    site.put(path, fresh(), b"error", line)
    exchange(proxy.address, ask(path, b"X-Oversized: 1\r\n"))
    site.put(path, fresh(), b"fine")

    assert content(exchange(proxy.address, ask(path))) == b"fine"


def test_a_page_under_a_style_sheets_name_is_not_stored_by_force(proxy, site):
    """Web cache deception: the server sees /account, the rule sees a style sheet."""
    for path in (b"/ruled/forced/account/x.css", b"/ruled/forced/account;x.css"):
        site.put(path, b"Content-Type: text/html\r\n", b"your account")
        for _ in range(2):
            exchange(proxy.address, ask(path))
        assert site.count(path) == 2

    site.put(b"/ruled/forced/y.css", b"Content-Type: text/css\r\n")
    for _ in range(2):
        exchange(proxy.address, ask(b"/ruled/forced/y.css"))
    assert site.count(b"/ruled/forced/y.css") == 1


def test_paths_that_a_server_may_take_for_one_are_keys_of_their_own(proxy, site):
    paths = [b"/n/a", b"/n/%61", b"/n//a", b"/n/./a", b"/n/a%2f..%2fb"]
    for path in paths:
        site.put(path, fresh(), path)
        exchange(proxy.address, ask(path))

    for path in paths:
        assert content(exchange(proxy.address, ask(path))) == path
        assert site.count(path) == 1


def test_what_a_guess_would_store_is_not_stored_for_a_request_with_a_cookie(proxy, site):
    modified = formatdate(time.time() - 10_000_000, usegmt=True).encode()
    site.put(
        b"/guess",
        b"Last-Modified: %s\r\nDate: %s\r\n" % (modified, formatdate(usegmt=True).encode()),
    )
    for _ in range(2):
        exchange(proxy.address, ask(b"/guess", b"Cookie: u=1\r\n"))
    assert b"If-Modified-Since" not in site.last(b"/guess")
    assert site.count(b"/guess") == 2
    for _ in range(2):
        answer = exchange(proxy.address, ask(b"/guess"))
    assert cache_says(answer).startswith(b"hit")


# --- the forward proxy, the command line, reload ----------------------------------------------


def test_a_forward_proxy_caches_by_the_absolute_uri(start, site):
    proxy = start(
        "forward", "--allow-private", "--cache", "4MiB", "--log-format", "{target} {cache}"
    )
    site.put(b"/fwd", fresh(), b"stored")
    site.put(b"/fwd-tls", fresh())
    request = b"GET %s/fwd HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % (
        site.url.encode(),
        site.port,
    )

    first, second = exchange(proxy.address, request), exchange(proxy.address, request)

    assert cache_says(first) == b"fwd=uri-miss; stored"
    assert cache_says(second).startswith(b"hit")
    assert content(second) == b"stored"
    assert site.count(b"/fwd") == 1


def test_a_forward_proxy_has_rules_by_destination_and_may_be_purged(tmp_path, site):
    configuration = (
        '[cache.c]\nsize = "1MiB"\n[forward.a]\nlisten = ["127.0.0.1:{port}"]\n'
        'allow_private = true\n[forward.a.cache]\nuse = "c"\npurge_from = "127.0.0.1"\n'
        '[[forward.a.cache.rules]]\nhost = "localhost"\nforce_lifetime = "60s"\n'
    )
    site.put(b"/by-destination", b"")

    def request(host, method=b"GET"):
        uri = b"http://%s:%d/by-destination" % (host, site.port)
        head = b"%s %s HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n\r\n"
        return head % (method, uri, host, site.port)

    with serving(tmp_path, configuration) as running:
        for host in (b"127.0.0.1", b"localhost"):
            for _ in range(2):
                answer = exchange(running.address, request(host))
        assert cache_says(answer).startswith(b"hit")
        assert site.count(b"/by-destination") == 3
        purged = exchange(running.address, request(b"localhost", b"PURGE"))
        assert json.loads(content(purged))["purged"] == 1


def test_the_access_log_says_what_the_cache_did(proxy, site):
    site.put(b"/logged", fresh(age=100))
    exchange(proxy.address, ask(b"/logged"))
    site.put(b"/logged", fresh(), b"", b"304 Not Modified")
    exchange(proxy.address, ask(b"/logged"))
    exchange(proxy.address, ask(b"/logged"))
    exchange(proxy.address, ask(b"/logged", content=b"fat"))

    until(lambda: "/logged bypass" in proxy.log.read_text())
    lines = [line for line in proxy.log.read_text().splitlines() if line.startswith("/logged ")]
    assert lines == ["/logged miss", "/logged revalidated", "/logged hit", "/logged bypass"]


def test_a_reload_keeps_what_is_stored(tmp_path, site):
    configuration = (
        '[cache.c]\nsize = "1MiB"\n[pool.a]\nservers = ["{url}"]\n[reverse.a]\n'
        'listen = ["127.0.0.1:{port}"]\n[[reverse.a.routes]]\npool = "a"\ncache = "c"\n'
    )
    site.put(b"/reloaded", fresh())
    with serving(tmp_path, configuration, url=site.url) as running:
        exchange(running.address, ask(b"/reloaded"))
        with running.file.open("a") as file:
            file.write('name = "again"\n')
        running.process.send_signal(signal.SIGHUP)
        until(lambda: "was reloaded" in running.output.read_text())

        assert cache_says(exchange(running.address, ask(b"/reloaded"))).startswith(b"hit")
        assert site.count(b"/reloaded") == 1
