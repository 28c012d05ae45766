"""The peak average follows a slower answer at once and a faster one slowly, and fades."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.upstream.latency import after_failure, observed, remembered
from proxykit.upstream.server import PoolLimits, Server

SECONDS = st.floats(0, 1e4)


def test_a_slower_answer_counts_at_once():
    assert observed(0.1, 0.01, 3.0) == 3.0


def test_a_faster_answer_counts_by_and_by():
    after_one = observed(1.0, 0.1, 0.01)
    assert 0.98 < after_one < 1.0

    latency = 1.0
    for _ in range(600):
        latency = observed(latency, 0.1, 0.01)
    assert latency == pytest.approx(0.01, rel=0.5)


def test_it_fades_with_time_alone():
    assert remembered(1.0, 0) == 1.0
    assert remembered(1.0, 10) == pytest.approx(0.37, abs=0.01)


@given(SECONDS, SECONDS, SECONDS)
def test_it_lies_between_what_was_and_what_is(latency, elapsed, seconds):
    after = observed(latency, elapsed, seconds)

    assert after >= seconds * 0.999 or after <= latency * 1.001
    assert min(seconds, remembered(latency, elapsed)) * 0.999 <= after
    assert after <= max(seconds, latency) * 1.001


def test_a_failure_counts_for_more_than_any_answer_and_each_one_after_it_for_more_still():
    first = after_failure(0.0, 0)
    second = after_failure(first, 5)

    assert after_failure(0.02, 0) == first == 1.0
    assert after_failure(2.0, 0) == 20.0
    assert second > first
    assert after_failure(after_failure(second, 0), 0) == 60.0


def test_a_server_counts_what_is_in_flight_and_learns_from_what_answered():
    server = Server("a", None, PoolLimits(), None, None)
    server.began()
    server.began()
    assert server.active == 2
    server.ended(None)
    assert (server.active, server.latency) == (1, 0.0)
    server.ended(0.25)
    assert (server.active, server.latency) == (0, 0.25)
