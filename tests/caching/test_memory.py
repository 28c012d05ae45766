"""The store in memory: bounded, indexed, read while it is written."""

from __future__ import annotations

import tracemalloc

import pytest

from proxykit.caching.memory import MemoryStore
from proxykit.caching.pieces import BLOCK, Pieces
from proxykit.caching.policy import Terms
from proxykit.caching.rendering import Rendering
from proxykit.caching.stored import StoredHead
from proxykit.engine.forwarding import Direction, ForwardingRules
from proxykit.message.fields import FieldSection

NOW = 1_800_000_000.0


def head(tags=(), selecting=(), fields=((b"Content-Type", b"text/css"),), lifetime=60.0):
    return StoredHead(
        200,
        b"OK",
        1,
        FieldSection(tuple(fields)),
        NOW,
        0.0,
        Terms(lifetime),
        selecting=selecting,
        tags=frozenset(tags),
    )


def put(store, key, content=b"content", replaces=lambda other: False, **more):
    writer = store.begin(key, len(content))
    assert writer.write(content)
    writer.commit(head(**more), replaces)


@pytest.fixture
def store():
    return MemoryStore(1_000_000, lambda: NOW + 10)


def test_what_was_stored_is_found_and_its_content_is_the_very_object(store):
    content = b"x" * 1000
    put(store, b"n http://a/", content)

    (found,) = store.lookup(b"n http://a/")
    assert found.body.whole is content
    assert found.body.read(0, BLOCK) is content
    assert found.body.read(990, 100) == b"x" * 10
    assert store.lookup(b"n http://a/x") == ()


def test_nothing_is_found_before_it_is_complete_and_all_can_be_read_before(store):
    writer = store.begin(b"k", None)
    writer.write(b"abc")
    assert store.lookup(b"k") == ()
    assert writer.body.read(1, 10) == b"bc"
    assert writer.body.whole is None
    assert store.used == 3
    writer.write(b"def")
    writer.commit(head(), lambda other: False)
    assert store.lookup(b"k")[0].body.whole == b"abcdef"


def test_nothing_stays_of_what_was_aborted(store):
    writer = store.begin(b"k", None)
    writer.write(b"abc")
    writer.abort()

    assert store.lookup(b"k") == ()
    assert store.used == 0


def test_variants_stand_side_by_side_the_newest_first_and_one_takes_anothers_place(store):
    for value in (b"a", b"b"):
        put(store, b"k", value, selecting=((b"x", value),))
    put(
        store,
        b"k",
        b"new",
        lambda other: other.selecting == ((b"x", b"a"),),
        selecting=((b"x", b"a"),),
    )

    assert [each.body.whole for each in store.lookup(b"k")] == [b"new", b"b"]


def test_variants_are_bounded(store):
    for number in range(200):
        put(store, b"k", selecting=((b"x", b"%d" % number),))

    assert len(store.lookup(b"k")) == 64


def test_it_never_holds_more_than_its_size_with_keys_and_heads():
    store = MemoryStore(200_000)
    for number in range(2000):
        put(store, b"n http://a/%d" % number, b"x" * (number % 700))
        assert store.used <= 200_000
    assert 0 < len(store) < 2000


def test_what_is_being_written_is_bounded_and_counts():
    store = MemoryStore(100_000)
    assert store.begin(b"k", 60_000) is None
    writer = store.begin(b"k", None)
    assert writer.write(b"x" * 50_000)
    assert not writer.write(b"x")
    assert writer.body.read(49_999, 10) == b"x"
    writer.abort()
    assert store.used == 0


def test_the_account_of_memory_is_true():
    """Content apart, an entry that was sent costs what it is said to, or a little less."""
    rules = ForwardingRules(Direction.REVERSE, b"proxykit")
    tracemalloc.start()
    try:
        store = MemoryStore(100_000_000)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2000):
            fields = [(b"X-Field-%d" % n, b"value %d of %d" % (n, number)) for n in range(8)]
            key = b"n http://a.example/path/%d" % number
            put(store, key, b"%d" % number * 200, fields=fields)
            stored = store.lookup(key)[0]
            stored.rendering = Rendering.of(stored.head, rules, 200)
            stored.rendering.set_age(stored.head, NOW)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 1.0 < store.used / taken < 1.3


def test_purging_by_key_takes_what_rules_made_of_it_along(store):
    for key in (b"n http://a/", b"n http://a/\nx: 1", b"n http://a/\nx: 2", b"n http://a/b"):
        put(store, key)

    assert store.purge(b"n http://a/", soft=False) == 3
    assert store.purge(b"n http://a/", soft=False) == 0
    assert len(store) == 1


def test_purging_by_tag_and_by_prefix(store):
    for number in range(4):
        put(store, b"n http://a/%d" % number, tags=[b"all", b"n%d" % number])

    assert store.purge_tag(b"n1", soft=False) == 1
    assert store.purge_tag(b"all", soft=False) == 3
    assert store.purge_tag(b"all", soft=False) == 0
    for number in range(4):
        put(store, b"n http://a/%d" % number)
    assert store.purge_prefix(b"n http://a/", soft=False) == 4
    assert store.used == 0


def test_a_soft_purge_leaves_what_is_stale_from_now_on(store):
    put(store, b"k", tags=[b"t"])

    assert store.purge_tag(b"t", soft=True) == 1
    (found,) = store.lookup(b"k")
    assert found.head.terms.lifetime == 10
    assert found.fresh_until <= NOW + 10


def test_an_update_changes_the_head_and_its_tags(store):
    put(store, b"k", tags=[b"old"])
    (found,) = store.lookup(b"k")
    store.update(b"k", found, head(tags=[b"new"], lifetime=99.0))

    assert store.lookup(b"k")[0].head.terms.lifetime == 99
    assert store.purge_tag(b"old", soft=False) == 0
    assert store.purge_tag(b"new", soft=False) == 1


def test_a_reader_keeps_what_it_reads_though_it_is_forgotten(store):
    put(store, b"k", b"content")
    (found,) = store.lookup(b"k")
    store.purge(b"k", soft=False)

    assert found.body.read(0, 100) == b"content"


def test_small_pieces_are_joined_once_all_is_there():
    pieces = Pieces()
    for number in range(1000):
        pieces.append(b"%03d" % number)
    pieces.finish()

    assert pieces.whole == b"".join(b"%03d" % number for number in range(1000))
    large = Pieces()
    for _ in range(5):
        large.append(b"x" * (BLOCK // 2))
    large.finish()
    assert large.whole is None
    assert len(large.read(0, BLOCK)) == BLOCK
    assert len(large.read(2 * BLOCK, BLOCK)) == BLOCK // 2
    assert large.read(5 * BLOCK // 2, BLOCK) == b""


def test_what_nobody_needs_is_forgotten_from_the_beginning():
    pieces = Pieces()
    for _ in range(3):
        pieces.append(b"abcd")
    pieces.forget(5)

    assert pieces.held == 8
    assert pieces.read(0, 10) == b""
    assert pieces.read(5, 10) == b"bcd"
    assert pieces.size == 12
