"""Requests are sent again where that is safe, on another server, and not too many of them."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tests.integration.pools import (
    FINE,
    answer,
    ask,
    body,
    closing,
    hanging,
    records,
    refused,
    resetting,
    serving,
    status,
    wait_for_the_end,
)
from tests.scripted import ScriptedOrigin, read_until, reply
from tests.waiting import eventually

# No passive checks, so that each exchange of a test meets the same pool.
PLAIN = "outlier = false\n"


@pytest.fixture
def good():
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PATCH"])
def test_what_was_never_sent_is_sent_to_another_server_whatever_it_is(tmp_path, good, method):
    with serving(tmp_path, [refused(), good], PLAIN) as proxy:
        content = b"" if method == b"GET" else b"some content"
        answers = [ask(proxy, method, content=content) for _ in range(4)]
        logged = records(proxy, tmp_path)

    assert [status(each) for each in answers] == [200] * 4
    assert sorted(each["attempts"] for each in logged) == [1, 1, 2, 2]
    assert {each["upstream"] for each in logged} == {f"127.0.0.1:{good.port}"}
    assert bytes(good.received[0]).endswith(content)


@pytest.mark.parametrize("script", [closing, resetting])
@pytest.mark.parametrize(("method", "expected"), [(b"GET", 200), (b"PUT", 200), (b"POST", 502)])
def test_only_idempotent_requests_are_sent_again_when_they_may_have_arrived(
    tmp_path, good, script, method, expected
):
    with ScriptedOrigin(script) as bad, serving(tmp_path, [bad, good], PLAIN) as proxy:
        content = b"" if method == b"GET" else b"content"
        answers = {status(ask(proxy, method, content=content)) for _ in range(2)}

    assert answers == {200, expected}
    assert len(bad.heads()) == 1
    assert len(good.heads()) == (2 if expected == 200 else 1)


def test_a_response_that_has_begun_is_never_asked_for_again(tmp_path, good):
    def cut(connection, head):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
        connection.shutdown(socket.SHUT_RDWR)

    with ScriptedOrigin(cut) as bad, serving(tmp_path, [bad, good], PLAIN) as proxy:
        answers = [body(ask(proxy)) for _ in range(2)]

    assert sorted(answers) == [b"begun", b"ok"]
    assert len(good.heads()) == 1


def test_an_interim_response_that_was_passed_on_is_a_beginning_too(tmp_path, good):
    def interim(connection, head):
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        connection.shutdown(socket.SHUT_RDWR)

    with ScriptedOrigin(interim) as bad, serving(tmp_path, [bad, good], PLAIN) as proxy:
        answers = [ask(proxy) for _ in range(2)]

    assert sorted(map(status, answers)) == [103, 200]
    assert len(good.heads()) == 1


def when_complete(script):
    """Give a script that acts when content that ends in an empty line is all there."""
    return lambda connection, head: None if head.startswith(b"PUT ") else script(connection, head)


def test_content_is_sent_again_when_it_was_kept(tmp_path, good):
    content = bytes(range(256)) * 100 + b"\r\n\r\n"
    good.script = when_complete(reply(FINE))
    with (
        ScriptedOrigin(when_complete(closing)) as bad,
        serving(tmp_path, [bad, good], PLAIN) as proxy,
    ):
        answers = [ask(proxy, b"PUT", content=content) for _ in range(2)]

    assert [status(each) for each in answers] == [200, 200]
    seen = b"".join(map(bytes, good.received)).split(b"PUT / HTTP/1.1\r\n")
    assert [each.partition(b"\r\n\r\n")[2] for each in seen[1:]] == [content] * 2


def test_content_that_is_still_coming_goes_on_behind_what_is_sent_again(tmp_path, good):
    closed = threading.Event()

    def close(connection, head):
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    good.script = when_complete(reply(FINE))
    request = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with ScriptedOrigin(close) as bad, serving(tmp_path, [bad, good], PLAIN) as proxy:
        while not closed.is_set():
            with socket.create_connection(proxy.address, timeout=5) as client:
                client.sendall(request + b"5\r\nhello\r\n")
                closed.wait(0.2)
                client.sendall(b"6\r\n world\r\n")
                client.sendall(b"0\r\nX-Sum: 1\r\n\r\n")
                assert status(read_until(client, b"ok")) == 200

    seen = bytes(good.received[-1]).rpartition(b"PUT / HTTP/1.1\r\n")[2]
    assert seen.partition(b"\r\n\r\n")[2] == (b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n")


def test_content_that_was_too_much_to_keep_is_not_sent_again(tmp_path, good):
    pool = PLAIN + 'body_buffer = "1KiB"\n'
    good.script = when_complete(reply(FINE))
    content = b"x" * 10_000 + b"\r\n\r\n"
    with (
        ScriptedOrigin(when_complete(closing)) as bad,
        serving(tmp_path, [bad, good], pool) as proxy,
    ):
        answers = [status(ask(proxy, b"PUT", content=content)) for _ in range(2)]

    assert sorted(answers) == [200, 502]


def test_statuses_are_passed_over_while_there_is_another_server(tmp_path, good):
    pool = PLAIN + "retry = { statuses = [503] }\n"
    busy = reply(answer(b"busy", b"503 Service Unavailable"))
    with ScriptedOrigin(busy) as bad, serving(tmp_path, [bad, good], pool) as proxy:
        answers = [ask(proxy) for _ in range(4)]
        posts = [status(ask(proxy, b"POST", content=b"x")) for _ in range(2)]
        good.script = busy
        last = ask(proxy)

    assert [body(each) for each in answers] == [b"ok"] * 4
    assert sorted(posts) == [200, 503]
    assert body(last) == b"busy", "with no retry left, the last answer is passed on"


def test_statuses_are_passed_on_unless_they_are_named(tmp_path, good):
    busy = reply(answer(b"busy", b"503 Service Unavailable"))
    with ScriptedOrigin(busy) as bad, serving(tmp_path, [bad, good], PLAIN) as proxy:
        assert sorted(status(ask(proxy)) for _ in range(2)) == [200, 503]


def test_a_hung_server_is_left_for_another_after_the_attempts_time(tmp_path, good):
    pool = PLAIN + 'attempt_timeout = "200ms"\n'
    with ScriptedOrigin(hanging) as bad, serving(tmp_path, [bad, good], pool) as proxy:
        began = time.monotonic()
        answers = [status(ask(proxy)) for _ in range(4)]
        took = time.monotonic() - began
        left = eventually(lambda: len(bad.received) == 2)

    assert left
    assert answers == [200] * 4
    assert 0.4 <= took < 3


def test_the_last_server_has_the_whole_of_its_time(tmp_path):
    def slow(connection, head):
        time.sleep(0.6)
        connection.sendall(FINE)

    pool = PLAIN + 'attempt_timeout = "100ms"\nretries = 2\n'
    with ScriptedOrigin(slow) as only, serving(tmp_path, [only], pool) as proxy:
        assert status(ask(proxy)) == 200
        assert len(only.heads()) == 1


def test_no_retries_at_all(tmp_path, good):
    with serving(tmp_path, [refused(), good], PLAIN + "retries = 0\n") as proxy:
        assert sorted(status(ask(proxy)) for _ in range(4)) == [200, 200, 502, 502]


def test_retries_end_when_all_servers_have_failed(tmp_path):
    with serving(tmp_path, [refused() for _ in range(3)], PLAIN + "retries = 4\n") as proxy:
        assert status(ask(proxy)) == 502
        (record,) = records(proxy, tmp_path)

    assert record["attempts"] == 5
    assert record["error"] == "connection_refused"


def test_a_single_server_that_was_down_for_a_moment_is_asked_again(tmp_path):
    times = []

    def first_closes(connection, head):
        times.append(time.monotonic())
        if len(times) == 1:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(FINE)

    with ScriptedOrigin(first_closes) as only, serving(tmp_path, [only], PLAIN) as proxy:
        assert status(ask(proxy)) == 200

    assert times[1] - times[0] >= 0.02, "it is given a moment"


def test_the_budget_bounds_retries_that_fail(tmp_path):
    pool = PLAIN + "retry = { budget = 0.0, budget_floor = 0.3 }\n"  # three, from ten seconds
    with (
        ScriptedOrigin(closing) as one,
        ScriptedOrigin(closing) as two,
        serving(tmp_path, [one, two], pool) as proxy,
    ):
        answers = [status(ask(proxy)) for _ in range(8)]
        logged = records(proxy, tmp_path)

    assert answers == [502] * 8
    assert 3 <= sum(each["attempts"] - 1 for each in logged) <= 4


def test_retries_that_go_well_are_not_bounded(tmp_path, good):
    pool = PLAIN + "retry = { budget = 0.0, budget_floor = 0.1 }\n"  # one, from ten seconds
    with ScriptedOrigin(closing) as bad, serving(tmp_path, [bad, good], pool) as proxy:
        answers = [status(ask(proxy)) for _ in range(8)]

    assert answers == [200] * 8
    assert len(bad.heads()) == 4


def test_a_connection_that_was_closed_in_the_meantime_costs_no_retry_and_no_budget(tmp_path):
    def once(connection, head):
        connection.sendall(FINE)
        if b"/last" in head:
            return
        # The next request on this connection is met by a close.
        connection.settimeout(5)
        connection.recv(1)
        connection.shutdown(socket.SHUT_RDWR)

    pool = PLAIN + "retry = { budget = 0.0, budget_floor = 0.0 }\n"
    with ScriptedOrigin(once) as only, serving(tmp_path, [only], pool) as proxy:
        assert status(ask(proxy)) == 200
        assert status(ask(proxy, path=b"/last")) == 200
        logged = records(proxy, tmp_path)

    assert [each["attempts"] for each in logged] == [1, 2]


def test_whoever_leaves_takes_the_attempt_along(tmp_path):
    asked, left = threading.Event(), threading.Event()

    def hold(connection, head):
        asked.set()
        wait_for_the_end(connection)
        left.set()

    pool = PLAIN + 'attempt_timeout = "5s"\n'
    with ScriptedOrigin(hold) as bad, serving(tmp_path, [bad, refused()], pool) as proxy:
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert asked.wait(5)
        assert left.wait(5)
        (record,) = records(proxy, tmp_path)

    assert record["status"] == 0
    assert "closed" in record["detail"]


@pytest.mark.parametrize(
    ("client", "low", "high"), [(b"", 200, 500), (b"120", 60, 120), (b"9999", 200, 500)]
)
def test_what_is_left_of_the_deadline_is_passed_on(tmp_path, good, client, low, high):
    pool = PLAIN + 'deadline = { timeout = "500ms", header = "X-Left" }\n'
    fields = b"X-Left: %s\r\n" % client if client else b""
    with serving(tmp_path, [good], pool) as proxy:
        assert status(ask(proxy, fields=fields)) == 200

    lines = [line for line in bytes(good.received[0]).split(b"\r\n") if b"X-Left" in line]
    assert len(lines) == 1
    assert low <= int(lines[0].split(b": ")[1]) <= high


def test_the_deadline_ends_all_attempts(tmp_path):
    pool = PLAIN + 'deadline = { timeout = "400ms" }\nattempt_timeout = "150ms"\nretries = 5\n'
    with (
        ScriptedOrigin(hanging) as one,
        ScriptedOrigin(hanging) as two,
        serving(tmp_path, [one, two], pool) as proxy,
    ):
        began = time.monotonic()
        assert status(ask(proxy)) == 504
        assert 0.35 < time.monotonic() - began < 2


def slow_then_fine(seconds):
    def slow(connection, head):
        time.sleep(seconds)
        connection.sendall(answer(b"slow"))

    return slow


def test_a_hedge_answers_for_a_slow_server_and_the_slower_is_left(tmp_path, good):
    left = threading.Event()

    def hold(connection, head):
        wait_for_the_end(connection)
        left.set()

    pool = PLAIN + 'hedge = { after = "100ms" }\n'
    with ScriptedOrigin(hold) as bad, serving(tmp_path, [bad, good], pool) as proxy:
        answers = [ask(proxy) for _ in range(2)]
        assert left.wait(5)
        logged = records(proxy, tmp_path)

    assert [body(each) for each in answers] == [b"ok", b"ok"]
    assert sorted(each["attempts"] for each in logged) == [1, 2]
    assert {each["upstream"] for each in logged} == {f"127.0.0.1:{good.port}"}


def test_the_first_server_wins_when_it_is_faster_than_the_hedge(tmp_path):
    pool = PLAIN + 'hedge = { after = "50ms" }\n'
    with (
        ScriptedOrigin(slow_then_fine(0.3)) as one,
        ScriptedOrigin(hanging) as two,
        serving(tmp_path, [one, two], pool) as proxy,
    ):
        assert body(ask(proxy)) == b"slow"
        assert body(ask(proxy)) == b"slow", "asked second, it answers for the other that hangs"


def test_a_hedge_goes_on_when_the_first_server_fails(tmp_path):
    def late_close(connection, head):
        time.sleep(0.2)
        connection.shutdown(socket.SHUT_RDWR)

    pool = PLAIN + 'hedge = { after = "50ms" }\n'
    with (
        ScriptedOrigin(late_close) as one,
        ScriptedOrigin(slow_then_fine(0.5)) as two,
        serving(tmp_path, [one, two], pool) as proxy,
    ):
        assert body(ask(proxy)) == b"slow"
        assert body(ask(proxy)) == b"slow"


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE"])
def test_what_changes_things_is_never_hedged(tmp_path, good, method):
    pool = PLAIN + 'hedge = { after = "50ms" }\n'
    with (
        ScriptedOrigin(slow_then_fine(0.3)) as slow,
        serving(tmp_path, [slow, good], pool) as proxy,
    ):
        answers = [body(ask(proxy, method)) for _ in range(2)]

    assert sorted(answers) == [b"ok", b"slow"]
    assert len(good.heads()) == len(slow.heads()) == 1


def test_more_requests_than_connections_wait_and_are_served(tmp_path):
    pool = PLAIN + 'max_connections = 2\nqueue_timeout = "5s"\n'
    results = []
    with (
        ScriptedOrigin(slow_then_fine(0.1)) as only,
        serving(tmp_path, [only], pool) as proxy,
    ):
        threads = [
            threading.Thread(target=lambda: results.append(status(ask(proxy)))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

    assert results == [200] * 8
    assert len(only.received) <= 2


@pytest.mark.parametrize("limit", ["queue_size = 0", 'queue_timeout = "200ms"'])
def test_a_full_queue_and_a_long_wait_are_503(tmp_path, limit):
    go_on = threading.Event()

    def hold(connection, head):
        go_on.wait(5)
        connection.sendall(FINE)

    pool = PLAIN + f"max_connections = 1\n{limit}\n"
    with ScriptedOrigin(hold) as only, serving(tmp_path, [only], pool) as proxy:
        first = []
        thread = threading.Thread(target=lambda: first.append(status(ask(proxy))))
        thread.start()
        eventually(lambda: only.heads())
        second = ask(proxy)
        go_on.set()
        thread.join(5)

    assert status(second) == 503
    assert b"connection_limit_reached" in second
    assert first == [200]


def test_a_server_without_room_is_passed_over(tmp_path, good):
    go_on = threading.Event()

    def hold(connection, head):
        go_on.wait(5)
        connection.sendall(answer(b"held"))

    pool = PLAIN + "max_connections = 1\n"
    with ScriptedOrigin(hold) as full, serving(tmp_path, [full, good], pool) as proxy:
        held = []
        threads = [threading.Thread(target=lambda: held.append(body(ask(proxy)))) for _ in range(2)]
        for thread in threads:
            thread.start()
        eventually(lambda: full.heads() and held)  # one is held, the other was answered
        answers = [body(ask(proxy)) for _ in range(4)]
        go_on.set()
        for thread in threads:
            thread.join(5)

    assert answers == [b"ok"] * 4
