"""What stores that share a Redis tell each other of their purges."""

from __future__ import annotations

import pytest

pytest.importorskip("hiredis")

from proxykit.caching.purging import EVERYTHING, Purged
from proxykit.caching.redis.purges import PurgeList


class Server:
    """The list in the server, as commands change and read it."""

    def __init__(self):
        self.entries = []

    def purge(self, purges, what):
        for name, _, *arguments in purges.note(what):
            if name == b"LPUSH":
                self.entries.insert(0, arguments[0])
            elif name == b"LTRIM":
                del self.entries[arguments[1] + 1 :]

    def read(self, purges):
        name, _, start, last = purges.reading()
        assert name == b"LRANGE"
        return self.entries[start : last + 1]


def purged(number):
    return Purged.of("key", b"n http://a/%d" % number, soft=bool(number % 2))


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def stores():
    return PurgeList(b"p"), PurgeList(b"p")


def test_each_hears_once_and_in_order_what_the_other_purged(server, stores):
    one, other = stores
    for each in stores:
        each.take(server.read(each))
    server.purge(one, purged(1))
    server.purge(other, purged(2))
    server.purge(one, purged(3))
    for _ in range(2):
        for each in stores:
            each.take(server.read(each))

    assert list(other.hear()) == [purged(1), purged(3)]
    assert list(one.hear()) == [purged(2)]
    assert list(one.hear()) == list(other.hear()) == []


def test_what_was_purged_before_anything_was_looked_up_concerns_nobody(server, stores):
    one, other = stores
    for number in range(100):
        server.purge(one, purged(number))
    other.take(server.read(other))
    assert list(other.hear()) == []


@pytest.mark.parametrize("count", [1, 15, 16, 17, 200])
@pytest.mark.parametrize("before", [0, 1, 100])
def test_who_missed_some_takes_everything_for_purged(server, stores, before, count):
    one, other = stores
    for number in range(before):
        server.purge(one, purged(number))
    other.take(server.read(other))
    for number in range(count):
        server.purge(one, purged(number))
    other.take(server.read(other))

    expected = [purged(number) for number in range(count)] if count < 16 else [EVERYTHING]
    assert list(other.hear()) == expected
    assert len(server.entries) <= 64


def test_a_list_that_the_server_lost_may_have_held_anything(server, stores):
    one, other = stores
    server.purge(one, purged(1))
    other.take(server.read(other))
    server.entries.clear()
    other.take(server.read(other))
    assert list(other.hear()) == [EVERYTHING]
    other.take(server.read(other))
    assert list(other.hear()) == []


@pytest.mark.parametrize("answer", [None, b"x", 7, [1, None], [b""], [b"x" * 16], [b"x" * 40]])
def test_what_somebody_else_wrote_there_hurts_nobody(stores, answer):
    one, _ = stores
    one.take([])
    one.take(answer)
    assert all(each == EVERYTHING for each in one.hear())


def test_what_is_not_heard_is_bounded(server, stores):
    one, other = stores
    other.take(server.read(other))
    for number in range(3000):
        server.purge(one, purged(number))
        other.take(server.read(other))
    assert len(other.hear()) <= 1024
