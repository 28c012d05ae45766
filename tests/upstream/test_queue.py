"""The queue for a server's connections is bounded, and fair between clients."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.upstream.queue import FairQueue


def filled(text):
    queue = FairQueue(100)
    for number, key in enumerate(text):
        queue.append(key, f"{key}{number}")
    return queue


def drained(queue):
    return [queue.popleft() for _ in range(len(queue))]


def test_one_key_is_served_in_the_order_of_arrival():
    assert drained(filled("aaa")) == ["a0", "a1", "a2"]


def test_keys_take_turns_whoever_asked_more():
    assert drained(filled("aaaab")) == ["a0", "b4", "a1", "a2", "a3"]


def test_an_item_that_waits_no_longer_is_taken_out():
    queue = filled("aab")
    queue.remove("a", "a0")
    queue.remove("a", "a0")
    queue.remove("x", "x9")

    assert drained(queue) == ["a1", "b2"]
    with pytest.raises(IndexError):
        queue.popleft()


def test_room_is_made_by_the_newest_of_who_has_most():
    queue = filled("aaab")

    assert queue.make_room("b") == "a2"
    assert queue.make_room("b") is None, "both would have two"
    assert drained(queue) == ["a0", "b3", "a1"]


def test_no_room_is_made_for_who_has_most():
    assert filled("aab").make_room("a") is None
    assert FairQueue(0).make_room("a") is None


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_each_key_keeps_its_order_and_none_is_served_twice_before_another_that_waits(keys):
    queue = filled(keys)
    assert sorted(queue) == sorted(f"{key}{n}" for n, key in enumerate(keys))
    left = Counter(keys)
    served = drained(queue)

    assert len(served) == len(keys)
    for key in set(keys):
        numbers = [int(item[1:]) for item in served if item[0] == key]
        assert numbers == sorted(numbers)
    turn = set()
    for item in served:
        key = item[0]
        if key in turn:
            assert not {other for other in left if left[other] and other not in turn}
            turn = set()
        turn.add(key)
        left[key] -= 1
