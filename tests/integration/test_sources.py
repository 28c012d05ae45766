"""Servers come from files and from the DNS, and go without a request being dropped."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from demo.proxies import free_port
from tests.integration.pools import (
    answer,
    ask,
    body,
    configuration,
    serving,
    status,
)
from tests.scripted import ScriptedOrigin, reply
from tests.waiting import eventually

NAMES = Path(__file__).with_name("names.py")


@pytest.fixture
def one():
    with ScriptedOrigin(reply(answer(b"one"))) as running:
        yield running


@pytest.fixture
def two():
    with ScriptedOrigin(reply(answer(b"two"))) as running:
        yield running


def used(proxy, requests=6):
    return {body(ask(proxy)) for _ in range(requests)}


def is_used(proxy, names):
    return used(proxy) == names


def replace(file, text):
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.rename(file)


LINES = "{one}  # the first\n\n{two} weight=3\n"
JSON = '["{one}", {{"url": "{two}", "weight": 3}}]'
TOML = 'servers = ["{one}", {{ url = "{two}", weight = 3 }}]'


@pytest.mark.parametrize(
    ("name", "text"), [("servers", LINES), ("servers.json", JSON), ("servers.toml", TOML)]
)
def test_servers_of_a_file_are_used_with_their_weights(tmp_path, one, two, name, text):
    (tmp_path / name).write_text(text.format(one=one.url, two=two.url))
    with serving(tmp_path, None, f'source = {{ file = "{name}" }}') as proxy:
        answers = [body(ask(proxy)) for _ in range(8)]

    assert sorted(answers) == [b"one"] * 2 + [b"two"] * 6


def test_a_file_is_watched_and_one_that_makes_no_sense_changes_nothing(tmp_path, one, two):
    file = tmp_path / "servers"
    file.write_text(one.url)
    with serving(tmp_path, None, 'source = { file = "servers" }') as proxy:
        assert used(proxy) == {b"one"}
        replace(file, f"{one.url}\n{two.url}\n")
        eventually(lambda: used(proxy) == {b"one", b"two"})
        replace(file, "nonsense")
        eventually(lambda: "changes nothing in the pool app" in proxy.output.read_text())
        assert used(proxy) == {b"one", b"two"}
        replace(file, two.url)
        eventually(lambda: used(proxy) == {b"two"})


def test_a_server_that_goes_finishes_what_it_has_and_gets_nothing_new(tmp_path, one, two):
    asked, go_on = threading.Event(), threading.Event()

    def slow(connection, head):
        asked.set()
        go_on.wait(10)
        connection.sendall(answer(b"finished"))

    one.script = slow
    file = tmp_path / "servers"
    file.write_text(one.url)
    pool = 'source = { file = "servers" }\nmax_connections = 1\n'
    with serving(tmp_path, None, pool) as proxy:
        results = []
        threads = [
            threading.Thread(target=lambda: results.append(body(ask(proxy)))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        assert asked.wait(5)
        threading.Event().wait(0.2)  # until the others wait
        replace(file, two.url)
        eventually(lambda: "no longer in the pool" in proxy.output.read_text())
        assert used(proxy) == {b"two"}
        go_on.set()
        for thread in threads:
            thread.join(5)
        # Its connections are closed behind the last exchange.
        eventually(lambda: one.closed == len(one.received) > 0)

    assert results == [b"finished"] * 3, "one is under way, two wait for its connection"


def test_no_request_is_dropped_while_servers_come_and_go(tmp_path, one, two):
    file = tmp_path / "servers"
    file.write_text(one.url)
    over = threading.Event()
    seen = []
    urls = {b"one": one.url, b"two": two.url}

    def client(proxy):
        while not over.is_set():
            seen.append(status(ask(proxy, b"POST", content=b"x")))

    with serving(tmp_path, None, 'source = { file = "servers" }\nretries = 0') as proxy:
        threads = [threading.Thread(target=client, args=(proxy,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for text in (two.url, one.url, f"{one.url}\n{two.url}"):
            replace(file, text)
            names = {name for name, url in urls.items() if url in text}
            eventually(partial(is_used, proxy, names))
        over.set()
        for thread in threads:
            thread.join(5)

    assert set(seen) == {200}
    assert len(seen) > 50


class Names:
    """A name server in a process of its own, whose zone a test writes."""

    def __init__(self, directory):
        self.port = free_port()
        self.zone = directory / "zone.json"
        self.asked = directory / "asked"
        self.asked.touch()
        self.serve([])
        self._process = subprocess.Popen(
            [sys.executable, str(NAMES), str(self.port), str(self.zone), str(self.asked)],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout.readline() == b"ready\n"

    def serve(self, records):
        """Serve these records: [name, type, TTL, data...]."""
        replace(self.zone, json.dumps(records))

    def questions(self):
        return self.asked.read_text().splitlines()

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture
def names(tmp_path):
    running = Names(tmp_path)
    yield running
    running.stop()


def source(names, kind, more=""):
    return (
        f'source = {{ {kind}, nameservers = "127.0.0.1:{names.port}", '
        f'min_ttl = "300ms", max_ttl = "5s"{more} }}\n'
    )


def test_addresses_of_a_name_are_followed_by_their_ttl(tmp_path, names):
    port = free_port()
    with (
        ScriptedOrigin(reply(answer(b"one")), ("127.0.0.1", port)),
        ScriptedOrigin(reply(answer(b"two")), ("127.0.0.2", port)),
    ):
        names.serve([["app.test", "A", 1, "127.0.0.1"]])
        pool = source(names, f'dns = "http://app.test:{port}"')
        with serving(tmp_path, None, pool) as proxy:
            eventually(lambda: used(proxy) == {b"one"})
            names.serve([["app.test", "A", 1, "127.0.0.1"], ["app.test", "A", 1, "127.0.0.2"]])
            eventually(lambda: used(proxy) == {b"one", b"two"})
            names.serve([["app.test", "A", 5, "127.0.0.2"]])
            eventually(lambda: used(proxy) == {b"two"})
            # The TTL is longer now: it is not asked again before that is over.
            asked = len(names.questions())
            threading.Event().wait(1.5)
            assert len(names.questions()) == asked


def test_a_name_that_is_gone_and_a_silent_name_server_change_nothing(tmp_path, names):
    port = free_port()
    with ScriptedOrigin(reply(answer(b"one")), ("127.0.0.1", port)):
        names.serve([["app.test", "A", 0, "127.0.0.1"]])
        pool = source(names, f'dns = "http://app.test:{port}"', ', family = "ipv4"')
        with serving(tmp_path, None, pool) as proxy:
            eventually(lambda: used(proxy) == {b"one"})
            names.serve([])
            eventually(lambda: "changes nothing" in proxy.output.read_text())
            assert used(proxy) == {b"one"}
            names.stop()
            threading.Event().wait(0.5)
            assert used(proxy) == {b"one"}


def test_aliases_are_followed_and_strangers_in_an_answer_are_not_taken(tmp_path, names):
    port = free_port()
    with ScriptedOrigin(reply(answer(b"one")), ("127.0.0.1", port)):
        names.serve(
            [
                ["app.test", "CNAME", 1, "real.test"],
                ["real.test", "A", 1, "127.0.0.1"],
                ["app.test", "STRANGER", 1, "evil.test", "127.0.0.9"],
            ]
        )
        pool = source(names, f'dns = "http://app.test:{port}"') + "retries = 0\noutlier = false\n"
        with serving(tmp_path, None, pool) as proxy:
            eventually(lambda: used(proxy) == {b"one"})
            assert used(proxy, 10) == {b"one"}


def test_srv_records_give_ports_weights_and_backups(tmp_path, names, one, two):
    with ScriptedOrigin(reply(answer(b"backup"))) as backup:
        service = "_http._tcp.app.test"
        names.serve(
            [
                [service, "SRV", 1, 0, 1, one.port, "a.test"],
                [service, "SRV", 1, 0, 3, two.port, "b.test"],
                [service, "SRV", 1, 10, 1, backup.port, "a.test"],
                ["a.test", "A", 1, "127.0.0.1"],
                ["b.test", "A", 1, "127.0.0.1"],
            ]
        )
        with serving(tmp_path, None, source(names, f'srv = "{service}"')) as proxy:
            eventually(lambda: used(proxy) == {b"one", b"two"})
            answers = [body(ask(proxy)) for _ in range(8)]
            assert sorted(answers) == [b"one"] * 2 + [b"two"] * 6
            names.serve(
                [
                    [service, "SRV", 1, 10, 1, backup.port, "a.test"],
                    ["a.test", "A", 1, "127.0.0.1"],
                ]
            )
            eventually(lambda: used(proxy) == {b"backup"})


def test_a_reload_keeps_the_servers_that_a_source_has_found(tmp_path, names):
    port = free_port()
    with ScriptedOrigin(reply(answer(b"one")), ("127.0.0.1", port)):
        names.serve([["app.test", "A", 1, "127.0.0.1"]])
        pool = source(names, f'dns = "http://app.test:{port}"')
        with serving(tmp_path, None, pool) as proxy:
            eventually(lambda: used(proxy) == {b"one"})
            names.stop()
            proxy.file.write_text(configuration(proxy.port, None, pool + "retries = 1\n"))
            proxy.process.send_signal(1)
            eventually(lambda: "was reloaded" in proxy.output.read_text())
            assert used(proxy) == {b"one"}
