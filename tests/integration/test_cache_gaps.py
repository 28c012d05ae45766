"""Stored parts of a whole: only what is missing is asked for, and nothing is ever mixed."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import ExitStack

import pytest

from tests.integration.cached import DIGITS, ask, cache_says, content, crowd, field, status, until
from tests.integration.stores import Machine
from tests.scripted import exchange, read_all, read_until


@pytest.fixture(scope="module", params=["memory", "disk", "redis"])
def proxy(request, tmp_path_factory, site):
    with ExitStack() as stack:
        machine = Machine(tmp_path_factory.mktemp(request.param), site, stack, request.param)
        running = machine.start()
        running.store = request.param
        yield running
        assert "Traceback" not in running.output.read_text()


@pytest.fixture
def path(request, proxy, site):
    site.asked.clear()
    return f"/{request.node.name}".replace("[", "/").replace("]", "").encode()


def name_of(head, name):
    lines = [line for line in head.split(b"\r\n") if line.lower().startswith(name.lower() + b":")]
    return lines[0].partition(b": ")[2] if lines else None


class Origin:
    """Knows ranges, If-Range and If-None-Match as RFC 9110 has them."""

    def __init__(self, whole=DIGITS, tag=b'"1"', fields=b"Cache-Control: max-age=60\r\n"):
        self.whole, self.tag, self.fields = whole, tag, fields
        self.pause = None

    def __call__(self, connection, head):
        spec, condition = name_of(head, b"Range"), name_of(head, b"If-Range")
        fields = b"ETag: %s\r\n%s" % (self.tag, self.fields)
        if spec is None or condition not in (None, self.tag):
            self.send(connection, b"200 OK", fields, self.whole)
            return
        first, last = spec.removeprefix(b"bytes=").split(b"-")
        stop = int(last) + 1 if last else len(self.whole)
        part = self.whole[int(first) : stop]
        stop = int(first) + len(part)
        fields += b"Content-Range: bytes %s-%d/%d\r\n" % (first, stop - 1, len(self.whole))
        self.send(connection, b"206 Partial Content", fields, part)

    def send(self, connection, line, fields, body):
        head = b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n" % (line, fields, len(body))
        if self.pause is None:
            connection.sendall(head + body)
            return
        connection.sendall(head)
        self.pause.wait(10)
        connection.sendall(body)


def part(proxy, path, spec):
    answer = exchange(proxy.address, ask(path, b"Range: bytes=%s\r\n" % spec))
    assert status(answer) == b"206"
    return answer


@pytest.fixture(scope="module", params=["memory", "disk", "redis"])
def side_by_side(request, tmp_path_factory, site):
    """Give a proxy whose objects are so small that parts of larger ones are not joined."""
    with ExitStack() as stack:
        directory = tmp_path_factory.mktemp(f"small-{request.param}")
        running = Machine(directory, site, stack, request.param, max_object_size="64KiB").start()
        yield running
        assert "Traceback" not in running.output.read_text()


def is_stored(proxy, path, extra=b""):
    """Wait until something is answered from the store: it may be written a moment later."""
    only = ask(path, extra + b"Cache-Control: only-if-cached\r\n")
    until(lambda: status(exchange(proxy.address, only)) in (b"200", b"206"))


def store(proxy, site, path, origin, *specs):
    """Have parts stored, each in a moment of its own."""
    site.answers[path] = origin
    for spec in specs:
        part(proxy, path, spec)
        is_stored(proxy, path, b"Range: bytes=%s\r\n" % spec)
    site.asked.clear()


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ([b"0-4"], b"5-"),
        ([b"5-9"], b"0-4"),
        ([b"0-2", b"7-9"], b"3-6"),
        ([b"0-2", b"5-6"], b"3-"),
        ([b"0-2", b"3-5"], b"6-"),
        ([b"2-3", b"0-4"], b"5-"),
        ([b"0-0"], b"1-"),
        ([b"1-9"], b"0-0"),
    ],
)
def test_only_what_is_missing_of_the_whole_is_asked_for(proxy, site, path, stored, asked):
    store(proxy, site, path, Origin(), *stored)

    whole = exchange(proxy.address, ask(path))
    assert (status(whole), content(whole)) == (b"200", DIGITS)
    assert field(whole, b"Content-Range") is None
    assert field(whole, b"Content-Length") == b"10"
    assert cache_says(whole) == b"fwd=partial; fwd-status=206; stored"
    (head,) = site.asked
    assert name_of(head, b"Range") == b"bytes=" + asked
    assert name_of(head, b"If-Range") == b'"1"'

    is_stored(proxy, path)
    again = exchange(proxy.address, ask(path))
    assert (status(again), content(again)) == (b"200", DIGITS)
    assert len(site.asked) == 1


@pytest.mark.parametrize("stored", [[b"3-5"], [b"3-3", b"5-6"]])
def test_what_is_stored_amid_the_missing_saves_nothing(proxy, site, path, stored):
    store(proxy, site, path, Origin(), *stored)

    assert content(exchange(proxy.address, ask(path))) == DIGITS
    assert name_of(site.asked[0], b"Range") is None


@pytest.mark.parametrize(
    ("stored", "wanted", "asked"),
    [
        ([b"2-4"], b"1-4", b"1-1"),
        ([b"2-4"], b"3-6", b"5-6"),
        ([b"2-4"], b"3-", b"5-"),
        ([b"5-9"], b"-7", b"3-4"),
        ([b"0-1", b"4-5"], b"0-5", b"2-3"),
        ([b"0-1", b"4-5"], b"1-4", b"2-3"),
    ],
)
def test_only_what_is_missing_of_a_range_is_asked_for(proxy, site, path, stored, wanted, asked):
    store(proxy, site, path, Origin(), *stored)

    answer = part(proxy, path, wanted)
    first, last = wanted.split(b"-")
    expected = DIGITS[int(first) : int(last or 9) + 1] if first else DIGITS[-int(last) :]
    assert content(answer) == expected
    assert field(answer, b"Content-Length") == b"%d" % len(expected)
    assert name_of(site.asked[0], b"Range") == b"bytes=" + asked
    assert cache_says(answer) == b"fwd=partial; stored"
    is_stored(proxy, path, b"Range: bytes=%s\r\n" % wanted)
    assert cache_says(part(proxy, path, wanted)).startswith(b"hit")
    assert len(site.asked) == 1


def test_another_version_is_given_whole_and_nothing_is_mixed(proxy, site, path):
    store(proxy, site, path, Origin(), b"0-4")
    site.answers[path] = Origin(b"abcdefghijkl", b'"2"')

    whole = exchange(proxy.address, ask(path))
    assert (status(whole), content(whole)) == (b"200", b"abcdefghijkl")
    assert field(whole, b"ETag") == b'"2"'
    assert len(site.asked) == 1
    is_stored(proxy, path)
    assert content(part(proxy, path, b"0-4")) == b"abcde"
    assert len(site.asked) == 1


def test_of_another_version_a_range_is_given(proxy, site, path):
    store(proxy, site, path, Origin(), b"0-4")
    site.answers[path] = Origin(b"abcdefghijkl", b'"2"')

    assert content(part(proxy, path, b"3-7")) == b"defgh"


def nonsense(fields, line=b"206 Partial Content", body=b"56789"):
    """Answer a request for a range wrongly, any other as it should be."""
    right = Origin(b"abcdefghij", b'"2"')

    def answer(connection, head):
        if name_of(head, b"Range") is None:
            right(connection, head)
        else:
            right.send(connection, line, b"Cache-Control: max-age=60\r\n" + fields, body)

    return answer


WRONG = {
    "another-tag": nonsense(b'ETag: "2"\r\nContent-Range: bytes 5-9/10\r\n'),
    "a-weak-tag": nonsense(b'ETag: W/"1"\r\nContent-Range: bytes 5-9/10\r\n'),
    "no-tag": nonsense(b"Content-Range: bytes 5-9/10\r\n"),
    "another-length": nonsense(b'ETag: "1"\r\nContent-Range: bytes 5-9/11\r\n'),
    "another-place": nonsense(b'ETag: "1"\r\nContent-Range: bytes 4-8/10\r\n'),
    "too-little": nonsense(b'ETag: "1"\r\nContent-Range: bytes 5-8/10\r\n', body=b"5678"),
    "no-length": nonsense(b'ETag: "1"\r\nContent-Range: bytes 5-9/*\r\n'),
    "no-place": nonsense(b'ETag: "1"\r\n'),
    "private": nonsense(b'ETag: "1"\r\nContent-Range: bytes 5-9/10\r\nCache-Control: private\r\n'),
    "a-cookie": nonsense(b'ETag: "1"\r\nContent-Range: bytes 5-9/10\r\nSet-Cookie: a=b\r\n'),
    "416": nonsense(b"Content-Range: bytes */3\r\n", b"416 Range Not Satisfiable", b""),
    "304": nonsense(b'ETag: "1"\r\n', b"304 Not Modified", b""),
}


@pytest.mark.parametrize("how", WRONG)
def test_what_fills_no_gap_is_not_used_and_the_whole_is_asked_for(proxy, site, path, how):
    store(proxy, site, path, Origin(), b"0-4")
    site.answers[path] = WRONG[how]

    whole = exchange(proxy.address, ask(path))
    assert (status(whole), content(whole)) == (b"200", b"abcdefghij")
    assert len(site.asked) == 2
    is_stored(proxy, path)
    assert content(exchange(proxy.address, ask(path))) == b"abcdefghij"


def test_an_error_is_given_as_it_is_and_the_parts_stay(proxy, site, path):
    store(proxy, site, path, Origin(), b"0-4")
    site.put(path, b"", b"down", b"503 Service Unavailable")
    answer = exchange(proxy.address, ask(path))
    assert (status(answer), content(answer)) == (b"503", b"down")

    site.answers[path] = Origin()
    assert content(exchange(proxy.address, ask(path))) == DIGITS
    assert name_of(site.asked[-1], b"Range") == b"bytes=5-"


def test_what_is_cut_off_on_its_way_is_cut_off_and_not_stored(proxy, site, path):
    store(proxy, site, path, Origin(), b"0-4")

    def cut(connection, head):
        connection.sendall(
            b'HTTP/1.1 206 Partial Content\r\nETag: "1"\r\nCache-Control: max-age=60\r\n'
            b"Content-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\n56"
        )
        connection.shutdown(socket.SHUT_RDWR)

    site.answers[path] = cut
    answer = exchange(proxy.address, ask(path))
    assert content(answer) == b"0123456"
    assert field(answer, b"Content-Length") == b"10"

    site.answers[path] = Origin()
    assert content(exchange(proxy.address, ask(path))) == DIGITS


def test_what_is_there_is_given_before_the_rest_has_come(proxy, site, path):
    origin = Origin()
    store(proxy, site, path, origin, b"0-4")
    origin.pause = threading.Event()
    with socket.create_connection(proxy.address, timeout=5) as client:
        client.sendall(ask(path))
        assert read_until(client, b"01234").endswith(b"\r\n\r\n01234")
        origin.pause.set()
        assert read_all(client) == b"56789"


def test_a_crowd_that_lacks_the_same_is_one_request(proxy, site, path):
    origin = Origin()
    store(proxy, site, path, origin, b"0-4")
    origin.pause = threading.Event()

    answers = crowd(proxy, [ask(path)] * 20, origin.pause.set)
    assert {content(each) for each in answers} == {DIGITS}
    assert site.count(path) == 1


def test_a_crowd_whose_gap_is_filled_in_vain_is_two_requests(proxy, site, path):
    store(proxy, site, path, Origin(), b"0-4")
    gate = threading.Event()
    wrong = nonsense(b'ETag: "2"\r\nContent-Range: bytes 5-9/10\r\n')

    def answer(connection, head):
        gate.wait(10)
        wrong(connection, head)

    site.answers[path] = answer
    answers = crowd(proxy, [ask(path)] * 20, gate.set)
    assert {content(each) for each in answers} == {b"abcdefghij"}
    assert site.count(path) == 2


def test_a_stale_part_is_as_good_as_what_fills_its_gap(proxy, site, path):
    store(proxy, site, path, Origin(fields=b"Cache-Control: max-age=60\r\n"), b"0-4")
    site.answers[path] = Origin(fields=b"Cache-Control: max-age=60\r\nX-New: 1\r\n")
    exchange(proxy.address, ask(path, b"Soft-Purge: 1\r\n", method=b"PURGE"))

    whole = exchange(proxy.address, ask(path))
    assert content(whole) == DIGITS
    assert field(whole, b"X-New") == b"1"
    assert name_of(site.asked[-1], b"Range") == b"bytes=5-"
    is_stored(proxy, path)


@pytest.mark.parametrize(
    "extra",
    [b"Authorization: Basic YTpi\r\n", b"Cache-Control: no-cache\r\n",
     b"Cache-Control: no-store\r\n", b"Range: bytes=3-4,6-7\r\n"],
)  # fmt: skip
def test_some_requests_go_as_they_are(proxy, site, extra):
    path = b"/as-they-are/%d" % len(extra)
    store(proxy, site, path, Origin(), b"0-4")
    site.put(path, b"", b"as it is")

    assert content(exchange(proxy.address, ask(path, extra))) == b"as it is"
    assert name_of(site.asked[0], b"If-Range") is None


def test_only_if_cached_is_answered_out_of_parts_that_lack_nothing(proxy, site, path):
    only = ask(path, b"Cache-Control: only-if-cached\r\n")
    store(proxy, site, path, Origin(), b"0-4")
    assert status(exchange(proxy.address, only)) == b"504"
    store(proxy, site, path, Origin(), b"5-9")

    until(lambda: status(exchange(proxy.address, only)) == b"200")
    assert content(exchange(proxy.address, only)) == DIGITS


def test_a_weak_validator_joins_nothing(proxy, site, path):
    site.answers[path] = Origin(tag=b'W/"1"')
    part(proxy, path, b"0-4")
    site.asked.clear()
    whole = exchange(proxy.address, ask(path))
    assert (status(whole), content(whole)) == (b"200", DIGITS)
    assert name_of(site.asked[0], b"Range") is None


def test_variants_are_not_filled_with_each_other(proxy, site, path):
    site.answers[path] = Origin(fields=b"Cache-Control: max-age=60\r\nVary: Accept\r\n")
    exchange(proxy.address, ask(path, b"Accept: a\r\nRange: bytes=0-4\r\n"))
    site.answers[path] = Origin(
        b"abcdefghij", fields=b"Cache-Control: max-age=60\r\nVary: Accept\r\n"
    )
    for _ in range(2):
        assert content(exchange(proxy.address, ask(path, b"Accept: b\r\n"))) == b"abcdefghij"


@pytest.mark.parametrize("order", ["forward", "backward", "any"])
def test_a_large_response_read_in_many_parts_is_put_together(proxy, site, path, order):
    whole = random.Random(order).randbytes(3_000_000)
    site.answers[path] = Origin(whole)
    starts = list(range(0, len(whole), 100_000))
    if order == "backward":
        starts.reverse()
    elif order == "any":
        random.Random(1).shuffle(starts)
    for start in starts:
        spec = b"%d-%d" % (start, start + 99_999)
        assert content(part(proxy, path, spec)) == whole[start : start + 100_000]
    asked = len(site.asked)

    # A disk may be too slow for some of the parts: then what is missing is asked for again.
    until(lambda: cache_says(exchange(proxy.address, ask(path))).startswith(b"hit"))
    assert content(exchange(proxy.address, ask(path))) == whole
    assert content(part(proxy, path, b"1234567-2345678")) == whole[1_234_567:2_345_679]
    assert proxy.store != "memory" or len(site.asked) == asked


def test_parts_that_are_stale_while_a_fresh_one_is_fetched(side_by_side, site):
    path, whole = b"/side-by-side", random.Random(1).randbytes(100_000)
    fields = b"Cache-Control: max-age=60, stale-while-revalidate=600\r\n"
    for spec in (b"0-49999", b"50000-"):
        store(side_by_side, site, path, Origin(whole, fields=fields), spec)
    exchange(side_by_side.address, ask(path, b"Soft-Purge: 1\r\n", method=b"PURGE"))
    site.put(path, b'ETag: "1"\r\n' + fields, status=b"304 Not Modified")
    only = ask(path, b"Cache-Control: only-if-cached\r\n")
    until(lambda: cache_says(exchange(side_by_side.address, only)).startswith(b"hit; ttl=-"))

    for _ in range(3):
        answer = exchange(side_by_side.address, ask(path))
        assert (status(answer), content(answer)) == (b"200", whole)
    until(lambda: site.asked)
    assert all(name_of(head, b"If-None-Match") is None for head in site.asked)


def test_a_gap_that_is_not_stored_goes_at_its_readers_pace(proxy, site, path):
    whole = random.Random(1).randbytes(2_000_000)
    origin = Origin(whole)
    store(proxy, site, path, origin, b"0-99999")
    origin.fields = b"Cache-Control: no-cache\r\n"  # shared by those who wait, stored or not

    answers = crowd(proxy, [ask(path)] * 5)
    assert all(content(each) == whole for each in answers)
