"""What the routes of a cache share, and how long it lives."""

from __future__ import annotations

import gc
from pathlib import Path

from twisted.internet.task import Clock

from proxykit.caching.shared import SharedCache
from proxykit.config.load import parse
from proxykit.net.sweeper import Sweeper
from proxykit.service.build import compile_plan
from proxykit.service.compilation import Environment
from proxykit.upstream.resolution import Resolver
from tests.caching.test_memory import head

TEXT = """
[cache.main]
size = "{size}"
[pool.a]
servers = ["http://127.0.0.1:1"]
[reverse.a]
listen = ["127.0.0.1:8080"]
[[reverse.a.routes]]
pool = "a"
cache = "main"
"""


def shared():
    return SharedCache(None, Sweeper(Clock()), 1)


def test_a_key_that_is_private_is_noted_and_a_great_many_are_not_all():
    cache = shared()
    for number in range(20_000):
        cache.mark_private(b"%d" % number)

    assert cache.is_private(b"19999")
    assert not cache.is_private(b"0")
    cache.unmark_private(b"19999")
    assert not cache.is_private(b"19999")


def test_a_lookup_that_began_before_a_commit_is_told_apart():
    cache = shared()
    before = cache.commits
    cache.note_commit(b"k")

    assert cache.committed_since(b"k", before)
    assert not cache.committed_since(b"k", cache.commits)
    assert not cache.committed_since(b"other", before)
    for number in range(5000):
        cache.note_commit(b"%d" % number)
    assert not cache.committed_since(b"k", before)


def test_a_cache_is_gone_on_with_while_its_definition_is_the_same_and_closed_after():
    environment = Environment(Clock(), Sweeper(Clock()), Resolver(None))

    def plan(size):
        return compile_plan(parse(TEXT.format(size=size), Path("."), "f"), environment, ())

    first = plan("1MiB")
    (cache,) = environment.caches.values()
    second = plan("1MiB")
    assert list(environment.caches.values()) == [cache]
    third = plan("2MiB")
    assert len(environment.caches) == 2

    store = cache.store
    writer = store.begin(b"k", 1)
    writer.write(b"x")
    writer.commit(head(), lambda other: False)
    del first, second, cache
    gc.collect()
    assert len(environment.caches) == 1
    assert len(store) == 0
    assert third.listeners
