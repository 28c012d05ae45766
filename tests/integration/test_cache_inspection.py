"""What the admin API and the commands say of caches on disk and in Redis."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack

import pytest

from proxykit.command import main
from tests.integration.cached import ask, fresh, until
from tests.integration.stores import Machine
from tests.scripted import exchange


@pytest.fixture(scope="module", params=["disk", "redis"])
def machine(request, tmp_path_factory, site):
    with ExitStack() as stack:
        yield Machine(tmp_path_factory.mktemp(request.param), site, stack, request.param)


@pytest.fixture(scope="module")
def running(machine):
    return machine.start()


@pytest.fixture
def proxy(running):
    running.admin.post("/api/caches/main/purge", {"all": True})
    until(lambda: statistics(running)["entries"] == 0)
    return running


def statistics(proxy):
    (found,) = proxy.admin.get("/api/caches")["caches"]
    return found


def entries(proxy, prefix="", limit=100):
    return proxy.admin.get(f"/api/caches/main/entries?prefix={prefix}&limit={limit}")


def store(proxy, site, path, fields=b"", content=b"content", extra=b""):
    site.put(path, fresh() + fields, content)
    exchange(proxy.address, ask(path, extra))


def test_what_it_holds_is_summed_up(proxy, site):
    before = statistics(proxy)
    for number in range(20):
        store(proxy, site, b"/sum/%d" % number, content=b"x" * 20_000)
    until(lambda: statistics(proxy)["entries"] == 20)
    found = statistics(proxy)

    assert found["bytes"] - before["bytes"] > 20 * 20_000
    assert found["evicted"] == 0
    assert f'proxykit_cache_entries{{cache="main"}} {20}'.encode() in proxy.admin.ask(
        "GET", "/metrics", headers={"Accept": "text/plain"}
    )[2].replace(b"20.0", b"20")


def test_the_limit_of_a_directory_is_known(proxy, machine):
    assert statistics(proxy)["limit"] == (32 * 1024 * 1024 if machine.store == "disk" else None)


def test_what_it_holds_is_listed_by_prefix_and_up_to_a_limit(proxy, site):
    for number in range(40):
        store(proxy, site, b"/list/%d" % number, b"Cache-Tag: t\r\n", b"x" * number * 1000)
    store(proxy, site, b"/else*[x]")
    store(proxy, site, b"/long/" + b"x" * 600 + b"1")
    store(proxy, site, b"/long/" + b"x" * 600 + b"2")
    until(lambda: len(entries(proxy)["entries"]) == 43)

    listed = entries(proxy, "http://a/list/")
    assert {(each["url"], each["size"]) for each in listed["entries"]} == {
        (f"http://a/list/{number}", number * 1000) for number in range(40)
    }
    assert listed["more"] is False
    assert all(each["tags"] == ["t"] for each in listed["entries"])
    assert all(0 < each["ttl"] <= 60 for each in listed["entries"])
    some = entries(proxy, "http://a/list/", 7)
    assert (len(some["entries"]), some["more"]) == (7, True)
    assert [each["url"] for each in entries(proxy, "http://a/else*[")["entries"]] == [
        "http://a/else*[x]"
    ]
    assert entries(proxy, "http://a/els?")["entries"] == []
    assert len(entries(proxy, "http://a/long/" + "x" * 600)["entries"]) == 2
    (long,) = entries(proxy, "http://a/long/" + "x" * 600 + "2")["entries"]
    assert long["url"].endswith("x2")


def test_an_entry_is_shown_with_its_variants_and_without_secrets(proxy, site):
    for language in (b"de", b"fr"):
        store(
            proxy,
            site,
            b"/shown",
            b"Vary: Accept-Language, Cookie\r\n",
            extra=b"Accept-Language: %s\r\nCookie: session=secret\r\n" % language,
        )

    def shown():
        return proxy.admin.get("/api/caches/main/entry?url=http://a/shown")["entries"]

    until(lambda: len(entries(proxy, "http://a/shown")["entries"]) == 2)
    assert {each["vary"]["accept-language"] for each in shown()} == {"de", "fr"}
    assert "secret" not in json.dumps(shown())
    assert ["ETag", '"v1"'] in shown()[0]["fields"]
    assert proxy.admin.refusal("GET", "/api/caches/main/entry?url=http://a/none")[0] == 404


def test_looking_changes_nothing(proxy, site):
    store(proxy, site, b"/looked-at", content=b"x" * 300_000)
    until(lambda: len(entries(proxy)["entries"]) == 1)
    asked = site.count(b"/looked-at")
    for _ in range(3):
        entries(proxy)
        statistics(proxy)

    answer = exchange(proxy.address, ask(b"/looked-at"))
    assert answer.endswith(b"\r\n\r\n" + b"x" * 300_000)
    assert site.count(b"/looked-at") == asked


def test_the_commands_say_it_too(proxy, site, capsys):
    store(proxy, site, b"/command", b"Cache-Tag: red\r\n")
    until(lambda: len(entries(proxy)["entries"]) == 1)
    config = ["--config", str(proxy.file)]
    capsys.readouterr()

    assert main(["cache", "ls", "main", *config]) == 0
    assert "/command" in capsys.readouterr().out
    assert main(["cache", "show", "main", "http://a/command", *config]) == 0
    assert "tags: red" in capsys.readouterr().out
    assert main(["cache", "stats", *config]) == 0
    (line,) = [each for each in capsys.readouterr().out.splitlines() if "main" in each]
    assert line.split()[1] == "1"


def test_what_gave_way_on_disk_is_counted(tmp_path, site):
    with ExitStack() as stack:
        machine = Machine(tmp_path, site, stack, "disk")
        machine._cache = machine._cache.replace("32MiB", "16MiB")
        proxy = machine.start()
        stored = 60
        for number in range(stored):
            store(proxy, site, b"/evicted/%d" % number, content=b"x" * 400_000)
            until(lambda n=number: entries(proxy, f"http://a/evicted/{n}")["entries"])
        until(lambda: statistics(proxy)["evicted"])
        found = statistics(proxy)

        assert found["bytes"] <= found["limit"] == 16 * 1024 * 1024
        assert found["entries"] + found["evicted"] == stored + 1


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server")
def test_a_redis_that_is_away_cannot_say(tmp_path, site):
    with ExitStack() as stack:
        machine = Machine(tmp_path, site, stack, "redis")
        proxy = machine.start()
        machine.redis.stop()

        assert statistics(proxy)["entries"] is None
        code, why = proxy.admin.refusal("GET", "/api/caches/main/entries")
        assert (code, why) == (503, "the store of the cache main cannot be asked now")


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server")
def test_of_a_great_many_keys_the_number_of_entries_is_reckoned(tmp_path, site):
    with ExitStack() as stack:
        machine = Machine(tmp_path, site, stack, "redis")
        proxy = machine.start()
        reader = "for i = 1, 40000 do redis.call('SET', ARGV[1] .. i, '') end"
        machine.redis.ask(b"EVAL", reader.encode(), 0, b"proxykit:1:k:x")
        machine.redis.ask(b"EVAL", reader.encode(), 0, b"other")

        assert 30_000 < statistics(proxy)["entries"] < 50_000
        assert entries(proxy)["entries"]  # what is no entry of ours is passed over
