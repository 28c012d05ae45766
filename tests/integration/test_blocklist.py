"""Blocklists in a running proxy: answers, changed files, updates by URL, and no stalls."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from demo.proxies import Proxy, free_port
from proxykit.command import main
from tests.policed import get, serving, status
from tests.scripted import ScriptedOrigin, exchange, read_until, reply
from tests.stalls.detector import LONGEST_MILLISECONDS, assert_no_stall, longest_stall
from tests.waiting import eventually

FINE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok"
MILLION = 1_000_000


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


def test_the_option_block_mixes_all_kinds_of_lists(start, origin, tmp_path):
    one, two = tmp_path / "ads.txt", tmp_path / "more.txt"
    one.write_text("0.0.0.0 hosts.test\ndomain.test\n||abp.test^\n/banner/*.gif\n")
    two.write_text("@@||good.abp.test^\n")
    proxy = start("forward", "--allow-private", "--block", str(one), "--block", str(two))

    for host in ("hosts.test", "sub.domain.test", "abp.test"):
        answer = exchange(proxy.address, get(f"http://{host}/", "Accept: text/html"))
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"ads.txt" in answer
        assert host.removeprefix("sub.").encode() in answer
    assert status(proxy, "http://good.abp.test/") == 502  # it does not resolve
    assert status(proxy, "abp.test:443", method="CONNECT") == 403
    assert exchange(proxy.address, get(f"{origin.url}/")).endswith(b"ok")
    pixel = exchange(proxy.address, get(f"{origin.url}/banner/a.gif"))
    assert pixel.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Type: image/gif\r\n" in pixel
    told = exchange(proxy.address, get("http://abp.test/", "Accept: application/json"))
    members = json.loads(told.partition(b"\r\n\r\n")[2])
    assert (members["list"], members["rule"]) == ("ads.txt", "||abp.test^")


def test_a_changed_file_is_taken_while_requests_go_on(start, origin, tmp_path):
    list_file = tmp_path / "ads.txt"
    list_file.write_text("old.test\n")
    proxy = start("forward", "--allow-private", "--block", str(list_file))
    with socket.create_connection(proxy.address, timeout=5) as client:
        request = get(f"{origin.url}/").replace(b"Connection: close\r\n", b"")
        client.sendall(request)
        assert read_until(client, b"ok").endswith(b"ok")

        list_file.write_text("new.test\n")
        eventually(lambda: status(proxy, "http://new.test/") == 403)

        assert status(proxy, "http://old.test/") == 502
        client.sendall(request)
        assert read_until(client, b"ok").endswith(b"ok")


def test_a_file_that_is_gone_leaves_what_was_read(start, tmp_path):
    list_file = tmp_path / "ads.txt"
    list_file.write_text("ads.test\n")
    proxy = start("forward", "--block", str(list_file))
    assert status(proxy, "http://ads.test/") == 403

    list_file.unlink()

    eventually(lambda: "ads.txt is gone" in proxy.output.read_text())
    assert status(proxy, "http://ads.test/") == 403


def test_a_list_that_cannot_be_read_is_an_error_at_the_start(tmp_path):
    proxy = Proxy(tmp_path, "forward", "--block", str(tmp_path / "none.txt")).begin()

    assert proxy.process.wait(10) == 1
    assert "none.txt cannot be read" in proxy.output.read_text()


class Updates:
    """A server of one list, with ETag."""

    def __init__(self):
        self.content = b"first.test\n"
        self.etag = b'"1"'
        self.status = 200
        self.asked = []

    def __call__(self, connection, head):
        self.asked.append(head)
        if self.etag in head:
            connection.sendall(b"HTTP/1.1 304 Not Modified\r\n\r\n")
        else:
            connection.sendall(
                b"HTTP/1.1 %d X\r\nETag: %s\r\nContent-Length: %d\r\n\r\n%s"
                % (self.status, self.etag, len(self.content), self.content)
            )


def test_a_list_is_updated_by_url_and_what_is_bad_changes_nothing(tmp_path, monkeypatch):
    updates = Updates()
    with ScriptedOrigin(updates) as server:
        entry = (
            f'{{ file = "kept.txt", url = "{server.url}/l", refresh = "1s", max_size = "1KiB" }}'
        )
        filters = [f'use = "blocklist"\nlists = [{entry}]']
        with serving(tmp_path, filters, monkeypatch) as proxy:
            assert status(proxy, "http://first.test/") == 403
            assert (tmp_path / "kept.txt").read_bytes() == b"first.test\n"
            eventually(lambda: len(updates.asked) > 2)
            assert b'If-None-Match: "1"' in updates.asked[-1]

            for bad in (b"<html>\n", b"x" * 2000, b""):
                seen = proxy.output.read_text().count("could not be updated")
                updates.content, updates.etag = bad, b'"2"'
                eventually(
                    lambda: proxy.output.read_text().count("could not be updated") > seen  # noqa: B023
                )
                assert status(proxy, "http://first.test/") == 403
            updates.content, updates.etag = b"second.test\n", b'"3"'
            eventually(lambda: status(proxy, "http://second.test/") == 403)
            assert status(proxy, "http://first.test/") == 502
        assert sorted(p.name for p in tmp_path.iterdir() if "kept" in p.name) == [
            "kept.txt",
            "kept.txt.state",
        ]


def test_a_list_that_was_kept_is_used_when_its_server_is_gone(tmp_path, monkeypatch):
    (tmp_path / "kept.txt").write_text("kept.test\n")
    entry = f'{{ file = "kept.txt", url = "http://127.0.0.1:{free_port()}/l" }}'
    with serving(tmp_path, [f'use = "blocklist"\nlists = [{entry}]'], monkeypatch) as proxy:
        assert status(proxy, "http://kept.test/") == 403
        eventually(lambda: "could not be updated" in proxy.output.read_text())
        assert status(proxy, "http://kept.test/") == 403
        assert status(proxy, "http://other.test/") == 502


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    """A list of a million domains."""
    file = tmp_path_factory.mktemp("million") / "million.txt"
    with file.open("w") as lines:
        lines.writelines(f"0.0.0.0 host{n}.ads{n % 999}.test\n" for n in range(MILLION))
    return file


def memory_of(proxy):
    """Give the bytes of a process that are its own or mapped and touched."""
    with open(f"/proc/{proxy.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_million_domains_are_read_and_read_again_without_a_stall(
    tmp_path, monkeypatch, origin, million
):
    list_file = tmp_path / "ads.txt"
    list_file.write_text("few.test\n")
    filters = [
        'use = "access"\nlists = { bad = "access.txt" }\n'
        'rules = [{ action = "deny", domain = "@bad" }]',
        'use = "blocklist"\nlists = ["ads.txt"]',
    ]
    (tmp_path / "access.txt").write_text("few-too.test\n")
    with serving(tmp_path, filters, monkeypatch) as proxy:
        assert status(proxy, "http://few.test/") == 403
        before = memory_of(proxy)

        def read_again(attempt):
            """Put another million in the place of the list, and ask on all the while."""
            (tmp_path / "new").write_bytes(million.read_bytes() + b"last%d.test\n" % attempt)
            (tmp_path / "new").replace(list_file)
            deadline = time.monotonic() + 60
            while status(proxy, f"http://last{attempt}.test/") != 403:
                assert exchange(proxy.address, get(f"{origin.url}/")).endswith(b"ok")
                assert time.monotonic() < deadline
            for number in range(0, MILLION, MILLION // 200):
                assert status(proxy, f"http://host{number}.ads{number % 999}.test/") == 403

        assert_no_stall(proxy, read_again)

        assert memory_of(proxy) - before < 150e6


def test_the_detector_detects(tmp_path, monkeypatch):
    with serving(tmp_path, [], monkeypatch) as proxy:
        longest_stall(proxy)
        assert status(proxy, "http://stalls.test/stand-still") == 200

        assert longest_stall(proxy) > LONGEST_MILLISECONDS


HOSTILE = [
    # The same prefix again and again, for whoever backtracks.
    r"/^http:\/\/(.*)(.*)(.*)(.*)[ab]{200}x/",
    *(rf"/(a|b)*a(a|b){{{n}}}c/" for n in range(100, 140)),
    *(f"||x.test/{'a' * n}^{'a' * n}^b" for n in range(150, 190)),
    *(f"/a{'*a' * n}*b" for n in range(100, 140)),
    *(f"a^*{'a*' * 90}{n}" for n in range(2000)),
]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_neither_hostile_rules_nor_hostile_requests_make_the_reactor_stand_still(
    tmp_path, monkeypatch
):
    (tmp_path / "hostile.txt").write_text("\n".join(HOSTILE) + "\n||end.test^\n")
    expressions = ", ".join(f'"(a|b)*a(a|b){{{n}}}c"' for n in range(100, 140))
    filters = [
        f'use = "access"\nrules = [{{ action = "deny", url = [{expressions}] }}]',
        'use = "blocklist"\nlists = ["hostile.txt"]',
    ]
    with serving(tmp_path, filters, monkeypatch) as proxy:
        assert status(proxy, "http://end.test/") == 403

        def ask(attempt):
            for path in ("ba" * 3900, "a" * 7900, "a/" * 3900, "/?" * 3900):
                url = f"http://x.test/{path}"
                assert status(proxy, url, "Referer: http://page.test/") == 502
            assert status(proxy, f"http://{'a.' * 100}test/") == 502

        assert_no_stall(proxy, ask)


def test_explain_says_which_line_decides(tmp_path, capfd):
    (tmp_path / "ads.txt").write_text("||ads.test^\n")
    (tmp_path / "staff.txt").write_text("10.0.0.0/8\n")
    file = tmp_path / "proxykit.toml"
    file.write_text(
        '[forward.a]\nlisten = ["127.0.0.1:1"]\n'
        '[[forward.a.filters]]\nuse = "access"\nlists = { staff = "staff.txt" }\ndefault = "deny"\n'
        'rules = [{ name = "boss", action = "allow", user = "anna" },\n'
        '{ name = "staff", action = "allow", client = "@staff" }]\n'
        '[[forward.a.filters]]\nuse = "blocklist"\nlists = ["ads.txt"]\n'
    )

    def explain(*options):
        command = [sys.executable, "-m", "proxykit.command", "explain", "--config", str(file)]
        finished = subprocess.run(
            [*command, *options], capture_output=True, text=True, timeout=25, check=False
        )
        return finished.returncode, finished.stdout + finished.stderr

    status_code, said = explain("--client", "10.1.2.3", "http://x.ads.test/")
    assert status_code == 0
    assert "rule 'staff' (allow) decides" in said
    assert "ads.txt:1: ||ads.test^ blocks it" in said
    _, said = explain("--client", "192.0.2.1", "http://a.test/")
    assert "no rule decides; the default does: deny" in said
    _, said = explain("--client", "192.0.2.1", "--user", "anna", "http://203.0.113.1:1/")
    assert "rule 'boss' (allow) decides: user is anna" in said
    status_code, said = explain("--client", "10.1.2.3", "--listener", "b", "http://a.test/")
    assert status_code == 1
    assert "there are forward.a" in said


def test_check_says_what_became_of_the_lines_of_lists(tmp_path, capfd):
    (tmp_path / "ads.txt").write_text("||ads.test^\n||x.test^$removeparam=y\n")
    file = tmp_path / "proxykit.toml"
    file.write_text(
        '[forward.a]\nlisten = ["127.0.0.1:1"]\n'
        '[[forward.a.filters]]\nuse = "blocklist"\nlists = ["ads.txt"]\n'
    )

    assert main(["check", str(file)]) == 0

    said = capfd.readouterr().out
    assert "list ads.txt: 1 names, 0 rules" in said
    assert "line 2: '||x.test^$removeparam=y'" in said
