"""The admin API of running proxies: who may ask, what is told, what is done."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import threading
from contextlib import ExitStack

import pytest

from demo.proxies import Proxy, free_port
from tests.integration.admin import Api, serving, token_of
from tests.scripted import ScriptedOrigin, exchange, read_all, read_until
from tests.waiting import eventually


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("admin")) as running:
        yield running


@pytest.fixture
def api(proxy):
    proxy.admin.post("/api/caches/main/purge", {"all": True})
    return proxy.admin


def get(proxy, path, fields=b""):
    head = b"GET %s HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n%s\r\n"
    return exchange(proxy.address, head % (path, fields))


def was_hit(answer):
    return b"; hit;" in answer.partition(b"\r\n\r\n")[0]


def server_of(answer):
    return int(answer.partition(b"\r\n\r\n")[2].split(b" ")[0])


def servers(api):
    (pool,) = api.get("/api/servers")["pools"]
    return {each["name"]: each for each in pool["servers"]}


# --- who may ask ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api/status", "/api/", "/metrics", "/nothing", "//", "/api/warm/1"]
)
@pytest.mark.parametrize(
    "field",
    [None, "Bearer ", "Bearer 0123456789abcdef", "Basic {token}", "{token}", "Bearer {token}0"],
)
def test_without_the_token_nothing_is_told(api, path, field):
    field = field and field.format(token=api.token)

    status, fields, body = api.ask("GET", path, headers={"Authorization": field})

    assert status == 401
    assert fields["WWW-Authenticate"] == 'Bearer realm="proxykit"'
    assert json.loads(body) == {"error": "the token is missing or another one"}


def test_without_the_token_nothing_is_done(proxy, api):
    get(proxy, b"/kept")

    for path in ("caches/main/purge", "reload", "servers/drain", "warm"):
        status, _ = api.refusal(
            "POST", f"/api/{path}", {"all": True}, {"Authorization": "Bearer wrong"}
        )
        assert status == 401

    assert was_hit(get(proxy, b"/kept"))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9180", 200),
        ("[::1]:9180", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("proxy.example:9180", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1:9180@evil.example", 421),
        ("", 421),
        (None, 421),
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/status"])
def test_it_answers_only_to_names_that_are_its_own(api, host, status, path):
    """DNS rebinding: a page of evil.example's could else ask it as if it were evil.example."""
    assert api.ask("GET", path, headers={"Host": host})[0] == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Host: \xff", 421),
        (b"Host: localhost\r\nAuthorization: \xff", 401),
        (b"Host: localhost\r\nAuthorization: Bearer \xe9", 401),
    ],
)
def test_bytes_that_are_no_text_are_refused_like_others(api, fields, status):
    request = b"GET /api/status HTTP/1.1\r\n%s\r\nConnection: close\r\n\r\n"

    assert exchange(api.address, request % fields).startswith(b"HTTP/1.1 %d " % status)


def test_no_other_origin_may_read_an_answer(api):
    for method in ("OPTIONS", "GET"):
        headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
        _, fields, _ = api.ask(method, "/api/status", headers=headers)
        assert not [name for name in fields if name.lower().startswith("access-control")]
        assert fields["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/status", "GET"),
        ("GET", "/api/reload", "POST"),
        ("DELETE", "/api/caches", "GET"),
        ("OPTIONS", "/api/servers/drain", "POST"),
        ("GET", "/api/caches/main/purge", "POST"),
        ("POST", "/", "GET"),
    ],
)
def test_a_method_that_is_not_for_a_call_is_refused(api, method, path, allowed):
    status, fields, _ = api.ask(method, path)

    assert (status, fields["Allow"]) == (405, allowed)


def test_a_head_is_a_get_without_content(api):
    status, fields, body = api.ask("HEAD", "/api/status")

    assert (status, body) == (200, b"")
    assert int(fields["Content-Length"]) > 100


def test_content_that_is_too_large_is_not_taken(api):
    with socket.create_connection(api.address, timeout=5) as client:
        client.sendall(
            b"POST /api/warm HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" % api.token.encode()
        )
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        with pytest.raises(OSError):  # noqa: PT012 - whichever of these finds the end
            for _ in range(64):
                client.sendall(chunk)
            if not read_all(client).startswith(b"HTTP/1.1 413 "):
                raise AssertionError
            raise ConnectionResetError

    assert api.get("/api/status")


def test_connections_are_few(proxy, api):
    with ExitStack() as stack:
        for _ in range(80):
            stack.enter_context(socket.create_connection(api.address, timeout=5))
        last = stack.enter_context(socket.create_connection(api.address, timeout=5))
        assert last.recv(1) == b""

    eventually(lambda: answers(api))


def answers(api):
    try:
        return api.get("/api/status")
    except (OSError, AssertionError):
        return None


# --- what is told -----------------------------------------------------------------------------


def test_the_status_counts_connections_and_what_is_in_flight(proxy, api):
    before = api.get("/api/status")["listeners"][0]
    with socket.create_connection(proxy.address, timeout=5) as idle:
        idle.sendall(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
        read_until(idle, b"/status")

        status = api.get("/api/status")

    (listener,) = status["listeners"]
    assert status["pid"] == proxy.process.pid
    assert 0 < status["uptime"] < 60
    assert (listener["name"], listener["protocol"]) == ("reverse.site", "http")
    assert str(proxy.port) in listener["endpoint"]
    assert (listener["connections"], listener["in_flight"]) == (1, 0)
    assert listener["accepted"] == before["accepted"] + 1


def test_an_exchange_is_in_flight_until_it_is_answered(tmp_path):
    asked, go_on = threading.Event(), threading.Event()

    def slow(connection, head):
        asked.set()
        go_on.wait(5)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    admin = free_port()
    options = ["--admin", f"127.0.0.1:{admin}", "--admin-token-file", str(tmp_path / "admin.token")]
    with (
        ScriptedOrigin(slow) as origin,
        Proxy(tmp_path, "reverse", "--backend", origin.url, *options) as proxy,
        socket.create_connection(proxy.address, timeout=5) as client,
    ):
        api = Api(("127.0.0.1", admin), token_of(tmp_path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert asked.wait(5)
        during = api.get("/api/status")["in_flight"]
        (server,) = servers(api).values()
        go_on.set()
        read_until(client, b"ok")

        assert (during, server["active"]) == (1, 1)
        assert api.get("/api/status")["in_flight"] == 0
        assert servers(api)[server["name"]]["latency"] > 0
        status, error = api.refusal("POST", "/api/reload", {})
        assert (status, error) == (422, "there is no configuration file to reload")


def test_metrics_are_prometheus_text(proxy, api):
    get(proxy, b"/metric")
    get(proxy, b"/metric")

    status, fields, body = api.ask("GET", "/metrics")

    assert status == 200
    assert fields["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = dict(line.rsplit(" ", 1) for line in body.decode().splitlines() if line[0] != "#")
    assert float(lines['proxykit_exchanges_total{listener="reverse.site",status="2xx"}']) >= 2
    assert float(lines['proxykit_cache_results_total{cache="main",result="hit"}']) >= 1
    assert lines[f'proxykit_server_up{{pool="app",server="127.0.0.1:{proxy.one.port}"}}'] == "1.0"
    assert "process_resident_memory_bytes" in lines


# --- servers ----------------------------------------------------------------------------------


def test_a_drained_server_gets_nothing_new_until_that_is_undone(proxy, api):
    name = f"127.0.0.1:{proxy.one.port}"

    api.post("/api/servers/drain", {"pool": "app", "server": name})
    found = servers(api)[name]
    asked = {server_of(get(proxy, b"/plain")) for _ in range(12)}
    api.post("/api/servers/drain", {"pool": "app", "server": name, "drained": False})
    again = {server_of(get(proxy, b"/plain")) for _ in range(12)}

    assert (found["usable"], found["drained"], found["faults"]) == (False, True, ["drained"])
    assert asked == {proxy.two.port}
    assert again == {proxy.one.port, proxy.two.port}


def test_a_weight_holds_at_once(proxy, api):
    one, two = (f"127.0.0.1:{each.port}" for each in (proxy.one, proxy.two))
    assert (servers(api)[one]["weight"], servers(api)[two]["weight"]) == (1, 3)

    api.post("/api/servers/weight", {"pool": "app", "server": two, "weight": 0})
    asked = {server_of(get(proxy, b"/plain")) for _ in range(8)}
    api.post("/api/servers/weight", {"pool": "app", "server": two, "weight": 3})

    assert asked == {proxy.one.port}
    assert servers(api)[two]["effective_weight"] == 3


@pytest.mark.parametrize(
    ("path", "content", "status", "words"),
    [
        ("servers/drain", {"pool": "no", "server": "a"}, 404, "there is no pool no"),
        ("servers/drain", {"pool": "app", "server": "a"}, 404, "has no server a"),
        ("servers/drain", {"pool": "app"}, 400, "server: Field required"),
        ("servers/drain", {"pool": "app", "server": "a", "x": 1}, 400, "x: Extra inputs"),
        ("servers/weight", {"pool": "app", "server": "a", "weight": 1}, 404, "has no server a"),
        ("servers/weight", {"pool": "app", "server": "a", "weight": -1}, 400, "weight: "),
        ("servers/weight", b'{"pool": "app", "server": "a", "weight": NaN}', 400, "weight: "),
        ("servers/drain", b"not JSON", 400, "Invalid JSON"),
        ("servers/drain", b"\xff", 400, "Invalid JSON"),
        ("caches/no/purge", {"all": True}, 404, "there is no cache no"),
        ("caches/main/purge", {}, 400, "say one of url, prefix, tag and all"),
        ("caches/main/purge", {"url": "http://a/", "all": True}, 400, "say one of"),
        ("caches/main/purge", {"url": "/x"}, 400, "expected an http or https URL"),
        ("caches/main/purge", {"prefix": "http://a/\n"}, 400, "expected an http or https URL"),
        ("warm", {"urls": []}, 400, "urls: "),
        ("warm", {"urls": ["http://a/"], "listener": "no"}, 400, "say which listener"),
        ("warm", {"urls": ["http://a/"], "cache": "unused"}, 400, "is used by none"),
    ],
)
def test_what_cannot_be_done_is_said(api, path, content, status, words):
    found, error = api.refusal("POST", f"/api/{path}", content)

    assert found == status
    assert words in error


def test_what_is_posted_is_json(api):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    assert api.refusal("POST", "/api/servers/drain", b"pool=app", headers)[0] == 415


# --- caches -----------------------------------------------------------------------------------


def test_statistics_tell_hits_and_misses_of_each_cache(proxy, api):
    def found():
        return {each["name"]: each for each in api.get("/api/caches")["caches"]}

    before = found()["main"]
    for _ in range(3):
        get(proxy, b"/counted")
    get(proxy, b"/ruled/counted")
    after = found()

    def more(result):
        return after["main"]["results"][result] - before["results"].get(result, 0)

    assert (more("hit"), more("miss")) == (2, 2)
    assert after["main"]["entries"] == 2
    assert 0 < after["main"]["bytes"] < after["main"]["limit"] == 8 * 1024 * 1024
    assert after["main"]["stored"] - before["stored"] == 2
    assert after["main"]["listeners"] == ["reverse.site"]
    assert (after["unused"]["entries"], after["unused"]["results"]) == (0, {})


def test_entries_are_listed_by_prefix_and_no_more_than_asked_for(proxy, api):
    for path in (b"/list/1", b"/list/2", b"/list/3", b"/other"):
        get(proxy, path)

    some = api.get("/api/caches/main/entries?prefix=http://A.example:80/list/&limit=2")
    all_of_them = api.get(
        "/api/caches/main/entries?prefix=http%3A%2F%2Fa.example%2Flist%2F&limit=3"
    )

    assert (len(some["entries"]), some["more"]) == (2, True)
    assert all_of_them["more"] is False
    assert [each["url"] for each in all_of_them["entries"]] == [
        f"http://a.example/list/{number}" for number in (1, 2, 3)
    ]
    assert len(api.get("/api/caches/main/entries")["entries"]) == 4
    for limit in ("0", "1001", "x", "-1", "9" * 30, "000000001" + "9" * 9):
        assert api.refusal("GET", f"/api/caches/main/entries?limit={limit}")[0] == 400


def test_an_entry_is_shown_and_nothing_of_its_users(proxy, api):
    get(proxy, b"/ruled/cookie-vary", b"Cookie: session=secret\r\nAccept: text/x\r\n")

    found = api.get("/api/caches/main/entry?url=http://a.example/ruled/cookie-vary")

    (entry,) = found["entries"]
    assert "secret" not in json.dumps(found)
    assert entry["key"] == ["authorization: (hidden)", "cookie session=(hidden)"]
    assert entry["vary"] == {"accept": "text/x", "cookie": "(hidden)"}
    assert ["Set-Cookie", "(hidden)"] in entry["fields"]
    assert 0 <= entry["age"] < 10
    assert 50 < entry["ttl"] <= 60
    assert entry["namespace"] == "reverse.site"
    assert api.refusal("GET", "/api/caches/main/entry?url=http://a.example/none")[0] == 404
    assert api.refusal("GET", "/api/caches/main/entry")[0] == 400


@pytest.mark.parametrize(
    ("what", "gone"),
    [
        ({"url": "http://a.example/purge/tagged"}, {"tagged"}),
        ({"url": "HTTP://A.EXAMPLE:80/purge/tagged"}, {"tagged"}),
        ({"url": "https://a.example/purge/tagged"}, set()),
        ({"prefix": "http://a.example/purge/"}, {"tagged", "x"}),
        ({"prefix": "http://a.example"}, {"tagged", "x", "ruled"}),
        ({"prefix": "http://a.exampl"}, set()),
        ({"tag": "blue"}, {"tagged"}),
        ({"tag": "blu"}, set()),
        ({"url": "http://a.example/ruled/y"}, {"ruled"}),
        ({"all": True}, {"tagged", "x", "ruled"}),
    ],
)
@pytest.mark.parametrize("soft", [False, True])
def test_what_is_purged_is_gone_or_stale_and_the_rest_stays(proxy, api, what, gone, soft):
    paths = {"tagged": b"/purge/tagged", "x": b"/purge/x", "ruled": b"/ruled/y"}
    for path in paths.values():
        get(proxy, path)

    answer = api.post("/api/caches/main/purge", what | {"soft": soft})

    assert answer == {"purged": len(gone), "soft": soft}
    entries = api.get("/api/caches/main/entries")["entries"]
    assert len(entries) == (3 if soft else 3 - len(gone))
    assert len([each for each in entries if each["ttl"] <= 0]) == (len(gone) if soft else 0)
    assert {name for name, path in paths.items() if not was_hit(get(proxy, path))} == gone


# --- warming up -------------------------------------------------------------------------------


def warmed(api, content):
    status = api.post("/api/warm", content)
    return eventually(
        lambda: None if (now := api.get(f"/api/warm/{status['id']}"))["running"] else now
    )


def test_a_warm_up_fills_the_cache_through_the_listeners_own_pipeline(proxy, api):
    urls = [f"http://a.example/warm/{number}" for number in range(50)]

    first = warmed(api, {"urls": urls, "listener": "site", "concurrency": 3})
    second = warmed(api, {"urls": urls, "cache": "main", "concurrency": 3})

    assert (first["total"], first["done"], first["failed"]) == (50, 50, 0)
    assert first["results"] == {"miss": 50}
    assert first["statuses"] == {"200": 50}
    assert first["bytes"] == second["bytes"] > 0
    assert second["results"] == {"hit": 50}
    assert all(was_hit(get(proxy, b"/warm/%d" % number)) for number in (0, 25, 49))
    log = proxy.file.parent / "access.log"
    eventually(lambda: log.exists() and log.read_text().count('"target":"/warm/') >= 103)


def test_a_warm_up_says_what_failed(api):
    urls = ["http://a.example/missing", "http://a.example/fine", "ftp://a/", "http://a/\u00e9"]

    found = warmed(api, {"urls": urls, "listener": "reverse.site"})

    assert (found["done"], found["failed"]) == (4, 3)
    failures = dict(found["failures"])
    assert failures["http://a.example/missing"] == "answered 404"
    assert "expected an http or https URL" in failures["ftp://a/"]
    assert set(failures) == set(urls) - {"http://a.example/fine"}


@pytest.mark.parametrize("url", ["http://[::1/", "http://a:99999/"])
def test_a_warm_up_goes_on_after_what_is_no_url(api, url):
    found = warmed(api, {"urls": [url, "http://a.example/after"], "listener": "site"})

    assert (found["done"], found["failed"]) == (2, 1)
    assert [failed for failed, _ in found["failures"]] == [url]


def test_a_warm_up_asks_for_the_variant_that_it_is_told(proxy, api):
    headers = {"Accept": "text/x"}

    warmed(api, {"urls": ["http://a.example/vary"], "headers": headers, "listener": "site"})

    assert was_hit(get(proxy, b"/vary", b"Accept: text/x\r\n"))
    assert not was_hit(get(proxy, b"/vary", b"Accept: text/y\r\n"))


def test_a_warm_up_asks_no_more_at_a_time_than_it_may(tmp_path):
    lock, state = threading.Lock(), {"now": 0, "most": 0}

    def slow(connection, head):
        with lock:
            state["now"] += 1
            state["most"] = max(state["most"], state["now"])
        threading.Event().wait(0.02)
        with lock:
            state["now"] -= 1
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    admin = free_port()
    options = ["--admin", f"127.0.0.1:{admin}", "--admin-token-file", str(tmp_path / "admin.token")]
    with (
        ScriptedOrigin(slow) as origin,
        Proxy(tmp_path, "forward", "--allow-private", "--cache", "1MiB", *options),
    ):
        api = Api(("127.0.0.1", admin), token_of(tmp_path))
        urls = [f"{origin.url}/{number}" for number in range(24)] + ["https://a.example/"]

        found = warmed(api, {"urls": urls, "cache": "main", "concurrency": 4})

    assert (found["done"], found["failed"]) == (25, 1)
    assert found["failures"] == [["https://a.example/", "a forward proxy sees nothing of https"]]
    assert state["most"] == 4


def test_a_warm_up_that_is_not_known_is_not_found(api):
    assert api.refusal("GET", "/api/warm/0")[0] == 404


# --- the service ------------------------------------------------------------------------------


def test_the_token_is_made_for_its_owner_alone(proxy):
    mode = (proxy.file.parent / "admin.token").stat().st_mode

    assert stat.S_IMODE(mode) == 0o600


def test_a_reload_by_the_api_takes_over_or_says_what_is_wrong(tmp_path):
    with serving(tmp_path) as proxy:
        api = proxy.admin
        get(proxy, b"/kept")
        proxy.file.write_text(proxy.text.replace("[pool.app]", "[pool.app]\nretrys = 1"))
        status, error = api.refusal("POST", "/api/reload", {})
        assert status == 422
        assert "pool.app.retrys" in error
        assert "did you mean 'retry'" in error

        other = free_port()
        proxy.file.write_text(
            proxy.text.replace(f"127.0.0.1:{api.address[1]}", f"127.0.0.1:{other}")
        )
        assert api.post("/api/reload", {}) == {"reloaded": True}

        moved = Api(("127.0.0.1", other), api.token)
        reloads = eventually(lambda: answers(moved))["reloads"]
        assert (reloads["succeeded"], reloads["failed"], reloads["error"]) == (1, 1, "")
        with pytest.raises(ConnectionRefusedError):
            api.get("/api/status")
        assert was_hit(get(proxy, b"/kept"))
        assert moved.get("/api/caches")["caches"][0]["results"]["hit"] >= 1


def test_a_reload_can_turn_it_off_and_on_again(tmp_path):
    with serving(tmp_path) as proxy:
        without = proxy.text.partition("[admin]")[0]
        proxy.file.write_text(without)
        proxy.process.send_signal(signal.SIGHUP)
        eventually(lambda: answers(proxy.admin) is None)
        assert get(proxy, b"/").startswith(b"HTTP/1.1 200 ")

        proxy.file.write_text(proxy.text)
        (tmp_path / "admin.token").unlink()
        proxy.process.send_signal(signal.SIGHUP)
        eventually(lambda: (tmp_path / "admin.token").exists())
        proxy.admin.token = token_of(tmp_path)
        assert eventually(lambda: answers(proxy.admin))["reloads"]["succeeded"] == 2


def test_it_listens_on_a_unix_socket_that_only_its_owner_may_use(tmp_path):
    path = tmp_path / "admin.sock"
    token = tmp_path / "admin.token"
    options = ["--admin", f"unix:{path}", "--admin-token-file", str(token)]
    with Proxy(tmp_path, "forward", *options):
        api = Api(str(path), token_of(tmp_path))

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert api.get("/api/status")["listeners"][0]["name"] == "forward.main"
        assert api.refusal("GET", "/api/status", headers={"Authorization": None})[0] == 401
    assert not path.exists()


@pytest.mark.parametrize("what", ["mode", "address"])
def test_an_api_that_cannot_be_had_ends_the_start_with_an_error(tmp_path, origins, what):
    token = tmp_path / "admin.token"
    port = free_port()
    with ExitStack() as stack:
        if what == "mode":
            token.write_text("0123456789abcdef")
            token.chmod(0o644)
            words = "is open to others than its owner"
        else:
            taken = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = taken.getsockname()[1]
            words = "the admin API cannot listen on tcp:"
        options = ["--admin", f"127.0.0.1:{port}", "--admin-token-file", str(token)]
        proxy = Proxy(tmp_path, "reverse", "--backend", origins.url, *options).begin()

        assert proxy.process.wait(10) == 1
        assert words in proxy.output.read_text()


def test_the_token_is_in_no_log(proxy, api):
    api.get("/api/status")
    api.refusal("GET", "/api/status", headers={"Authorization": f"Bearer {api.token}x"})
    directory = proxy.file.parent

    for file in directory.iterdir():
        if file.is_file() and file.name != "admin.token":
            assert api.token not in file.read_text(errors="replace"), file
    assert os.stat(directory / "admin.token").st_size > 40
