"""Servers that are ill are not used, and come back into use by themselves."""

from __future__ import annotations

import signal
import socket
import threading

import pytest

from demo.proxies import free_port
from tests.integration.pools import (
    FINE,
    answer,
    ask,
    body,
    closing,
    configuration,
    hanging,
    records,
    refused,
    serving,
    status,
)
from tests.scripted import ScriptedOrigin, reply
from tests.waiting import eventually

PLAIN = "outlier = false\nretries = 0\n"
FAST = 'interval = "200ms"\nfast_interval = "50ms"\ntimeout = "300ms"\n'


def checks(options):
    return f"[pool.app.health]\n{FAST}{options}\n"


class Sick(ScriptedOrigin):
    """An origin whose checks and whose exchanges are answered each in its own way."""

    def __init__(self, name, checked=FINE):
        self.checked = checked
        self.name = name
        super().__init__(self.follow)

    def follow(self, connection, head):
        if b"/health" in head:
            self.checked(connection, head) if callable(self.checked) else connection.sendall(
                self.checked
            )
        else:
            connection.sendall(answer(self.name))


@pytest.fixture
def two():
    with Sick(b"one") as one, Sick(b"two") as other:
        yield one, other


def used(proxy, requests=6):
    """Give the names of the servers that answered."""
    return {body(ask(proxy)) for _ in range(requests)}


def is_said(proxy, words):
    return lambda: words in proxy.output.read_text()


@pytest.mark.parametrize(
    "ill",
    [answer(b"", b"503 Service Unavailable"), b"nonsense\r\n\r\n", closing, hanging],
    ids=["status", "nonsense", "closes", "hangs"],
)
def test_a_server_whose_checks_fail_is_not_used_until_they_are_good(tmp_path, two, ill):
    one, _ = two
    with serving(tmp_path, two, PLAIN, checks('path = "/health"')) as proxy:
        eventually(lambda: used(proxy) == {b"one", b"two"})
        one.checked = ill
        eventually(is_said(proxy, "is down"))
        assert used(proxy) == {b"two"}
        one.checked = FINE
        eventually(lambda: used(proxy) == {b"one", b"two"})

    log = proxy.output.read_text()
    assert log.count(f"{one.port} of the pool app is down") == 1
    assert log.count(f"{one.port} of the pool app is up") == 2


@pytest.mark.parametrize(
    ("options", "good", "bad"),
    [
        ("status = [200, 404]", answer(b"", b"404 Not Found"), answer(b"", b"204 No Content")),
        ('status = "5xx"', answer(b"", b"503 x"), FINE),
        ('status = ["200-204"]', answer(b"", b"200 OK"), answer(b"", b"205 x")),
        ('body = "all is well"', answer(b"yes: all is well."), answer(b"all is lost")),
        ('body = "~ queue: [0-9]\\\\b"', answer(b"queue: 7"), answer(b"queue: 70")),
        ("", answer(b"", b"302 Found"), answer(b"", b"400 Bad Request")),
    ],
)
def test_what_a_good_answer_is_can_be_said(tmp_path, two, options, good, bad):
    one, other = two
    one.checked, other.checked = good, bad
    with serving(tmp_path, two, PLAIN, checks(f'path = "/health"\n{options}')) as proxy:
        eventually(is_said(proxy, "is down"))
        eventually(is_said(proxy, "is up"))
        assert used(proxy) == {b"one"}


def test_what_a_check_asks(tmp_path, two):
    options = 'path = "/health?deep"\nmethod = "OPTIONS"\nhost = "app.example"\n'
    with serving(tmp_path, two[:1], PLAIN, checks(options)) as proxy:
        eventually(is_said(proxy, "is up"))

    head = bytes(two[0].received[0])
    assert head.startswith(b"OPTIONS /health?deep HTTP/1.1\r\nHost: app.example\r\n")
    assert b"Connection: close\r\n" in head


def test_a_check_on_another_port(tmp_path, two):
    one, other = two
    other.checked = answer(b"", b"500 x")
    options = f'path = "/health"\nport = {other.port}\n'
    with serving(tmp_path, [one], PLAIN, checks(options)) as proxy:
        eventually(is_said(proxy, "is down"))
        assert status(ask(proxy)) == 503


def test_tcp_checks(tmp_path, two):
    gone = free_port()
    urls = [two[0], f"http://127.0.0.1:{gone}"]
    with serving(tmp_path, urls, PLAIN, checks('type = "tcp"')) as proxy:
        eventually(is_said(proxy, f"{gone} of the pool app is down"))
        assert used(proxy) == {b"one"}


def test_tls_checks_verify_the_certificate(tmp_path, origins, certificate):
    tls = f'tls = {{ ca = "{certificate.authority}" }}\n'
    with (
        ScriptedOrigin(reply(FINE)) as plain,
        serving(
            tmp_path,
            [origins.https_url, f"https://127.0.0.1:{plain.port}"],
            PLAIN + tls,
            checks('type = "tls"'),
        ) as proxy,
    ):
        eventually(is_said(proxy, f"{plain.port} of the pool app is down"))
        eventually(is_said(proxy, "is up"))
        assert {status(ask(proxy)) for _ in range(4)} == {200}


def test_an_endless_answer_to_a_check_is_read_no_further(tmp_path):
    sent = threading.Event()

    def endless(connection, head):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(10_000):
                connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        except OSError:
            sent.set()

    options = checks('path = "/health"\nbody = "never"')
    with Sick(b"one", endless) as one, serving(tmp_path, [one], PLAIN, options) as proxy:
        eventually(is_said(proxy, "is down"))
        assert sent.wait(5)


def test_endless_interim_responses_to_a_check_are_no_good_answer(tmp_path):
    def endless(connection, head):
        for _ in range(100):
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 1000)

    options = checks('path = "/health"')
    with Sick(b"one", endless) as one, serving(tmp_path, [one], PLAIN, options) as proxy:
        eventually(is_said(proxy, "is down: "))
        assert not is_said(proxy, "is up")()


def test_no_usable_server_is_a_503_at_once(tmp_path):
    with serving(tmp_path, [refused()], PLAIN, checks("")) as proxy:
        eventually(is_said(proxy, "no usable server"))
        answered = ask(proxy)
        (record,) = records(proxy, tmp_path)

    assert status(answered) == 503
    assert b"error=destination_unavailable" in answered
    assert record["attempts"] == 0


def test_all_are_tried_when_none_is_usable_if_so_configured(tmp_path, two):
    for each in two:
        each.checked = answer(b"", b"500 x")
    pool = PLAIN + 'when_unusable = "try-all"\n'
    with serving(tmp_path, two, pool, checks('path = "/health"')) as proxy:
        eventually(is_said(proxy, "no usable server"))
        assert used(proxy) == {b"one", b"two"}


def test_backups_serve_when_no_other_does(tmp_path, two):
    one, other = two
    with serving(tmp_path, [one], PLAIN, checks('path = "/health"')) as proxy:
        assert used(proxy) == {b"one"}
        text = proxy.file.read_text()
        proxy.file.write_text(
            text.replace(f'"{one.url}"', f'"{one.url}", {{ url = "{other.url}", backup = true }}')
        )
        proxy.process.send_signal(signal.SIGHUP)
        eventually(is_said(proxy, "was reloaded"))
        assert used(proxy) == {b"one"}
        one.checked = answer(b"", b"500 x")
        eventually(is_said(proxy, "is down"))
        assert used(proxy) == {b"two"}


def test_a_server_that_fails_is_left_out_without_any_checks(tmp_path, two):
    one = two[0]
    pool = 'outlier = { errors = 3, eject_for = "1s" }\n'
    with serving(tmp_path, two, pool) as proxy:
        one.script = closing
        assert {status(ask(proxy)) for _ in range(20)} == {200}, "retries hide it"
        eventually(is_said(proxy, "is an outlier: 3 exchanges in a row failed"))
        asked = len(one.heads())
        assert used(proxy, 10) == {b"two"}
        assert len(one.heads()) == asked == 3
        one.script = one.follow
        eventually(lambda: used(proxy) == {b"one", b"two"})


def test_statuses_count_against_a_server(tmp_path, two):
    one, _ = two
    one.script = reply(answer(b"", b"503 Service Unavailable"))
    with serving(tmp_path, two, "outlier = { errors = 3 }") as proxy:
        answers = [status(ask(proxy)) for _ in range(20)]

    assert answers.count(503) == 3


def test_a_circuit_breaker_opens_and_closes(tmp_path, two):
    one, _ = two
    one.script = closing
    pool = PLAIN + 'breaker = { failures = 3, open_for = "500ms", successes = 1 }\n'
    with serving(tmp_path, [one], pool) as proxy:
        answers = [status(ask(proxy)) for _ in range(6)]
        asked = len(one.heads())
        one.script = one.follow
        eventually(lambda: status(ask(proxy)) == 200)
        assert [status(ask(proxy)) for _ in range(3)] == [200] * 3

    assert answers == [502, 502, 502, 503, 503, 503]
    assert asked == 3
    log = proxy.output.read_text()
    states = [line.rsplit(" ", 1)[1] for line in log.splitlines() if "circuit breaker" in line]
    assert states == ["open", "half-open", "closed"]


def test_a_half_open_breaker_lets_one_through_at_a_time(tmp_path):
    asked, go_on = threading.Event(), threading.Event()

    def script(connection, head):
        if b"/fail" in head:
            connection.shutdown(socket.SHUT_RDWR)
            return
        asked.set()
        go_on.wait(5)
        connection.sendall(FINE)

    pool = PLAIN + 'breaker = { failures = 1, open_for = "300ms", trials = 1 }\n'
    with ScriptedOrigin(script) as only, serving(tmp_path, [only], pool) as proxy:
        assert status(ask(proxy, path=b"/fail")) == 502
        eventually(is_said(proxy, "half-open"))
        trial = []
        thread = threading.Thread(target=lambda: trial.append(status(ask(proxy))))
        thread.start()
        assert asked.wait(5)
        assert status(ask(proxy)) == 503
        go_on.set()
        thread.join(5)
        assert trial == [200]
        assert status(ask(proxy)) == 200


def test_a_reload_keeps_what_is_known_of_servers(tmp_path, two):
    one, other = two
    one.checked = answer(b"", b"500 x")
    with (
        Sick(b"new", hanging) as new,
        serving(tmp_path, two, PLAIN, checks('path = "/health"')) as proxy,
    ):
        eventually(is_said(proxy, "is down"))
        # The checks of the new configuration hang: nothing is learnt after the reload.
        one.checked = other.checked = hanging
        slow = '[pool.app.health]\npath = "/health"\ntimeout = "30s"\n'
        urls = [one.url, other.url, new.url]
        proxy.file.write_text(configuration(proxy.port, urls, PLAIN, slow))
        proxy.process.send_signal(signal.SIGHUP)
        eventually(is_said(proxy, "was reloaded"))
        assert used(proxy) == {b"two", b"new"}, "one is down still, a new one counts as usable"


def test_nothing_checks_any_more_when_the_configuration_has_no_checks(tmp_path, two):
    one, _ = two
    with serving(tmp_path, [one], PLAIN, checks('path = "/health"')) as proxy:
        eventually(lambda: len(one.heads()) > 1)
        proxy.file.write_text(configuration(proxy.port, [one.url], PLAIN))
        proxy.process.send_signal(signal.SIGHUP)
        eventually(is_said(proxy, "was reloaded"))
        before = len(one.heads())
        threading.Event().wait(0.6)
        assert len(one.heads()) <= before + 1


def test_health_on_the_command_line(start, two):
    two[0].checked = answer(b"", b"500 x")
    backends = [part for each in two for part in ("--backend", each.url)]
    proxy = start("reverse", *backends, "--health", "/health")
    eventually(is_said(proxy, "is down"))

    assert used(proxy) == {b"two"}
