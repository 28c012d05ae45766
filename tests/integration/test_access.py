"""Access rules in a running proxy: what needs the response, lists in files, dry runs."""

from __future__ import annotations

import pytest

from tests.policed import get, serving, status
from tests.scripted import ScriptedOrigin, exchange
from tests.stalls.detector import assert_no_stall
from tests.waiting import eventually


def answer(connection, head):
    kind, size = (b"video/mp4", 9) if b"/video" in head else (b"text/html", 2)
    connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
        % (kind, size, b"x" * size)
    )


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(answer) as running:
        yield running


def test_a_rule_about_responses_is_kept_with_the_response(tmp_path, monkeypatch, origin):
    rules = (
        '[{ name = "no-video", action = "deny", type = "video/*", path = "/video" },'
        ' { name = "small", action = "deny", size = "<5", path = "/small" }]'
    )
    with serving(tmp_path, [f'use = "access"\nrules = {rules}'], monkeypatch) as proxy:
        refused = exchange(proxy.address, get(f"{origin.url}/video"))
        assert refused.startswith(b"HTTP/1.1 403 ")
        assert b"no-video" in refused
        assert status(proxy, f"{origin.url}/small") == 403
        assert exchange(proxy.address, get(f"{origin.url}/other")).endswith(b"xx")


def test_a_list_in_a_file_is_read_again_when_it_changes(tmp_path, monkeypatch, origin):
    (tmp_path / "bad.txt").write_text(".bad.test\n")
    options = (
        'lists = { bad = "bad.txt" }\nrules = [{ name = "bad", action = "deny", domain = "@bad" }]'
    )
    with serving(tmp_path, [f'use = "access"\n{options}'], monkeypatch) as proxy:
        assert status(proxy, "http://x.bad.test/") == 403
        assert status(proxy, "http://worse.test/") == 502

        (tmp_path / "bad.txt").write_text("worse.test\n")

        eventually(lambda: status(proxy, "http://worse.test/") == 403)
        assert status(proxy, "http://x.bad.test/") == 502


def test_a_dry_run_only_logs(tmp_path, monkeypatch, origin):
    with serving(
        tmp_path, ['use = "access"\ndefault = "deny"\ndry_run = true'], monkeypatch
    ) as proxy:
        assert status(proxy, f"{origin.url}/") == 200
        eventually(lambda: "dry run: no access rule allows this" in proxy.output.read_text())


def test_expressions_and_urls_of_the_worst_kind_do_not_stall(tmp_path, monkeypatch):
    expressions = ", ".join(f'"(a|b)*a(a|b){{{n}}}c"' for n in range(100, 130))
    rules = (
        f'[{{ action = "deny", url = [{expressions}] }}, {{ action = "deny", path = "~ x+y$" }}]'
    )
    with serving(tmp_path, [f'use = "access"\nrules = {rules}'], monkeypatch) as proxy:

        def ask(attempt):
            assert status(proxy, f"http://x.test/{'ab' * 3900}") == 502
            assert status(proxy, f"http://x.test/{'ab' * 3500}xy") == 403

        assert_no_stall(proxy, ask)
