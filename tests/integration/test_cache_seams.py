"""Where the cache meets others: stores that answer later, filters of every kind, retries."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.cached import (
    DIGITS,
    ask,
    cache_says,
    content,
    crowd_behind_a_gate,
    field,
    fresh,
    ranged,
    serving,
    status,
)
from tests.scripted import exchange, read_all

PROBE = Path(__file__).with_name("probe")

CONFIGURATION = """
[cache.main]
store = "{store}"
size = "8MiB"
[pool.a]
servers = ["{url}"]
[reverse.a]
listen = ["127.0.0.1:{port}"]
{filters}
[[reverse.a.routes]]
pool = "a"
cache = {{ use = "main", purge_from = ["127.0.0.1"] }}
"""


def serve(tmp_path_factory, site, store, filters=""):
    directory = tmp_path_factory.mktemp("seams")
    return serving(directory, CONFIGURATION, url=site.url, store=store, filters=filters)


@pytest.fixture(scope="module")
def delayed(tmp_path_factory, site):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PROBE))
        with serve(tmp_path_factory, site, "delayed") as running:
            yield running


@pytest.fixture(scope="module")
def filtered(tmp_path_factory, site):
    filters = (
        '[[reverse.a.filters]]\nuse = "headers"\nresponse = { add = { X-Site = "a" } }\n'
        '[[reverse.a.filters]]\nuse = "probe"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PROBE))
        with serve(tmp_path_factory, site, "memory", filters) as running:
            yield running


def test_a_store_that_answers_later_is_written_and_read(delayed, site):
    body = bytes(range(256)) * 200
    site.put(b"/later", fresh(), body)

    answers = [exchange(delayed.address, ask(b"/later")) for _ in range(3)]

    assert all(content(each) == body for each in answers)
    assert cache_says(answers[2]).startswith(b"hit")
    assert site.count(b"/later") == 1


def test_a_crowd_reads_from_a_store_that_answers_later(delayed, site):
    body = bytes(range(256)) * 200
    answer = b"HTTP/1.1 200 OK\r\n" + fresh() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)

    answers = crowd_behind_a_gate(delayed, site, b"/later-crowd", answer, 20)

    assert all(content(each) == body for each in answers)
    assert site.count(b"/later-crowd") == 1


def test_a_client_that_leaves_while_a_store_reads_harms_nobody(delayed, site):
    site.put(b"/later-left", fresh(), b"x" * 500_000)
    exchange(delayed.address, ask(b"/later-left"))
    for _ in range(5):
        with socket.create_connection(delayed.address, timeout=5) as client:
            client.sendall(ask(b"/later-left"))
            client.recv(100)

    assert len(content(exchange(delayed.address, ask(b"/later-left")))) == 500_000
    assert "Traceback" not in delayed.output.read_text()


def test_validation_and_purging_in_a_store_that_answers_later(delayed, site):
    site.put(b"/later-stale", fresh(age=100), b"stored")
    exchange(delayed.address, ask(b"/later-stale"))
    site.put(b"/later-stale", fresh(), b"", b"304 Not Modified")
    answer = exchange(delayed.address, ask(b"/later-stale"))
    assert content(answer) == b"stored"
    assert cache_says(exchange(delayed.address, ask(b"/later-stale"))).startswith(b"hit")

    purged = exchange(delayed.address, ask(b"/later-stale", method=b"PURGE"))
    assert json.loads(content(purged)) == {"purged": 1, "soft": False}


def test_parts_are_combined_in_a_store_that_answers_later(delayed, site):
    site.answers[b"/later-parts"] = lambda connection, head: connection.sendall(ranged(head))

    def part(spec):
        return exchange(delayed.address, ask(b"/later-parts", b"Range: bytes=%s\r\n" % spec))

    assert content(part(b"0-3")) == b"0123"
    assert content(part(b"4-9")) == b"456789"
    assert content(part(b"1-7")) == b"1234567"
    assert content(exchange(delayed.address, ask(b"/later-parts"))) == DIGITS
    assert site.count(b"/later-parts") == 2


def test_response_filters_run_once_for_each_answer_stored_or_not(filtered, site):
    site.put(b"/plain", fresh())
    for _ in range(3):
        answer = exchange(filtered.address, ask(b"/plain"))
        assert answer.count(b"X-Site: a\r\n") == 1
    assert cache_says(answer).startswith(b"hit")
    assert site.count(b"/plain") == 1


def test_a_transform_runs_on_every_answer_and_what_is_stored_is_the_origins(filtered, site):
    site.put(b"/loud", fresh(), b"hello")
    for _ in range(3):
        answer = exchange(filtered.address, ask(b"/loud"))
        assert content(answer) == b"5\r\nHELLO\r\n1\r\n!\r\n0\r\n\r\n"
    assert site.count(b"/loud") == 1


@pytest.mark.parametrize(
    ("path", "code", "end"),
    [
        (b"/wait-response", b"200", b"ok"),
        (b"/replace", b"200", b"replaced"),
        (b"/fail-response", b"500", b""),
        (b"/wait/x", b"200", b"ok"),
    ],
)
def test_filters_that_wait_replace_or_fail_meet_a_hit_as_they_meet_a_miss(
    filtered, site, path, code, end
):
    site.put(path, fresh())
    for _ in range(3):
        answer = exchange(filtered.address, ask(path))
        assert status(answer) == code
        assert answer.endswith(end)
        assert (field(answer, b"X-Waited") == b"yes") is (path == b"/wait-response")


def test_what_a_request_filter_answers_is_not_the_caches(filtered, site):
    for _ in range(2):
        assert status(exchange(filtered.address, ask(b"/answer"))) == b"418"


def test_an_idle_connection_that_was_closed_is_retried_for_a_crowd_too(filtered, site):
    def answer_and_close(connection, head):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + fresh() + b"Content-Length: 2\r\n\r\nok")
        connection.shutdown(socket.SHUT_RDWR)

    site.answers[b"/closing"] = answer_and_close
    exchange(filtered.address, ask(b"/closing"))
    answers = crowd_behind_a_gate(
        filtered,
        site,
        b"/after-closing",
        b"HTTP/1.1 200 OK\r\n" + fresh() + b"Content-Length: 2\r\n\r\nok",
        10,
    )
    assert {content(each) for each in answers} == {b"ok"}


# --- slices -----------------------------------------------------------------------------------

SLICED = """
[cache.main]
store = "{store}"
size = "8MiB"
max_object_size = "64KiB"
[pool.a]
servers = ["{url}"]
retries = 0
[reverse.a]
listen = ["127.0.0.1:{port}"]
[[reverse.a.routes]]
pool = "a"
cache = {{ use = "main", slice_size = "4KiB", purge_from = ["127.0.0.1"] }}
"""
WHOLE = bytes(range(256)) * 40  # 10 KiB: two slices and a half


def sliced_origin(whole=WHOLE, tag=b'"s1"', ranges=True):
    def answer(connection, head):
        fields = b"ETag: %s\r\nCache-Control: max-age=60\r\n" % tag
        line = next((each for each in head.split(b"\r\n") if each.startswith(b"Range: ")), None)
        if line is None or not ranges:
            connection.sendall(
                b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (fields, len(whole), whole)
            )
            return
        first, _, last = line.partition(b"=")[2].partition(b"-")
        last = last or b"%d" % len(whole)
        part = whole[int(first) : int(last) + 1]
        if not part:
            connection.sendall(b"HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n")
            return
        connection.sendall(
            b"HTTP/1.1 206 Partial Content\r\n%sContent-Range: bytes %d-%d/%d\r\n"
            b"Content-Length: %d\r\n\r\n%s"
            % (fields, int(first), int(first) + len(part) - 1, len(whole), len(part), part)
        )

    return answer


@pytest.fixture(scope="module", params=["memory", "delayed"])
def slicing(request, tmp_path_factory, site):
    directory = tmp_path_factory.mktemp("slices")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PROBE))
        with serving(directory, SLICED, url=site.url, store=request.param) as running:
            running.path = b"/" + request.param.encode()
            yield running


def test_a_large_response_is_fetched_and_kept_slice_by_slice(slicing, site):
    path = slicing.path + b"/whole"
    site.answers[path] = sliced_origin()

    ranged_answer = exchange(slicing.address, ask(path, b"Range: bytes=5000-5009\r\n"))
    assert (status(ranged_answer), content(ranged_answer)) == (b"206", WHOLE[5000:5010])
    assert site.count(path) == 1
    assert b"Range: bytes=4096-8191" in site.last(path)

    whole = exchange(slicing.address, ask(path))
    assert (status(whole), content(whole)) == (b"200", WHOLE)
    assert field(whole, b"Content-Range") is None
    assert site.count(path) == 3

    again = exchange(slicing.address, ask(path, b"Range: bytes=100-9000\r\n"))
    assert content(again) == WHOLE[100:9001]
    assert cache_says(again).startswith(b"hit")
    assert status(exchange(slicing.address, ask(path, b'If-None-Match: "s1"\r\n'))) == b"304"
    assert site.count(path) == 3
    assert json.loads(content(exchange(slicing.address, ask(path, method=b"PURGE"))))["purged"] == 3


def test_a_crowd_for_a_large_response_is_one_request_a_slice(slicing, site):
    path = slicing.path + b"/crowd"
    site.answers[path] = sliced_origin()
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(slicing.address, timeout=5))
            for _ in range(20)
        ]
        for connection in connections:
            connection.sendall(ask(path))
        assert all(content(read_all(each)) == WHOLE for each in connections)
    assert site.count(path) == 3


def test_slices_of_two_versions_are_never_mixed(slicing, site):
    path = slicing.path + b"/changed"
    site.answers[path] = sliced_origin()
    exchange(slicing.address, ask(path, b"Range: bytes=0-1\r\n"))
    site.answers[path] = sliced_origin(WHOLE[::-1], b'"s2"')

    cut = exchange(slicing.address, ask(path))
    assert content(cut) == WHOLE[:4096]  # and no more

    exchange(slicing.address, ask(path, method=b"PURGE"))
    assert content(exchange(slicing.address, ask(path))) == WHOLE[::-1]


@pytest.mark.parametrize("tag", [b'"s1"', b'W/"s1"'])
def test_a_server_without_ranges_or_strong_validators_is_passed_on(slicing, site, tag):
    path = slicing.path + b"/plain" + tag[:1].strip(b'"')
    site.answers[path] = sliced_origin(tag=tag, ranges=tag.startswith(b"W/"))

    for _ in range(2):
        answer = exchange(slicing.address, ask(path))
        assert (status(answer), content(answer)) == (b"200", WHOLE)


def test_a_small_response_is_one_slice_and_what_lies_beyond_the_end_is_416(slicing, site):
    path = slicing.path + b"/small"
    site.answers[path] = sliced_origin(b"small")
    for _ in range(2):
        assert content(exchange(slicing.address, ask(path))) == b"small"
    assert site.count(path) == 1

    assert status(exchange(slicing.address, ask(path, b"Range: bytes=9-\r\n"))) == b"416"
    assert status(exchange(slicing.address, ask(path, b"Range: bytes=9000-\r\n"))) == b"416"


def test_a_server_that_is_gone_is_a_502_and_later_a_cut(slicing, site):
    path = slicing.path + b"/gone"
    site.answers[path] = lambda connection, head: connection.shutdown(socket.SHUT_RDWR)
    assert status(exchange(slicing.address, ask(path))) == b"502"

    site.answers[path] = sliced_origin()
    exchange(slicing.address, ask(path, b"Range: bytes=0-1\r\n"))
    site.answers[path] = lambda connection, head: connection.shutdown(socket.SHUT_RDWR)
    assert content(exchange(slicing.address, ask(path))) == WHOLE[:4096]


# --- behind another proxy ---------------------------------------------------------------------


def test_what_a_trusted_proxy_says_of_the_host_is_part_of_the_key(tmp_path_factory, site):
    directory = tmp_path_factory.mktemp("trusting")
    trusting = CONFIGURATION.replace(
        "[reverse.a]\n", '[reverse.a]\ntrust_proxy = ["127.0.0.0/8"]\n'
    )

    def by_host(connection, head):
        lines = head.split(b"\r\n")
        host = next(line for line in lines if line.startswith(b"X-Forwarded-Host: "))[18:]
        connection.sendall(
            b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (fresh(), len(host), host)
        )

    site.answers[b"/by-host"] = by_host
    named = {"url": site.url, "store": "memory", "filters": ""}
    with serving(directory, trusting, **named) as running:

        def asked(extra):
            return exchange(running.address, ask(b"/by-host", extra))

        for _ in range(2):
            assert content(asked(b"X-Forwarded-Host: evil\r\n")) == b"evil"
            assert content(asked(b"")) == b"a"
        assert site.count(b"/by-host") == 2
        assert cache_says(asked(b"Forwarded: host=evil\r\n")) == b"fwd=bypass"
        for proto in (b"http", b"https"):
            exchange(running.address, ask(b"/by-host", b"X-Forwarded-Proto: %s\r\n" % proto))
        assert site.count(b"/by-host") == 5
        purged = exchange(running.address, ask(b"/by-host", method=b"PURGE"))
        assert json.loads(content(purged))["purged"] == 3
