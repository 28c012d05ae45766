"""Parts of a whole: how they are joined, and what of an answer they lack."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from proxykit.caching.answering import Asked
from proxykit.caching.arriving import Arriving
from proxykit.caching.directives import NO_DIRECTIVES
from proxykit.caching.gaps import Parts
from proxykit.caching.memory import MemoryStore
from proxykit.caching.partial import Combiner
from proxykit.caching.policy import RequestFacts, Terms
from proxykit.caching.ranges import Span, parse_range
from proxykit.caching.rules import PLAIN_RULES
from proxykit.caching.stored import StoredHead
from proxykit.message.fields import FieldSection

MIB = 1024 * 1024


def head(start, stop, complete, tag=b'"1"', at=1000.0, fields=()):
    whole = (start, stop) == (0, complete)
    return StoredHead(
        200,
        b"OK",
        1,
        FieldSection(((b"ETag", tag), *fields)),
        at,
        0.0,
        Terms(60.0),
        span=None if whole else Span(start, stop),
        complete=complete,
    )


class LaterBody:
    """Content of another store, each piece a turn later."""

    def __init__(self, body, store):
        self._body, self._store = body, store
        self.whole = None

    @property
    def size(self):
        return self._body.size

    def read(self, offset, most):
        piece = self._body.read(offset, most)
        self._store.read += len(piece)
        deferred = Deferred()
        self._store.turns.append(lambda: deferred.callback(piece))
        return deferred

    def file_region(self):
        return None


class LaterStore(MemoryStore):
    """A store that answers nothing at once.

    :ivar read: how many bytes were read.
    """

    at_once = False

    def __init__(self, size):
        super().__init__(size)
        self.turns, self.read = [], 0

    def lookup(self, key):
        found = tuple(super().lookup(key))
        for each in found:
            if not isinstance(each.body, LaterBody):
                each.body = LaterBody(each.body, self)
        deferred = Deferred()
        self.turns.append(lambda: deferred.callback(found))
        return deferred

    def found(self, key):
        return super().lookup(key)

    def turn(self):
        while self.turns:
            self.turns.pop(0)()


class Combining:
    """A combiner and its store."""

    def __init__(self, store, limit=100 * MIB):
        self.store = store
        self.clock = Clock()
        self.combiner = Combiner(store, self.clock, limit)

    def put(self, start, content, complete, **more):
        writer = self.store.begin(b"k", len(content))
        writer.write(content)
        new = head(start, start + len(content), complete, **more)
        self.combiner.put(
            b"k", new, writer, lambda writer, head, replaces: writer.commit(head, replaces)
        )

    def settle(self):
        if isinstance(self.store, LaterStore):
            self.store.turn()
            while self.clock.getDelayedCalls():
                self.clock.advance(1)
                self.store.turn()

    def found(self):
        self.settle()
        look = self.store.found if isinstance(self.store, LaterStore) else self.store.lookup
        return look(b"k")

    def contents(self):
        """Give the parts by where they begin."""
        shown = {}
        for each in self.found():
            body = each.body._body if isinstance(each.body, LaterBody) else each.body
            content = b""
            while len(content) < body.size:
                content += body.read(len(content), MIB)
            shown[each.head.span.start if each.head.span else 0] = content
        return shown


@pytest.fixture(params=[MemoryStore, LaterStore])
def combining(request):
    return Combining(request.param(100 * MIB))


def test_parts_that_touch_or_overlap_are_one_and_others_stay_beside(combining):
    digits = b"0123456789"
    for start, stop in ((0, 2), (5, 7), (8, 9), (1, 4)):
        combining.put(start, digits[start:stop], 10)
    assert combining.contents() == {0: b"0123", 5: b"56", 8: b"8"}

    combining.put(3, digits[3:6], 10)
    assert combining.contents() == {0: b"0123456", 8: b"8"}
    combining.put(7, digits[7:8], 10)
    combining.put(9, digits[9:10], 10)
    assert combining.contents() == {0: digits}
    assert combining.found()[0].head.span is None
    combining.put(3, digits[3:6], 10)  # it has nothing that the whole has not
    assert combining.contents() == {0: digits}


def test_parts_that_come_at_the_same_time_are_all_joined(combining):
    content = random.Random(1).randbytes(3000)
    starts = list(range(0, 3000, 100))
    random.Random(2).shuffle(starts)
    for start in starts:
        combining.put(start, content[start : start + 100], 3000)
    assert combining.contents() == {0: content}
    assert not combining.combiner._locks


def test_parts_of_another_version_make_way(combining):
    combining.put(0, b"01", 10)
    combining.put(4, b"45", 10)
    combining.put(2, b"cd", 10, tag=b'"2"')
    assert combining.contents() == {2: b"cd"}


def test_the_newest_fields_count_and_the_time_is_the_newest_ones(combining):
    combining.put(2, b"23", 10, at=2000.0, fields=((b"X", b"new"),))
    combining.put(0, b"01", 10, at=1000.0, fields=((b"X", b"old"), (b"Y", b"y")))
    (found,) = combining.found()
    assert found.head.responded_at == 2000
    assert dict(found.head.section.fields) == {b"X": b"new", b"Y": b"y", b"ETag": b'"1"'}


def test_what_is_too_large_together_stays_apart():
    combining = Combining(MemoryStore(100 * MIB), limit=5)
    combining.put(0, b"012", 20)
    combining.put(3, b"345", 20)
    combining.put(6, b"67", 20)
    assert combining.contents() == {0: b"012", 3: b"34567"}


@pytest.mark.parametrize("order", [1, -1])
def test_a_large_part_is_not_copied_again_for_each_small_one(order):
    store = LaterStore(400 * MIB)
    combining = Combining(store)
    count, size = 100, MIB // 2
    for index in range(count)[::order]:
        combining.put(index * size, bytes([index]) * size, 1000 * MIB)
        combining.settle()
        assert len(combining.found()) < 8

    total = count * size
    assert store.read < 12 * total  # not the 50 that it would be
    assert sum(each.body.size for each in combining.found()) == total


def test_a_part_stays_when_there_is_no_room_for_it_and_others_together(combining):
    store = combining.store
    store.size = 4 * MIB
    combining.put(0, b"x" * MIB, 10 * MIB)
    combining.put(MIB, b"y" * MIB, 10 * MIB)
    combining.settle()
    assert {start: len(content) for start, content in combining.contents().items()} in (
        {0: MIB, MIB: MIB},
        {0: 2 * MIB},
    )
    assert store._writing == 0


# --- gaps -------------------------------------------------------------------------------------


def asked_for(value=None, **values):
    named = {name.replace("_", "-").encode(): each for name, each in values.items()}
    if value is not None:
        named[b"range"] = value
    return Asked(
        b"k", PLAIN_RULES, named, NO_DIRECTIVES, RequestFacts(b"GET", named), parse_range(value)
    )


def stored_parts(*spans, complete=20, **more):
    store = MemoryStore(MIB)
    for start, stop in spans:
        writer = store.begin(b"k", stop - start)
        writer.write(bytes(range(start, stop)))
        writer.commit(head(start, stop, complete, **more), lambda other: False)
    return store.lookup(b"k")


spans = st.tuples(st.integers(0, 18), st.integers(1, 12)).map(
    lambda pair: (pair[0], min(pair[0] + pair[1], 19 if pair[0] == 0 else 20))
)


@given(st.lists(spans, max_size=5), st.tuples(st.integers(0, 19), st.integers(0, 19)).map(sorted))
def test_parts_and_what_fills_their_gap_are_what_was_asked_for(found, wanted):
    first, last = wanted
    parts = Parts.of(asked_for(b"bytes=%d-%d" % (first, last)), stored_parts(*found))
    there = {byte for start, stop in found for byte in range(start, stop)}
    missing = [byte for byte in range(first, last + 1) if byte not in there]

    if parts is None:
        # Then nothing would be saved: both ends are missing.
        assert not found or {first, last} <= set(missing)
        return
    assert parts.wanted == Span(first, last + 1)
    if not missing:
        assert parts.gap is None
        joined, body = parts.head(), parts.body()
    else:
        assert parts.gap == Span(missing[0], missing[-1] + 1)
        filler = head(parts.gap.start, parts.gap.stop, 20)
        assert parts.is_filled_by(filler)
        assert not parts.is_filled_by(head(parts.gap.start, parts.gap.stop, 20, b'"2"'))
        assert not parts.is_filled_by(head(parts.gap.start, parts.gap.stop, 21))
        assert not parts.is_filled_by(head(parts.gap.start, parts.gap.stop + 1, 22))
        arriving = Arriving()
        joined, body = parts.filled(filler, arriving)
        assert body.read(parts.gap.start - first, 9) == b""  # it is still to come
        assert not body.is_complete
        arriving.add(bytes(range(parts.gap.start, parts.gap.stop)), 0)
        arriving.is_complete = True
    assert body.is_complete
    content = b""
    while len(content) < body.size:
        piece = body.read(len(content), 3)
        assert piece
        content += piece
    assert content == bytes(range(first, last + 1))
    assert joined.span in (None, parts.wanted)


@pytest.mark.parametrize(
    ("value", "more"),
    [
        (b"bytes=0-1,4-5", {}),  # several ranges
        (b"bytes=30-", {}),  # there is none such
        (None, {"tag": b'W/"1"'}),
        (None, {"tag": b"none"}),
    ],
)
def test_what_is_not_answered_out_of_parts(value, more):
    assert Parts.of(asked_for(value), stored_parts((0, 9), **more)) is None


def test_a_condition_that_fails_makes_it_the_whole_that_is_wanted():
    found = stored_parts((0, 9))
    assert Parts.of(asked_for(b"bytes=4-5", if_range=b'"1"'), found).gap is None
    assert Parts.of(asked_for(b"bytes=4-5", if_range=b'"2"'), found).gap == Span(9, 20)


def test_what_is_asked_for_is_the_gap_if_the_rest_is_the_same():
    parts = Parts.of(asked_for(b"bytes=0-12"), stored_parts((0, 5)))
    assert parts.conditions() == [(b"Range", b"bytes=5-12"), (b"If-Range", b'"1"')]
    parts = Parts.of(asked_for(), stored_parts((0, 5)))
    assert parts.conditions() == [(b"Range", b"bytes=5-"), (b"If-Range", b'"1"')]
