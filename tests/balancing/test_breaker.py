"""A circuit breaker: closed, open, half-open, closed again."""

from __future__ import annotations

from twisted.internet.task import Clock

from proxykit.balancing.breaker import Breaker, BreakerSettings, BreakerState


class Circuit:
    """A breaker and what it told."""

    def __init__(self, **settings):
        self.clock = Clock()
        self.told = []
        self.breaker = Breaker(BreakerSettings(**settings), self.clock, self.changed)

    def changed(self, breaker):
        self.told.append((breaker.state.value, breaker.admits))

    def fail(self, times=1):
        for _ in range(times):
            self.breaker.failed()


def test_failures_in_a_row_open_it():
    circuit = Circuit(failures=3)
    circuit.fail(2)
    circuit.breaker.answered(0.1)
    circuit.fail(2)
    assert circuit.breaker.admits

    circuit.fail()

    assert circuit.told == [("open", False)]


def test_a_share_of_failures_opens_it_once_enough_is_known():
    circuit = Circuit(failures=0, failure_share=0.5, fewest=10)
    for _ in range(4):
        circuit.breaker.answered(0.1)
        circuit.fail()
    assert circuit.breaker.state is BreakerState.CLOSED

    circuit.breaker.answered(0.1)
    circuit.fail()

    assert circuit.breaker.state is BreakerState.OPEN


def test_a_new_window_forgets():
    circuit = Circuit(failures=0, failure_share=0.5, fewest=4, window=10)
    circuit.fail(3)
    circuit.clock.advance(10)
    circuit.fail(1)

    assert circuit.breaker.state is BreakerState.CLOSED


def test_half_open_admits_few_at_a_time_and_successes_close_it():
    circuit = Circuit(failures=1, open_seconds=5, trials=1, successes=2)
    circuit.fail()
    circuit.clock.advance(5)
    breaker = circuit.breaker
    assert breaker.state is BreakerState.HALF_OPEN
    for _ in range(2):
        assert breaker.admits
        breaker.began()
        assert not breaker.admits
        breaker.answered(0.1)
        breaker.ended()

    assert breaker.state is BreakerState.CLOSED
    assert circuit.told == [
        ("open", False),
        ("half-open", True),
        ("half-open", False),
        ("half-open", True),
        ("half-open", False),
        ("closed", True),
    ]


def test_a_failed_trial_opens_it_for_twice_as_long():
    circuit = Circuit(failures=1, open_seconds=5, open_most=15)
    circuit.fail()
    lengths = []
    for _ in range(3):
        began = circuit.clock.seconds()
        while circuit.breaker.state is BreakerState.OPEN:
            circuit.clock.advance(1)
        lengths.append(circuit.clock.seconds() - began)
        circuit.breaker.began()
        circuit.fail()
        circuit.breaker.ended()

    assert lengths == [5, 10, 15]


def test_a_trial_whose_client_left_makes_room_for_another():
    circuit = Circuit(failures=1, open_seconds=5)
    circuit.fail()
    circuit.clock.advance(5)
    circuit.breaker.began()

    circuit.breaker.ended()

    assert circuit.breaker.state is BreakerState.HALF_OPEN
    assert circuit.breaker.admits


def test_failures_of_what_began_before_it_opened_change_nothing():
    circuit = Circuit(failures=1, open_seconds=5)
    circuit.fail(3)

    assert circuit.told == [("open", False)]


def test_an_open_one_is_open_after_a_reload():
    before, after = Circuit(failures=1), Circuit(failures=1, open_seconds=5)
    before.fail()

    after.breaker.inherit(before.breaker)

    assert after.breaker.state is BreakerState.OPEN
    after.clock.advance(5)
    assert after.breaker.state is BreakerState.HALF_OPEN
    after.breaker.stop()
    assert after.clock.getDelayedCalls() == []
