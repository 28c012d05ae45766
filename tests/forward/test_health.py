"""Whether a parent is passed over, and for how long."""

from __future__ import annotations

import pytest

from proxykit.forward.health import Health


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health(clock):
    return Health(clock)


def test_one_that_works_is_never_passed_over(health):
    health.begin()
    health.worked()

    assert health.wait == 0


def test_each_failure_in_a_row_doubles_the_time_up_to_a_minute(health, clock):
    waits = []
    for _ in range(8):
        health.begin()
        assert health.failed()
        waits.append(health.wait)
        clock.now += health.wait

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_exchanges_that_fail_together_are_one_failure(health):
    assert health.failed()
    assert not health.failed()

    assert health.wait == 1


def test_one_exchange_tries_it_and_the_others_pass_it_over_meanwhile(health, clock):
    health.failed()
    clock.now += 1
    assert health.wait == 0

    health.begin()
    assert health.wait > 0
    health.worked()
    assert health.wait == 0


def test_a_trial_that_tells_nothing_lets_another_one_try(health, clock):
    health.failed()
    clock.now += 1
    health.begin()
    health.given_up()
    assert health.wait == 0

    health.begin()
    clock.now += 60
    assert health.wait == 0
