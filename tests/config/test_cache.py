"""Caches in a configuration and on the command line: what is wrong is said with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from proxykit.config.load import ConfigurationErrors, parse
from proxykit.config.schema import configuration_schema
from proxykit.service.options import Options

GOOD = """
[cache.main]
store = "memory"
size = "16MiB"
max_object_size = "1MiB"
lock_timeout = "2s"

[pool.app]
servers = ["http://127.0.0.1:9001"]

[forward.office]
listen = "127.0.0.1:3128"
cache = "main"

[reverse.site]
listen = ["127.0.0.1:8080"]

[[reverse.site.routes]]
pool = "app"
[reverse.site.routes.cache]
use = "main"
lifetimes = { "404" = "10s" }
query_ignore = "utm_*"
purge_from = "127.0.0.1"
[[reverse.site.routes.cache.rules]]
path = "/static/"
force_lifetime = "1h"
"""


def errors_of(text):
    with pytest.raises(ConfigurationErrors) as caught:
        parse(text, Path("."), "f.toml")
    return [str(problem) for problem in caught.value.problems]


def test_a_cache_is_read_with_the_keys_of_its_store():
    configuration = parse(GOOD, Path("."), "f.toml")

    cache = configuration.cache["main"]
    assert cache.lock_timeout == 2
    assert cache.options.size == 16 * 1024 * 1024
    use = configuration.reverse["site"].routes[0].cache
    assert (use.use, use.lifetimes, use.query_ignore) == ("main", {"404": 10.0}, ["utm_*"])
    assert configuration.forward["office"].cache.use == "main"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"memory"', '"memori"', "f.toml:3: cache.main.store: there is no store 'memori'; did you mean 'memory'?"),
        ("max_object_size =", "max_objectsize =", "f.toml:5: cache.main.max_objectsize: unknown key; did you mean 'max_object_size'?"),
        ("\nsize =", "\nsise =", "f.toml:4: cache.main.sise: unknown key; did you mean 'size'?"),
        ('"16MiB"', '"many"', "f.toml:4: cache.main.size: expected a size"),
        ('"16MiB"', '"1KiB"', "f.toml:4: cache.main.size: input should be greater than"),
        ('cache = "main"', 'cache = "mian"', "f.toml:13: forward.office.cache: there is no cache 'mian'; did you mean 'main'?"),
        ('use = "main"', 'use = "other"', "f.toml:20: reverse.site.routes[0].cache: there is no cache 'other'"),
        ('"404"', '"500"', "f.toml:22: reverse.site.routes[0].cache.lifetimes: a 500 is not stored"),
        ('path = "/static/"', 'path = "static"', "f.toml:26: reverse.site.routes[0].cache.rules[0].path: expected"),
        ('path = "/static/"', 'url = "a(?=b)"', "f.toml:26: reverse.site.routes[0].cache.rules[0].url[0]: look-around cannot be had"),
        ('force_lifetime = "1h"', "heuristic_percent = -1", "f.toml:27: reverse.site.routes[0].cache.rules[0].heuristic_percent: "),
        ("lifetimes =", "lifetime_s =", "f.toml:22: reverse.site.routes[0].cache.lifetime_s: unknown key; did you mean 'lifetime"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(old, new, problem):
    (found,) = errors_of(GOOD.replace(old, new, 1))

    assert found.startswith(problem)


def test_a_store_is_checked_though_something_else_is_wrong():
    found = errors_of(GOOD.replace("\nsize =", "\nsise =").replace("listen = [", "lisen = ["))

    assert len(found) == 2
    assert any("cache.main.sise" in each for each in found)


def test_a_redirect_needs_no_cache():
    text = GOOD.replace('pool = "app"', 'redirect = { to = "/x" }', 1)

    assert any(
        "only a route with pool or split has a use for a cache" in each for each in errors_of(text)
    )


def test_the_schema_knows_caches():
    schema = configuration_schema()

    assert "cache" in schema["properties"]
    assert "stale_if_error" in schema["$defs"]["CacheUse"]["properties"]


@pytest.mark.parametrize("mode", [["forward"], ["reverse", "--backend", "http://127.0.0.1:1"]])
def test_a_size_on_the_command_line_is_a_cache_in_memory(mode):
    options = Options()
    options.parseOptions([*mode, "--cache", "64MiB"])

    configuration = options.subOptions.configuration()
    assert configuration.cache["main"].options.size == 64 * 1024 * 1024
    listener = configuration.forward.get("main") or configuration.reverse["main"].routes[0]
    assert listener.cache.use == "main"

    with pytest.raises(UsageError, match="expected a size"):
        Options().parseOptions([*mode, "--cache", "much"])


@pytest.mark.parametrize("mode", [["forward"], ["reverse", "--backend", "http://127.0.0.1:1"]])
@pytest.mark.parametrize(("cache", "memory"), [([], 64 << 20), (["--cache", "1MiB"], 1 << 20)])
def test_with_a_directory_the_cache_is_on_disk_and_its_size_the_memory_in_front(
    mode, cache, memory, tmp_path
):
    options = Options()
    options.parseOptions([*mode, "--cache-dir", str(tmp_path / "new"), *cache])
    configuration = options.subOptions.configuration()

    main = configuration.cache["main"]
    assert (main.store, main.options.directory) == ("disk", str(tmp_path / "new"))
    assert main.options.memory == memory
    assert not (tmp_path / "new").exists()  # it is only checked


def test_a_stores_own_keys_are_checked():
    text = GOOD.replace('store = "memory"', 'store = "disk"')
    assert errors_of(text) == ["f.toml:2: cache.main.directory: is missing"]
    (size,) = errors_of(text.replace("[pool.app]", 'directory = "d"\nmemroy = 1\n[pool.app]'))
    assert "memroy: unknown key; did you mean 'memory'?" in size
    (url,) = errors_of(GOOD.replace('store = "memory"', 'store = "redis"'))
    assert "cache.main.url: is missing" in url
