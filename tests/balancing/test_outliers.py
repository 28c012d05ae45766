"""Outlier detection leaves out who does worse than the others, never more than a share."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from proxykit.balancing.outliers import Outliers, OutlierSettings


class Watched:
    """Some servers under outlier detection, by their names."""

    def __init__(self, names, **settings):
        self.clock = Clock()
        self.out = set()
        self.told = []
        self.outliers = Outliers(OutlierSettings(**settings), self.clock, self.changed)
        self.records = {name: self.outliers.add(name) for name in names}
        self.outliers.start()

    def changed(self, server, is_ejected, why):
        (self.out.add if is_ejected else self.out.discard)(server)
        self.told.append(f"{server} {why}")

    def exchanges(self, name, good=0, bad=0, seconds=0.01):
        for _ in range(good):
            self.records[name].answered(seconds)
        for _ in range(bad):
            self.records[name].failed()


def test_failures_in_a_row_eject():
    watched = Watched("abc", errors=3, error_share=None)
    watched.exchanges("a", bad=2)
    watched.exchanges("a", good=1)
    watched.exchanges("a", bad=2)
    assert watched.out == set()

    watched.exchanges("a", bad=1)

    assert watched.out == {"a"}
    assert watched.told == ["a 3 exchanges in a row failed; it is left out for 10 s"]


@pytest.mark.parametrize(
    ("servers", "share", "ejected"),
    [("a", 1.0, 0), ("ab", 0.5, 1), ("ab", 1.0, 1), ("abc", 0.5, 1), ("abcde", 0.6, 3)],
)
def test_never_more_than_a_share_and_never_all(servers, share, ejected):
    watched = Watched(servers, errors=1, most_ejected=share)
    for name in servers:
        watched.exchanges(name, bad=3)

    assert len(watched.out) == ejected


def test_a_server_is_out_longer_each_time_and_good_intervals_forgive():
    watched = Watched("ab", errors=1, eject_seconds=10, interval=100, eject_most=15)
    lengths = []
    for _ in range(3):
        watched.exchanges("a", bad=1)
        began = watched.clock.seconds()
        while watched.out:
            watched.clock.advance(1)
        lengths.append(watched.clock.seconds() - began)
    assert lengths == [10, 15, 15]

    watched.clock.pump([100] * 3)
    watched.exchanges("a", bad=1)
    watched.clock.advance(10)

    assert watched.out == set()


def test_a_share_of_failures_ejects_once_enough_is_known():
    watched = Watched("ab", errors=0, error_share=0.5, fewest=10, interval=10)
    for _ in range(4):
        watched.exchanges("a", good=1, bad=1)
    watched.clock.advance(10)
    assert watched.out == set(), "8 exchanges say nothing"

    for _ in range(5):
        watched.exchanges("a", good=1, bad=1)
        watched.exchanges("b", good=1)
    watched.clock.advance(10)

    assert watched.out == {"a"}


def test_a_server_that_is_slower_than_the_others_is_ejected():
    watched = Watched("abc", latency_factor=3.0, fewest=10)
    watched.exchanges("a", good=10, seconds=0.5)
    watched.exchanges("b", good=10, seconds=0.1)
    watched.exchanges("c", good=10, seconds=0.12)
    watched.clock.advance(10)

    assert watched.out == {"a"}


def test_differences_that_nobody_notices_eject_nobody():
    watched = Watched("ab", latency_factor=3.0, fewest=10)
    watched.exchanges("a", good=10, seconds=0.05)
    watched.exchanges("b", good=10, seconds=0.001)
    watched.clock.advance(10)

    assert watched.out == set()


def test_the_worst_are_ejected_first():
    watched = Watched("abcd", errors=0, fewest=10, most_ejected=0.25)
    watched.exchanges("a", good=5, bad=5)
    watched.exchanges("b", good=1, bad=9)
    watched.exchanges("c", good=10)
    watched.clock.advance(10)

    assert watched.out == {"b"}


def test_good_checks_bring_a_server_back_before_its_time():
    watched = Watched("ab", errors=1, eject_seconds=1000)
    needed = []
    for _ in range(3):
        watched.exchanges("a", bad=1)
        watched.outliers.checked(watched.records["a"], 2, good=True)
        watched.outliers.checked(watched.records["a"], 2, good=False)
        needed.append(0)
        while watched.out:
            watched.outliers.checked(watched.records["a"], 2, good=True)
            needed[-1] += 1

    assert needed == [2, 4, 4]


def test_what_was_known_is_kept_over_a_reload():
    before, after = Watched("ab", errors=1), Watched("ab", errors=1)
    before.exchanges("a", bad=1)

    for name in "ab":
        after.outliers.inherit(after.records[name], before.records[name])

    assert after.out == {"a"}


def test_nothing_is_left_to_wait_for_after_the_end():
    watched = Watched("ab", errors=1)
    watched.exchanges("a", bad=1)

    watched.outliers.stop()

    assert watched.clock.getDelayedCalls() == []
