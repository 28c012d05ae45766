"""The commands that talk to a running instance, and the page, which does the same."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys

import pytest
from websockets.sync.client import connect

from demo.proxies import Proxy, free_port
from proxykit.command import main
from tests.integration.admin import serving, token_of
from tests.scripted import ScriptedOrigin, exchange, reply
from tests.waiting import eventually


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("commands")) as running:
        yield running


@pytest.fixture
def run(proxy, capsys):
    """Run a command against the proxy, and give its status and what it wrote."""
    main(["purge", "main", "--all", "--config", str(proxy.file)])
    capsys.readouterr()

    def running(*arguments, config=True):
        status = main([*arguments, *(["--config", str(proxy.file)] if config else [])])
        written = capsys.readouterr()
        return status, written.out, written.err

    return running


def get(proxy, path, fields=b""):
    head = b"GET %s HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n%s\r\n"
    return exchange(proxy.address, head % (path, fields))


def was_hit(answer):
    return b"; hit;" in answer.partition(b"\r\n\r\n")[0]


def row(output, *words):
    """Give the cells of the one line that holds all of some words."""
    (line,) = [line for line in output.splitlines() if all(word in line for word in words)]
    return line.split()


def test_status_says_how_it_does(proxy, run):
    status, out, _ = run("status")

    assert status == 0
    assert f"process {proxy.process.pid}" in out
    assert row(out, "reverse.site")[2] == "http"
    assert json.loads(run("status", "--json")[1])["pid"] == proxy.process.pid


def test_servers_are_listed_and_drained_and_weighed(proxy, run):
    one, two = (f"127.0.0.1:{each.port}" for each in (proxy.one, proxy.two))

    assert row(run("servers")[1], one)[2] == "usable"
    assert run("drain", "app", one) == (0, f"{one} of the pool app is drained\n", "")
    assert row(run("servers", "app")[1], one)[2] == "drained"
    assert run("drain", "app", one, "--undo") == (0, f"{one} of the pool app is used again\n", "")
    assert row(run("servers")[1], one)[2] == "usable"
    assert run("weight", "app", two, "2.5")[0] == 0
    assert "2.5" in row(run("servers")[1], two)
    assert run("weight", "app", two, "3")[0] == 0
    found = json.loads(run("servers", "--json")[1])["pools"][0]["servers"]
    assert {each["name"] for each in found} == {one, two}


@pytest.mark.parametrize(
    ("what", "gone"),
    [
        (["--url", "http://a.example/x-tagged"], 1),
        (["--prefix", "http://a.example/x"], 2),
        (["--tag", "red"], 1),
        (["--all"], 3),
    ],
)
def test_purge_says_how_much_it_purged(proxy, run, what, gone):
    for path in (b"/x-tagged", b"/x", b"/y"):
        get(proxy, path)

    assert run("purge", "main", *what, "--soft") == (0, f"{gone} made stale\n", "")
    assert run("purge", "main", *what) == (0, f"{gone} purged\n", "")
    assert run("purge", "main", *what) == (0, "0 purged\n", "")


def test_what_a_cache_holds_is_listed_shown_and_summed_up(proxy, run):
    get(proxy, b"/ls/tagged-vary", b"Accept: text/x\r\nCookie: session=secret\r\n")
    get(proxy, b"/ls/missing")

    _, listing, more = run("cache", "ls", "main", "http://a.example/ls/")
    shown = run("cache", "show", "main", "http://a.example/ls/tagged-vary")[1]
    stats = run("cache", "stats")[1]

    assert row(listing, "/ls/tagged-vary")[0] == "200"
    assert row(listing, "/ls/missing")[0] == "404"
    assert more == ""
    assert "there is more" in run("cache", "ls", "main", "--limit", "1")[2]
    assert "tags: blue, red" in shown
    assert "varies by accept: text/x" in shown
    assert "varies by cookie: (hidden)" in shown
    assert "  Vary: Accept, Cookie" in shown
    assert "secret" not in shown
    assert row(stats, "main")[1] == "2"
    assert row(stats, "unused")[1] == "0"
    assert json.loads(run("cache", "stats", "main", "--json")[1])["caches"][0]["entries"] == 2
    assert run("cache", "show", "main", "http://a.example/none") == (
        1,
        "",
        "proxykit cache: the cache main holds nothing for http://a.example/none\n",
    )


def test_warm_fills_a_cache_from_a_list(proxy, run, tmp_path):
    urls = [f"http://a.example/warmed/{number}" for number in range(5)]
    file = tmp_path / "urls"
    file.write_text("# what is wanted\n\n" + "\n".join(urls) + "\n")

    status, out, err = run("warm", str(file))

    assert (status, err) == (0, "")
    assert out.startswith("5 URLs through reverse.site, ")
    assert out.endswith("miss 5\n")
    assert was_hit(get(proxy, b"/warmed/4"))
    file.write_text("http://a.example/missing\nhttp://a.example/\n")
    status, out, err = run("warm", str(file), "--listener", "site", "--header", "Accept: a/b")
    assert (status, err) == (1, "failed: http://a.example/missing: answered 404\n")
    file.write_text("# nothing\n")
    assert run("warm", str(file))[0] == 1


def test_reload_says_what_is_wrong_in_one_line(proxy, run):
    try:
        proxy.file.write_text(proxy.text + "\n[pool.b]\nservers = []\nx = 1\n")
        status, out, err = run("reload")
    finally:
        proxy.file.write_text(proxy.text)

    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert "pool.b.servers" in err
    assert "pool.b.x" in err
    assert run("reload") == (0, "the configuration was reloaded\n", "")


def test_an_instance_is_found_by_its_address_and_its_token(proxy, run, tmp_path, monkeypatch):
    token = str(proxy.file.parent / "admin.token")
    host, port = proxy.admin.address
    for where in (f"{host}:{port}", f"http://{host}:{port}/", f"localhost:{port}"):
        arguments = ["status", "--admin", where, "--token-file", token]
        assert run(*arguments, config=False)[0] == 0
    monkeypatch.chdir(proxy.file.parent)
    assert run("status", "--admin", f"{host}:{port}", config=False)[0] == 0


def test_an_instance_is_found_by_its_unix_socket(tmp_path, capsys):
    path, port = tmp_path / "a b:c.sock", free_port()
    text = f'[admin]\nlisten = "unix:{path}"\n[forward.a]\nlisten = "127.0.0.1:{port}"\n'
    with Proxy.serving(tmp_path, text, port) as proxy:
        token_of(tmp_path)
        assert main(["status", "--config", str(proxy.file)]) == 0
        assert "forward.a" in capsys.readouterr().out
        token = str(tmp_path / "admin.token")
        assert main(["status", "--admin", f"unix:{path}", "--token-file", token]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--admin", "127.0.0.1:{free}", "--token-file", "{token}"], "Connection refused"),
        (["--admin", "unix:{nothing}", "--token-file", "{token}"], "No such file"),
        (["--admin", "{address}", "--token-file", "{other}"], "the token is missing or another"),
        (["--admin", "{address}", "--token-file", "{nothing}"], "cannot be read: No such file"),
        (["--admin", "{address}", "--token-file", "{open}"], "open to others"),
        (["--admin", "{proxied}", "--token-file", "{token}"], "is no admin API of Proxykit"),
        (["--admin", "ftp://a", "--token-file", "{token}"], "is neither host:port"),
        (["--admin", "a:b", "--token-file", "{token}"], "is neither host:port"),
        (["--config", "{nothing}"], "cannot be read"),
        (["--config", "{without}"], "has no [admin]"),
    ],
)
def test_what_does_not_answer_or_refuses_is_one_clear_line(
    proxy, capsys, tmp_path, arguments, words
):
    other, readable, without = (tmp_path / name for name in ("other", "open", "without"))
    other.write_text("0123456789abcdef")
    other.chmod(0o600)
    readable.write_text("0123456789abcdef")
    readable.chmod(0o644)
    without.write_text("[log]\n")
    with ScriptedOrigin(reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")) as origin:
        names = {
            "free": free_port(), "token": proxy.file.parent / "admin.token", "open": readable,
            "address": "{}:{}".format(*proxy.admin.address), "without": without, "other": other, "nothing": tmp_path / "nothing",
            "proxied": origin.url,
        }  # fmt: skip
        status = main(["status", *(each.format(**names) for each in arguments)])
    written = capsys.readouterr()

    assert (status, written.out) == (1, "")
    assert written.err.count("\n") == 1
    assert words in written.err


def test_what_a_server_sends_cannot_move_the_cursor(tmp_path, capsys):
    """A path may hold what a terminal obeys, in the tags of a response for instance."""
    fields = b"Cache-Control: max-age=60\r\nX-Odd: \x1b[2J\x9b2J\r\nContent-Length: 0\r\n\r\n"

    def odd(connection, head):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + fields.replace(b"\x1b", b""))

    port, admin = free_port(), free_port()
    with ScriptedOrigin(odd) as origin:
        text = (
            f'[admin]\nlisten = "127.0.0.1:{admin}"\n[cache.main]\n[pool.a]\n'
            f'servers = ["{origin.url}"]\n[reverse.a]\nlisten = "127.0.0.1:{port}"\n'
            '[[reverse.a.routes]]\npool = "a"\ncache = "main"\n'
        )
        with Proxy.serving(tmp_path, text, port) as proxy:
            token_of(tmp_path)
            assert get(proxy, b"/").startswith(b"HTTP/1.1 200 ")
            show = ["cache", "show", "main", "http://a.example/"]
            assert main([*show, "--config", str(proxy.file)]) == 0

    assert "  X-Odd: [2J\\x9b2J\n" in capsys.readouterr().out


def test_the_commands_are_those_of_the_installed_program(proxy):
    done = subprocess.run(
        [sys.executable, "-m", "proxykit.command", "servers", "--config", str(proxy.file)],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert f"127.0.0.1:{proxy.one.port}" in done.stdout


# --- the page ---------------------------------------------------------------------------------


def test_the_page_is_told_to_everybody_and_takes_nothing_from_elsewhere(proxy):
    status, fields, body = proxy.admin.ask("GET", "/", headers={"Authorization": None})

    assert status == 200
    assert fields["Content-Type"] == "text/html; charset=utf-8"
    policy = fields["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; connect-src 'self'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for source in (b"src=", b"href=", b"@import", b"http://", b"https://", b"innerHTML"):
        assert source not in body
    assert proxy.admin.token.encode() not in body


@pytest.mark.timeout(60)
def test_the_page_shows_what_runs_once_the_token_is_typed_in(proxy, tmp_path):
    """In a browser, under the page's own policy: typing and pressing is by its debugging port."""
    get(proxy, b"/page")
    host, port = proxy.admin.address
    with Browser(tmp_path, f"http://{host}:{port}/") as browser:
        type_in = (
            "document.getElementById('token').value = %s; document.forms.entry.requestSubmit()"
        )
        browser.run(type_in % json.dumps("wrong"))
        eventually(lambda: "the token is missing" in browser.run("document.body.innerText"))
        assert browser.run("document.getElementById('all').hidden") is True

        browser.run(type_in % json.dumps(proxy.admin.token))
        eventually(lambda: browser.run("document.getElementById('all').hidden") is False)
        text = browser.run("document.body.innerText")
        assert "reverse.site" in text
        assert f"127.0.0.1:{proxy.one.port}" in text
        assert "usable" in text
        assert "8.0 MiB" in text

        browser.run("document.querySelector('#servers button').click()")
        eventually(lambda: "is drained" in browser.run("document.body.innerText"))
        eventually(lambda: "Use again" in browser.run("document.body.innerText"))
        browser.run("document.querySelector('#servers button').click()")
        eventually(lambda: "is used again" in browser.run("document.body.innerText"))

        browser.run("document.getElementById('kind').value = 'all'")
        browser.run("document.forms.purge.requestSubmit()")
        eventually(lambda: " purged" in browser.run("document.getElementById('said').innerText"))
    assert proxy.admin.get("/api/caches")["caches"][0]["entries"] == 0


class Browser:
    """Chromium with one page, driven through its debugging port (Chrome DevTools Protocol)."""

    def __init__(self, directory, url):
        self._directory = directory
        self._url = url
        self._number = 0
        self._open = contextlib.ExitStack()

    def __enter__(self):
        self._process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server",
             f"--user-data-dir={self._directory}", "--remote-debugging-port=0", self._url],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            found = self._directory / "DevToolsActivePort"
            eventually(lambda: found.exists() and found.read_text().count("\n"), 30)
            port = int(found.read_text().splitlines()[0])
            page = eventually(lambda: self._page(port), 20)
            self._socket = self._open.enter_context(connect(page, proxy=None, max_size=None))
            # What a browser shows before it has a page is complete, too.
            loaded = "document.readyState == 'complete' && location.href"
            eventually(lambda: self.run(loaded) == self._url, 20)
        except BaseException:
            self._stop()
            raise
        return self

    def _page(self, port):
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(asking):
            asking.request("GET", "/json/list")
            listed = json.loads(asking.getresponse().read())
        pages = [each for each in listed if each["url"] == self._url]
        return pages[0]["webSocketDebuggerUrl"] if pages else None

    def run(self, script):
        """Give the value of an expression."""
        self._number += 1
        parameters = {"expression": script, "returnByValue": True}
        call = {"id": self._number, "method": "Runtime.evaluate", "params": parameters}
        self._socket.send(json.dumps(call))
        while (answer := json.loads(self._socket.recv(10))).get("id") != self._number:
            pass
        assert "exceptionDetails" not in answer["result"], answer
        return answer["result"]["result"].get("value")

    def __exit__(self, *_):
        self._stop()

    def _stop(self):
        self._open.close()
        self._process.terminate()
        self._process.wait(10)
