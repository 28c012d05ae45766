"""S3-FIFO: what stays when there is not room for all."""

from __future__ import annotations

import random
from collections import OrderedDict
from itertools import accumulate, count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.caching.eviction import Entry, S3Fifo


def add(queues, key, size=1):
    entry = Entry(key, size)
    queues.add(entry)
    return entry, [each.key for each in queues.evict()]


def test_a_scan_displaces_nothing_that_is_asked_for():
    queues = S3Fifo(100)
    wanted = [add(queues, b"w%d" % n)[0] for n in range(50)]
    for entry in wanted:
        entry.touch()
    for number in range(10_000):
        add(queues, b"s%d" % number)

    assert all(queues.get(entry.key) is entry for entry in wanted)
    assert queues.used <= 100


def test_what_comes_back_soon_after_it_was_forgotten_goes_to_the_main_queue():
    queues = S3Fifo(10)
    gone = []
    for number in range(12):
        gone += add(queues, b"%d" % number)[1]
    back, _ = add(queues, gone[-1])

    assert back.main


def test_what_is_larger_than_everything_does_not_stay():
    queues = S3Fifo(10)
    _, evicted = add(queues, b"huge", 11)

    assert evicted == [b"huge"]
    assert queues.used == 0


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 20), st.sampled_from("artd")), max_size=150
    ),
    st.integers(1, 100),
)
def test_what_is_used_is_what_is_there_and_never_more_than_the_capacity(steps, capacity):
    queues = S3Fifo(capacity)
    held = {}
    for number, size, step in steps:
        key = b"%d" % number
        entry = held.get(key)
        if entry is None:
            entry = held[key] = Entry(key, size)
            queues.add(entry)
        elif step == "r":
            queues.resize(entry, size)
        elif step == "t":
            entry.touch()
        elif step == "d":
            queues.remove(held.pop(key))
        for evicted in queues.evict():
            del held[evicted.key]
        assert queues.used == sum(each.size for each in held.values()) <= capacity
        assert {each.key for each in queues} == set(held)


def hits_of_lru(trace, capacity):
    held = OrderedDict()
    hits = 0
    for name in trace:
        hits += name in held
        held[name] = None
        held.move_to_end(name)
        if len(held) > capacity:
            held.popitem(last=False)
    return hits


def hits_of_ours(trace, capacity):
    queues = S3Fifo(capacity)
    hits = 0
    for name in trace:
        entry = queues.get(name)
        if entry is not None:
            hits += 1
            entry.touch()
        else:
            add(queues, name)
    return hits


@pytest.mark.parametrize("scanned", [0.0, 0.25])
def test_it_finds_more_than_lru_does(scanned):
    drawn = random.Random(1)
    weights = list(accumulate(1 / rank**0.8 for rank in range(1, 2001)))
    names = [b"%d" % rank for rank in range(2000)]
    crawled = count()
    trace = [
        b"once %d" % next(crawled) if drawn.random() < scanned else name
        for name in drawn.choices(names, cum_weights=weights, k=20_000)
    ]

    assert hits_of_ours(trace, 100) > 1.3 * hits_of_lru(trace, 100)
