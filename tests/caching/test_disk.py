"""The store on disk: shared, checked, bounded, and there again after a restart."""

from __future__ import annotations

import os
import random
import stat

import lmdb
import pytest
from twisted.logger import capturedLogs

from benchmarks.kill_disk import bytes_below, orphans
from proxykit.caching.disk.burial import give_back
from proxykit.caching.disk.changes import RANGE
from proxykit.caching.disk.files import BLOCK
from proxykit.caching.disk.index import Index
from proxykit.caching.disk.layout import Layout
from proxykit.caching.disk.records import Record
from proxykit.caching.disk.store import DiskStore
from proxykit.caching.purging import EVERYTHING

from .disk_stores import MIB, NOW, Stores, head


@pytest.fixture
def stores(tmp_path):
    made = Stores(tmp_path)
    yield made
    made.close_all()


@pytest.fixture
def store(stores):
    return stores.make()


def bodies(stores):
    return sorted((stores.directory / "v1/bodies").glob("*/*"))


def random_bytes(size, seed=1):
    return random.Random(seed).randbytes(size)


SIZES = (0, 1, 4096, 4097, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 300_000, 1_000_000)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_stored_is_found_at_once_when_written_and_after_a_restart(stores, size):
    store = stores.make()
    content = random_bytes(size)
    stores.put(store, b"n http://a/", content)

    assert stores.contents(store, b"n http://a/") == [content]  # not written yet
    stores.settle(store)
    assert stores.contents(store, b"n http://a/") == [content]
    stores.close(store)
    store = stores.make()
    assert stores.contents(store, b"n http://a/") == [content]
    (found,) = store.lookup(b"n http://a/")  # at hand now: nothing is waited for
    assert found.head.section.fields == ((b"Content-Type", b"a/b"),)
    assert store.lookup(b"n http://a/x") == ()


@pytest.mark.parametrize("memory", [0, 8 * MIB])
def test_every_part_can_be_read_from_wherever_it_lies(stores, memory):
    store = stores.make(memory=memory)
    content = random_bytes(300_000)
    stores.put(store, b"k", content)
    for _ in range(3):
        (found,) = stores.lookup(store, b"k")
        for offset in (0, 1, BLOCK - 1, BLOCK, 200_000, 299_999):
            piece = stores.now(found.body.read(offset, 70_000))
            assert piece
            assert content[offset:].startswith(piece)
        assert stores.now(found.body.read(300_000, 10)) == b""
        stores.settle(store)


def test_small_content_needs_no_file_and_large_content_is_sent_out_of_one(stores, store):
    stores.put(store, b"small", b"x" * 4096)
    stores.put(store, b"large", b"x" * 4097)
    stores.settle(store)

    assert len(bodies(stores)) == 1
    (small,), (large,) = stores.lookup(store, b"small"), stores.lookup(store, b"large")
    assert small.body.whole == b"x" * 4096
    assert large.body.whole is None
    assert large.body.file_region().read() == b"x" * 4097


def test_content_can_be_read_while_it_is_written(stores, store):
    content = random_bytes(1_000_000)
    writer = store.begin(b"k", None)
    read = b""
    for start in range(0, len(content), 50_000):
        assert writer.write(content[start : start + 50_000])
        stores.turns.run_until(lambda: store._room.unwritten < 300_000)
        read += stores.now(writer.body.read(len(read), 40_000))
    assert stores.lookup(store, b"k") == ()
    writer.commit(head(), lambda other: False)
    while len(read) < len(content):
        read += stores.now(writer.body.read(len(read), 40_000))
    assert read == content


def test_nothing_stays_of_what_was_aborted(stores, store):
    writer = store.begin(b"k", None)
    writer.write(b"x" * 600_000)
    stores.turns.run_until(lambda: not store._room.unwritten)
    assert len(bodies(stores)) == 1
    writer.abort()
    stores.turns.run_until(lambda: not store._room.writing)

    assert bodies(stores) == []
    assert stores.lookup(store, b"k") == ()


def test_variants_stand_side_by_side_the_newest_first_and_one_takes_anothers_place(stores, store):
    for value in (b"a", b"b"):
        stores.put(store, b"k", value, selecting=((b"x", value),))
    stores.put(
        store,
        b"k",
        b"new",
        lambda other: other.selecting == ((b"x", b"a"),),
        selecting=((b"x", b"a"),),
    )

    assert stores.contents(store, b"k") == [b"new", b"b"]
    stores.settle(store)
    assert stores.contents(store, b"k") == [b"new", b"b"]
    stores.close(store)
    assert stores.contents(stores.make(), b"k") == [b"new", b"b"]


def test_variants_are_bounded(stores, store):
    for number in range(100):
        stores.put(store, b"k", b"x" * 5000, selecting=((b"x", b"%d" % number),))
    stores.settle(store)

    assert len(stores.lookup(store, b"k")) == 64
    stores.turns.run_until(lambda: len(bodies(stores)) == 64)


def test_a_file_is_removed_with_its_entry(stores, store):
    stores.put(store, b"k", b"x" * 5000)
    stores.put(store, b"k", b"y" * 5000, lambda other: True)
    stores.settle(store)
    assert stores.contents(store, b"k") == [b"y" * 5000]
    (found,) = stores.lookup(store, b"k")
    store.remove(b"k", found)
    assert store.lookup(b"k") == ()
    stores.settle(store)

    assert store.lookup(b"k") == ()
    stores.turns.run_until(lambda: bodies(stores) == [])


@pytest.mark.parametrize("size", [100, 5000, 500_000])
def test_a_reader_keeps_what_it_reads_though_it_is_forgotten(stores, store, size):
    content = random_bytes(size)
    stores.put(store, b"k", content)
    stores.settle(store)
    (found,) = stores.lookup(store, b"k")
    assert stores.now(store.purge(b"k", soft=False)) == 1
    stores.turns.run_until(lambda: bodies(stores) == [])

    assert stores.read(found) == content


def test_an_update_changes_the_head_and_its_tags(stores, store):
    stores.put(store, b"k", tags=[b"old"])
    stores.settle(store)
    (found,) = stores.lookup(store, b"k")
    store.update(b"k", found, head(tags=[b"new"], lifetime=99.0))

    assert store.lookup(b"k")[0].head.terms.lifetime == 99
    stores.settle(store)
    assert store.lookup(b"k")[0].head.terms.lifetime == 99
    assert stores.now(store.purge_tag(b"old", soft=False)) == 0
    assert stores.now(store.purge_tag(b"new", soft=False)) == 1
    assert stores.lookup(store, b"k") == ()


LONG = b"n http://a/" + b"x" * 600


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("key", [b"n http://a/", LONG])
def test_purging_by_key_takes_what_rules_made_of_it_along(stores, store, key, settled):
    for each in (key, key + b"\nx: 1", key + b"\nx: 2", key + b"b"):
        stores.put(store, each)
    if settled:
        stores.settle(store)

    purging = store.purge(key, soft=False)
    assert stores.lookup(store, key) == ()
    assert stores.now(purging) == 3
    assert stores.now(store.purge(key, soft=False)) == 0
    assert stores.contents(store, key + b"b") == [b"content"]
    assert stores.lookup(store, key + b"\nx: 1") == ()


def test_purging_by_tag_and_by_prefix(stores, store):
    for number in range(4):
        stores.put(store, b"n http://a/%d" % number, tags=[b"all", b"n%d" % number])

    assert stores.now(store.purge_tag(b"n1", soft=False)) == 1
    assert stores.now(store.purge_tag(b"all", soft=False)) == 3
    assert stores.now(store.purge_tag(b"all", soft=False)) == 0
    for number in range(4):
        stores.put(store, b"n http://a/%d" % number)
    stores.put(store, LONG)
    stores.put(store, LONG + b"y")
    assert stores.now(store.purge_prefix(LONG, soft=False)) == 2
    assert stores.now(store.purge_prefix(b"n http://a/", soft=False)) == 4
    assert stores.now(store.purge_prefix(b"n", soft=False)) == 0


def test_a_soft_purge_leaves_what_is_stale_from_now_on(stores, store):
    stores.put(store, b"k", tags=[b"t"])

    assert stores.now(store.purge_tag(b"t", soft=True)) == 1
    (found,) = stores.lookup(store, b"k")
    assert found.head.terms.lifetime == 10
    assert found.fresh_until <= NOW + 10
    assert stores.read(found) == b"content"


def test_no_lookup_waits_for_a_purge_that_finds_nothing(stores, store):
    purging = store.purge(b"k", soft=False)
    assert store.lookup(b"k") == ()
    assert stores.now(purging) == 0


@pytest.mark.parametrize("size", [10, 600_000])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("purge", b"n http://a/"),
        ("purge_prefix", b"n "),
        ("purge_prefix", b""),
        ("purge_tag", b"t"),
    ],
)
def test_what_another_one_purged_before_it_was_written_is_not_there(
    stores, store, kind, what, soft, size
):
    other = stores.make()
    assert not store.hear()
    key = b"n http://a/\nx: 1"
    content = random_bytes(size)
    # The other's purge is written, and then what was put when nobody had heard of it.
    assert stores.now(getattr(other, kind)(what, soft=soft)) == 0
    stores.put(store, key, content, tags=[b"t"])
    (found,) = store.lookup(key)
    stores.settle(store)

    assert stores.lookup(store, key) == stores.lookup(other, key) == ()
    assert stores.read(found) == content  # whoever has it reads on
    stores.turns.run_until(lambda: bodies(stores) == [])
    assert [each.soft for each in store.hear()] == [soft]
    assert not store.hear()
    assert not other.hear()
    stores.put(store, key, b"new", tags=[b"t"])
    stores.settle(store)
    assert stores.contents(other, key) == [b"new"]


def test_what_nobody_purged_is_written_though_others_purge(stores, store):
    other = stores.make()
    assert not store.hear()
    stores.now(other.purge(b"n http://a/x", soft=False))
    stores.now(other.purge_tag(b"t", soft=False))
    stores.now(other.purge_prefix(b"n http://b/", soft=False))
    stores.put(store, b"n http://a/", tags=[b"u"])
    stores.settle(store)

    assert stores.contents(other, b"n http://a/") == [b"content"]


def test_the_purges_that_are_remembered_are_bounded(stores, store):
    other = stores.make()
    assert not store.hear()
    for number in range(300):
        other.purge(b"n http://a/%d" % number, soft=True)
    stores.now(other.purge(b"n http://a/", soft=True))

    index = store._disk.index
    with index.environment.begin() as transaction:
        assert transaction.stat(index.purges)["entries"] == 256
    stores.put(store, b"n http://b/")
    stores.settle(store)
    assert stores.lookup(store, b"n http://b/") == ()
    assert list(store.hear()) == [EVERYTHING]


def test_long_keys_are_told_apart(stores, store):
    for number in range(3):
        stores.put(store, LONG + b"%d" % number, b"%d" % number)
    stores.settle(store)

    for number in range(3):
        assert stores.contents(store, LONG + b"%d" % number) == [b"%d" % number]
    assert stores.lookup(store, LONG) == ()


# --- damage -----------------------------------------------------------------------------------


def damage(path, place):
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("at_hand", [True, False])
@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 200_000, 299_999])
def test_a_changed_byte_is_never_given(stores, place, at_hand):
    store = stores.make()
    content = random_bytes(300_000)
    stores.put(store, b"k", content)
    stores.settle(store)
    if not at_hand:
        stores.close(store)
        store = stores.make()
    damage(bodies(stores)[0], place)

    for found in stores.lookup(store, b"k"):
        assert found.body.file_region() is None
        given = stores.read(found)
        assert len(given) <= place
        assert content.startswith(given)
    stores.turns.run_until(lambda: stores.lookup(store, b"k") == ())
    stores.settle(store)
    assert stores.lookup(store, b"k") == ()
    stores.turns.run_until(lambda: bodies(stores) == [])


@pytest.mark.parametrize("harm", [lambda f: f.unlink(), lambda f: os.truncate(f, 100)])
def test_a_file_that_is_gone_or_cut_short_is_a_miss(stores, harm):
    store = stores.make()
    stores.put(store, b"k", random_bytes(100_000))
    stores.settle(store)
    stores.close(store)
    harm(bodies(stores)[0])
    store = stores.make()

    assert stores.lookup(store, b"k") == ()
    stores.settle(store)
    assert stores.lookup(store, b"k") == ()
    stores.put(store, b"k", b"again")
    assert stores.contents(store, b"k") == [b"again"]


def test_a_record_that_is_not_what_was_written_is_a_miss(stores):
    store = stores.make()
    stores.put(store, b"k", b"small")
    stores.put(store, b"other", b"small")
    stores.settle(store)
    index = store._disk.index
    stores.close(store)
    with lmdb.open(str(stores.directory / "v1/index"), max_dbs=16, map_size=2**40) as environment:
        entries = environment.open_db(b"entries")
        with environment.begin(write=True, db=entries) as transaction:
            for name, data in list(transaction.cursor()):
                if Record.unpack(data).key == b"k":
                    transaction.put(name, data[:-1] + b"?")
    store = stores.make()

    assert index is None or stores.lookup(store, b"k") == ()
    assert stores.lookup(store, b"k") == ()
    assert stores.contents(store, b"other") == [b"small"]


@pytest.mark.parametrize("content", [b"", b"not LMDB" * 1000, bytes(8192)])
def test_an_index_that_is_none_begins_empty(stores, content):
    store = stores.make()
    stores.put(store, b"k", b"x" * 5000)
    stores.settle(store)
    stores.close(store)
    (stores.directory / "v1/index/data.mdb").write_bytes(content)

    store = stores.make()
    assert stores.lookup(store, b"k") == ()
    stores.put(store, b"k", b"again")
    stores.settle(store)
    assert stores.contents(store, b"k") == [b"again"]
    stores.turns.run_until(lambda: len(bodies(stores)) == 0)


def test_another_version_begins_empty_and_touches_nothing_of_others(stores):
    old = stores.directory / "v999"
    (old / "bodies/00").mkdir(parents=True)
    (old / "bodies/00/0000").write_bytes(b"x")
    other = stores.directory / "somebody's"
    other.mkdir()

    store = stores.make()
    stores.put(store, b"k")
    assert stores.contents(store, b"k") == [b"content"]
    assert not old.exists()
    assert other.exists()
    stores.turns.run_until(lambda: not list(stores.directory.glob("discarded-*")))


def test_only_the_owner_may_look(stores, store):
    stores.put(store, b"k", b"x" * 5000)
    stores.settle(store)

    for path in (stores.directory, *stores.directory.rglob("*")):
        assert not path.lstat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path


def test_a_disk_that_cannot_be_written_costs_nothing_but_the_entry(stores, store):
    stores.put(store, b"before", b"x" * 5000)
    stores.settle(store)
    folder = stores.directory / "v1/bodies"
    folder.rename(folder.with_name("moved"))
    folder.write_bytes(b"")

    for size in (5000, 500_000):
        content = random_bytes(size)
        writer = store.begin(b"k", None)
        assert writer.write(content)
        writer.commit(head(), lambda other: False)
        assert stores.now(writer.body.read(0, BLOCK)) == content[:BLOCK]
        stores.settle(store)
        assert stores.lookup(store, b"k") == ()
    folder.unlink()
    folder.with_name("moved").rename(folder)
    assert stores.contents(store, b"before") == [b"x" * 5000]


def test_a_directory_that_cannot_be_had_is_no_cache_until_it_can(stores, monkeypatch):
    stores.directory.write_bytes(b"a file")
    store = DiskStore(stores.turns, stores.directory, 64 * MIB, 0)

    assert stores.lookup(store, b"k") == ()
    assert store.begin(b"k", 10) is None
    assert stores.now(store.purge(b"k", soft=False)) == 0
    stores.directory.unlink()
    assert stores.lookup(store, b"k") == ()  # it is not tried with every request
    monkeypatch.setattr(store._disk, "_tried_again_from", 0.0)
    stores.open.append(store)
    assert stores.lookup(store, b"k") == ()
    stores.put(store, b"k")
    assert stores.contents(store, b"k") == [b"content"]


def test_when_nothing_else_makes_room_files_go_and_are_misses(stores):
    store = stores.make()
    for number in range(10):
        stores.put(store, b"k%d" % number, random_bytes(40_000))
    stores.settle(store)
    stores.close(store)
    layout = Layout(stores.directory)
    index = Index(layout.index)
    assert give_back(index, layout, 100_000) >= 100_000
    index.close()
    layout.close()
    assert len(bodies(stores)) == 7

    store = stores.make()
    found = [stores.contents(store, b"k%d" % number) for number in range(10)]
    assert found == [[]] * 3 + [[random_bytes(40_000)]] * 7
    stores.settle(store)
    assert give_back(store._disk.index, store._disk.layout, 1) > 0


# --- bounds -----------------------------------------------------------------------------------


def stored_value(store, key):
    """Give what the index holds under a key."""
    return store._glance.value(store._index, key)


@pytest.mark.parametrize("size", [500, 3000, 20_000, 200_000])
def test_the_directory_never_takes_more_than_its_size(stores, size):
    limit = 16 * MIB
    store = stores.make(size=limit)
    count = min(2 * limit // size, 6_000)
    content = random_bytes(size)
    for number in range(count):
        stores.put(store, b"n http://a/%d" % number, content)
    stores.settle(store)
    stores.turns.run_until(lambda: bytes_below(stores.directory) < limit)
    kept = sum(1 for number in range(count) if stored_value(store, b"n http://a/%d" % number))
    assert 0 < kept < count
    assert kept * size > limit // 10


def test_what_is_asked_for_outlives_a_scan(stores):
    store = stores.make(size=16 * MIB)
    content = random_bytes(50_000)
    wanted = [b"n http://a/wanted/%d" % number for number in range(50)]
    for key in wanted:
        stores.put(store, key, content)
    stores.settle(store)
    for key in wanted:
        stores.lookup(store, key)
    stores.turns.run_later()
    for number in range(600):
        stores.put(store, b"n http://a/scan/%d" % number, content)
    stores.settle(store)

    assert all(stored_value(store, key) for key in wanted)


def test_room_is_left_for_others_on_the_file_system(stores):
    store = stores.make(min_free=2**62)
    stores.put(store, b"k", b"x" * 5000)
    stores.settle(store)

    stores.turns.run_until(lambda: store._disk.clerk.is_full)
    assert stores.lookup(store, b"k") == ()
    assert store.begin(b"k", 10) is None


def test_a_full_file_system_is_told_once_and_so_is_its_end(stores, monkeypatch):
    with capturedLogs() as logs:
        store = stores.make(min_free=2**62)
        for _ in range(2):
            stores.now(store.purge(b"n http://a/", soft=False))
        store._disk.clerk.min_free = 0
        stores.now(store.purge(b"n http://a/", soft=False))
        stores.turns.run_until(lambda: not store._disk.clerk.is_full)

    told = [each["log_format"] for each in logs if "stores" in each["log_format"]]
    assert ["nothing" in each for each in told] == [True, False]
    assert store.begin(b"k", 10) is not None


def test_many_purges_of_uris_are_few_transactions(stores, store):
    keys = [b"n http://a/%d" % number for number in range(200)]
    for key in keys:
        stores.put(store, key)
    stores.settle(store)
    before = store._disk.index.environment.info()["last_txnid"]

    purges = [store.purge(key, soft=False) for key in keys]

    assert [stores.now(purge) for purge in purges] == [1] * 200
    assert store._disk.index.environment.info()["last_txnid"] - before < 100
    assert [stores.lookup(store, key) for key in keys] == [()] * 200


def test_what_is_too_large_or_too_much_at_once_is_not_begun(stores):
    store = stores.make(size=16 * MIB)
    assert store.begin(b"k", 3 * MIB) is None
    writer = store.begin(b"k", None)
    for _ in range(20):
        taken = writer.write(b"x" * 100_000)
    assert writer.write(b"x" * 100_000) is False
    assert taken
    writer.abort()


def test_numbers_are_reserved_in_time_and_given_up(stores, store):
    for number in range(2 * RANGE + 10):
        stores.put(store, b"n http://a/%d" % number, b"x")
    stores.settle(store)
    stores.close(store)

    with lmdb.open(str(stores.directory / "v1/index"), max_dbs=16, map_size=2**40) as environment:
        reserved = environment.open_db(b"reserved")
        transaction = environment.begin(db=reserved)
        assert transaction.stat(reserved)["entries"] == 0
        transaction.abort()
    assert list((stores.directory / "v1/owners").iterdir()) == []
    assert orphans(stores.directory) == []


# --- memory in front --------------------------------------------------------------------------


def test_what_is_asked_for_again_is_kept_in_memory(stores):
    store = stores.make(memory=8 * MIB)
    content = random_bytes(100_000)
    stores.put(store, b"k", content)
    stores.settle(store)
    stores.close(store)
    store = stores.make(memory=8 * MIB)

    stores.lookup(store, b"k")
    assert store.lookup(b"k")[0].body.whole is None
    stores.turns.run_until(lambda: store.lookup(b"k")[0].body.whole == content)
    assert store._front.used > 100_000


def test_memory_is_bounded(stores):
    store = stores.make(memory=2 * MIB)
    content = random_bytes(100_000)
    for number in range(100):
        stores.put(store, b"k%d" % number, content)
        if number % 10 == 0:
            stores.settle(store)
            assert store._front.used <= 2 * MIB
    stores.settle(store)
    for number in range(100):
        assert stores.contents(store, b"k%d" % number) == [content]


def test_a_new_store_on_the_same_directory_goes_on_with_it(stores):
    first = stores.make()
    stores.put(first, b"k", b"x" * 5000)
    stores.settle(first)
    second = stores.make(size=32 * MIB)  # as a reload does

    assert stores.contents(second, b"k") == [b"x" * 5000]
    stores.put(second, b"other")
    stores.settle(second)
    assert stores.contents(first, b"other") == [b"content"]
    assert stores.now(second.purge(b"k", soft=False)) == 1
    assert stores.lookup(first, b"k") == ()
    stores.close(first)
    assert stores.contents(second, b"other") == [b"content"]
