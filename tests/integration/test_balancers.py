"""Balancers in a running proxy: shares, loads, latencies, weights by reload, third parties."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from demo.proxies import Proxy, free_port
from tests.integration.several import Pooled, ask, named, named_origins, who_answers
from tests.scripted import ScriptedOrigin, exchange, reply

PROBE = Path(__file__).with_name("probe")
CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def origins():
    with named_origins("abc") as running:
        yield running


def entry(origin, **keys):
    text = "".join(f", {key} = {value}" for key, value in keys.items())
    return f'{{ url = "{origin.url}"{text} }}'


@pytest.mark.parametrize("name", ["round-robin", "least-connections"])
def test_shares_are_exact_where_they_can_be(tmp_path, origins, name):
    a, b, c = origins
    pooled = Pooled(tmp_path).write([a, b, entry(c, weight=2)], f'balance = "{name}"')
    with pooled:
        assert who_answers(pooled, 200) == {"a": 50, "b": 50, "c": 100}


@pytest.mark.parametrize("name", ["random-two", "ewma"])
def test_every_server_is_drawn(tmp_path, origins, name):
    with Pooled(tmp_path).write(origins, f'balance = "{name}"') as pooled:
        assert set(who_answers(pooled, 200)) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("balance", "fields"),
    [
        ('"hash-client"', [{}]),
        ('"hash-uri"', [{"path": f"/{n}?q={n}"} for n in range(20)]),
        ('{ use = "hash", key = "header:X-User" }', [{"X_User": f"u{n}"} for n in range(20)]),
        ('{ use = "hash", key = "cookie:id" }', [{"Cookie": f"id={n}"} for n in range(20)]),
        ('"first"', [{}]),
    ],
)
def test_the_same_key_has_the_same_server(tmp_path, origins, balance, fields):
    pooled = Pooled(tmp_path).write(origins, f"balance = {balance}")
    with pooled, pooled.client() as client:
        chosen = [{ask(client, **each)[0] for _ in range(3)} for each in fields]

    assert all(len(each) == 1 for each in chosen)
    assert len(fields) == 1 or len(set().union(*chosen)) == 3


def test_the_options_of_twistd_take_a_balancer_and_weights(tmp_path, origins):
    a, b, _ = origins
    options = ["--backend", a.url, "--backend", f"{b.url},weight=3", "--balance"]
    with Proxy(tmp_path, "reverse", *options, "least-connections") as proxy:
        answers = [exchange(proxy.address, CLOSE)[-1:] for _ in range(40)]

    assert (answers.count(b"a"), answers.count(b"b")) == (10, 30)


def test_a_busy_server_is_spared_until_its_client_is_served_or_gone(tmp_path, origins):
    asked, go_on = threading.Event(), threading.Event()

    def busy(connection, head):
        if b" /slow " in head:
            asked.set()
            go_on.wait(5)
        named(b"s")(connection, head)

    with ScriptedOrigin(busy) as slow:
        pooled = Pooled(tmp_path).write([slow, origins[0]], 'balance = "least-connections"')
        with pooled:
            while who_answers(pooled, 1) != {"a": 1}:  # then it is the slow one's turn
                pass
            with socket.create_connection(pooled.proxy.address, timeout=5) as client:
                client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                assert asked.wait(5)
                assert who_answers(pooled, 10) == {"a": 10}
            go_on.set()
            # Its client is gone, so nothing is in flight on it any more.
            for _ in range(100):
                if who_answers(pooled, 4) == {"a": 2, "s": 2}:
                    break
            else:
                raise AssertionError("what its client left is counted for ever")


def test_a_slow_server_is_asked_less(tmp_path, origins):
    waiting = threading.Event()

    def slow(connection, head):
        waiting.wait(0.1)
        named(b"s")(connection, head)

    with ScriptedOrigin(slow) as origin:
        pooled = Pooled(tmp_path).write([origin, *origins[:2]], 'balance = "ewma"')
        with pooled:
            assert who_answers(pooled, 100)["s"] <= 3


@pytest.mark.parametrize("answer", [None, b"nonsense\r\n\r\n"])
def test_a_server_that_fails_at_once_is_not_taken_for_a_fast_one(tmp_path, origins, answer):
    with ScriptedOrigin(reply(answer or b"")) as origin:
        url = origin.url if answer else f"http://127.0.0.1:{free_port()}"
        with Pooled(tmp_path).write([f'"{url}"', *origins[:2]], 'balance = "ewma"') as pooled:
            statuses = [exchange(pooled.proxy.address, CLOSE)[9:12] for _ in range(100)]

    assert statuses.count(b"502") <= 3


def test_a_weight_that_is_reloaded_counts_at_once_and_none_drains(tmp_path, origins):
    a, b, _ = origins
    with Pooled(tmp_path).write([a, b]) as pooled:
        assert who_answers(pooled, 40) == {"a": 20, "b": 20}
        pooled.reload([a, entry(b, weight=3)])
        assert who_answers(pooled, 40) == {"a": 10, "b": 30}
        pooled.reload([a, entry(b, weight=0)])
        assert who_answers(pooled, 40) == {"a": 40}


def test_a_backup_serves_when_the_others_are_drained(tmp_path, origins):
    a, b, _ = origins
    with Pooled(tmp_path).write([a, entry(b, backup="true")]) as pooled:
        assert who_answers(pooled, 10) == {"a": 10}
        pooled.reload([entry(a, weight=0), entry(b, backup="true")])
        assert who_answers(pooled, 10) == {"b": 10}


def test_a_third_partys_balancer_is_used_by_name_with_its_options(tmp_path, origins, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PROBE))
    with Pooled(tmp_path).write(origins, 'balance = "numbered"') as pooled:
        assert who_answers(pooled, 5) == {"a": 5}
        pooled.reload(origins, 'balance = { use = "numbered", number = 2 }')
        assert who_answers(pooled, 5) == {"c": 5}
