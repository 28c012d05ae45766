"""When servers are checked, and what a row of good and bad checks means."""

from __future__ import annotations

from itertools import pairwise

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from proxykit.balancing.health import Health, HealthSettings, HealthWatch, RiseAndFall
from proxykit.errors import UpstreamError


def states(checks, rise=2, fall=3):
    watched = RiseAndFall(rise, fall)
    letters = ""
    for check in checks:
        watched.checked(good=check == "+")
        letters += watched.health.value[0] + ("?" if watched.is_in_doubt else "")
    return letters


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ("+", "u"),
        ("-", "d"),
        ("+--+", "uu?u?u"),
        ("+---", "uu?u?d"),
        ("+--+--", "uu?u?uu?u?"),
        ("-+-++", "dd?dd?u"),
        ("-++---", "dd?uu?u?d"),
    ],
)
def test_rise_and_fall(checks, expected):
    assert states(checks) == expected


class Watch:
    """A health watch whose checks a test answers."""

    def __init__(self, **settings):
        self.clock = Clock()
        self.checks = []
        self.told = []
        self.cancelled = 0
        fixed = {"interval": 10, "fast_interval": 1, "jitter": 0, "timeout": 2} | settings
        self.watch = HealthWatch(
            HealthSettings(**fixed),
            self.check,
            self.clock,
            lambda health, why: self.told.append((health, why)),
        )
        self.watch.start()

    def check(self):
        self.checks.append((self.clock.seconds(), Deferred(self.cancel)))
        return self.checks[-1][1]

    def cancel(self, _):
        self.cancelled += 1

    def answer(self, *, good=True):
        result = self.checks[-1][1]
        if good:
            result.callback(None)
        else:
            result.errback(UpstreamError("it is ill"))

    def times(self):
        return [seconds for seconds, _ in self.checks]


def test_the_first_check_is_made_at_once_and_settles_the_state():
    watch = Watch()
    assert watch.times() == [0]
    assert watch.watch.state.health is Health.UNKNOWN

    watch.answer(good=False)

    assert watch.told == [(Health.DOWN, "it is ill")]


def test_checks_that_contradict_the_state_come_fast_until_it_is_settled():
    watch = Watch(fall=2, rise=2)
    watch.answer()
    watch.clock.advance(10)
    watch.answer(good=False)
    watch.clock.advance(1)
    watch.answer(good=False)
    assert [health for health, _ in watch.told] == [Health.UP, Health.DOWN]
    watch.clock.advance(10)
    watch.answer()
    watch.clock.advance(1)
    watch.answer()

    assert watch.times() == [0, 10, 11, 21, 22]
    assert [health for health, _ in watch.told] == [Health.UP, Health.DOWN, Health.UP]


def test_a_check_that_takes_long_is_given_up_and_bad():
    watch = Watch()
    watch.clock.advance(2)

    assert watch.cancelled == 1
    assert watch.told == [(Health.DOWN, "no answer in 2 s")]


def test_a_failed_exchange_brings_the_next_check_forward_and_never_puts_it_off():
    watch = Watch()
    watch.answer()
    watch.clock.advance(5)
    watch.watch.hurry()
    watch.clock.advance(0.9)
    watch.watch.hurry()
    watch.clock.advance(0.1)

    assert watch.times() == [0, 6]


def test_a_server_that_is_down_is_checked_fast_only_when_it_is_sorely_needed():
    watch = Watch()
    watch.answer(good=False)
    watch.watch.hurry()
    watch.clock.advance(5)
    assert watch.times() == [0]

    watch.watch.press(True)
    watch.clock.advance(1)
    watch.answer(good=False)
    watch.clock.advance(1)
    watch.answer(good=False)
    watch.watch.press(False)
    watch.clock.advance(1)
    watch.answer(good=False)
    watch.clock.advance(9)

    assert watch.times() == [0, 6, 7, 8]


def test_waits_are_left_to_chance_within_the_jitter():
    clock = Clock()
    settings = HealthSettings(interval=10, jitter=0.2)
    times = []

    def check():
        times.append(clock.seconds())
        return succeed(None)

    watch = HealthWatch(settings, check, clock, lambda health, why: None)
    watch.start()
    clock.pump([0.1] * 2000)
    waits = [b - a for a, b in pairwise(times)]

    assert min(waits) >= 7.9
    assert max(waits) <= 12.2
    assert len({round(wait, 2) for wait in waits}) > 3
    watch.stop()


@pytest.mark.parametrize("answered", [False, True])
def test_nothing_is_left_to_wait_for_after_the_end(answered):
    watch = Watch()
    if answered:
        watch.answer()

    watch.watch.stop()

    assert watch.clock.getDelayedCalls() == []
    assert watch.cancelled == (not answered)
    assert watch.told == ([(Health.UP, "its check is good")] if answered else [])
