"""What is remembered of purges, so that nothing older is stored after them."""

from __future__ import annotations

import pytest

from proxykit.caching.packing import pack
from proxykit.caching.purging import EVERYTHING, Purged, PurgeLog

KEY = b"n http://a/x"
RULED = KEY + b"\nx: 1"


@pytest.mark.parametrize(
    ("by", "what", "key", "tags", "concerned"),
    [
        ("key", KEY, KEY, (), True),
        ("key", KEY, RULED, (), True),
        ("key", KEY, KEY + b"y", (), False),
        ("key", KEY + b"y", KEY, (), False),
        ("prefix", b"", KEY, (), True),
        ("prefix", b"n http://a/", RULED, (), True),
        ("prefix", b"n http://b/", KEY, (), False),
        ("prefix", b"n " + b"x" * 500, b"n " + b"x" * 501, (), True),
        ("tag", b"red", KEY, (b"blue", b"red"), True),
        ("tag", b"red", KEY, (b"blue",), False),
        ("tag", b"red", KEY, (), False),
        ("tag", b"red", KEY, None, True),
    ],
)
@pytest.mark.parametrize("soft", [True, False])
def test_a_purge_takes_what_it_is_for_and_everything_while_tags_are_not_known(
    by, what, key, tags, concerned, soft
):
    log = PurgeLog()
    before = log.now
    log.add(Purged.of(by, what, soft=soft))
    tags = None if tags is None else frozenset(tags)

    found = log.since(before, key, tags)
    assert (found is not None) is concerned
    assert found is None or found.soft is soft
    assert log.since(log.now, key, tags) is None


def test_of_several_purges_one_that_is_not_soft_counts():
    log = PurgeLog()
    log.add(Purged.of("key", KEY, soft=False))
    log.add(Purged.of("key", KEY, soft=True))

    assert log.since(0, KEY, frozenset()).soft is False
    assert log.since(1, KEY, frozenset()).soft is True


def test_what_is_remembered_is_bounded_and_what_is_older_was_purged():
    log = PurgeLog()
    for number in range(5000):
        log.add(Purged.of("key", b"n http://a/%d" % number + b"x" * 8000, soft=True))

    assert log.since(4999, KEY, frozenset()) is None
    assert log.since(0, KEY, frozenset()) == EVERYTHING
    assert sum(len(each.what) for each in log._purges) < 100_000


@pytest.mark.parametrize("by", ["key", "tag", "prefix"])
def test_a_purge_is_read_as_it_was_written(by):
    purged = Purged.of(by, b"x" * 1000, soft=True)
    assert Purged.unpack(purged.pack()) == purged


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", pack(1), pack((1, 2)), pack(("x", b"", True)), pack(("key", 1, True)),
             pack(("key", b"", 0)), pack(([], b"", True))],
)  # fmt: skip
def test_what_is_no_purge_may_have_been_everything(data):
    assert Purged.unpack(data) == EVERYTHING
