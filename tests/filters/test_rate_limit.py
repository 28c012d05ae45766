"""The rate-limit filter: who is counted with whom, when, and what a flood of keys can do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from proxykit.filters.rate_limit import Buckets, RateLimitFactory, RateLimitOptions, parse_rate
from tests.filters.exchanges import exchange


def build(**options):
    return RateLimitFactory().build(RateLimitOptions.model_validate(options), None)


def status(limit, subject=None, at=0.0):
    subject = subject or exchange()
    subject.started = at
    answer = limit.request(subject)
    return None if answer is None else answer.status


def test_a_burst_passes_then_the_rate():
    limit = build(rate="2/s", burst=3)

    assert [status(limit) for _ in range(5)] == [None, None, None, 429, 429]
    assert status(limit, at=0.4) == 429
    assert status(limit, at=0.5) is None
    assert status(limit, at=0.5) == 429
    assert [status(limit, at=100.0) for _ in range(4)] == [None, None, None, 429]


def test_the_burst_is_the_rates_number_if_not_said():
    limit = build(rate="4/m")

    assert [status(limit) for _ in range(5)] == [None] * 4 + [429]
    assert status(limit, at=15.0) is None


def test_who_asks_too_much_is_told_when_to_come_back():
    limit = build(rate="6/m", burst=1)
    status(limit)
    subject = exchange()

    answer = limit.request(subject)

    assert answer.headers.get(b"retry-after") == b"10"
    assert b"http_request_denied" in answer.headers.get(b"proxy-status")
    assert "6/m" in subject.detail


def test_a_request_that_was_refused_costs_nothing():
    limit = build(rate="1/s", burst=1)
    status(limit)
    for _ in range(100):
        assert status(limit, at=0.9) == 429

    assert status(limit, at=1.0) is None


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("", "", True),
    ],
)
def test_clients(first, second, together):
    limit = build(rate="1/h")
    assert status(limit, exchange(client=first)) is None

    assert status(limit, exchange(client=second)) == (429 if together else None)


def test_users_are_counted_apart_and_those_without_a_name_by_address():
    limit = build(rate="1/h", key="user")

    def asked(user, client="192.0.2.1"):
        subject = exchange(client=client)
        subject.user = user
        return status(limit, subject)

    assert [asked("a"), asked("b"), asked("a", "192.0.2.9")] == [None, None, 429]
    assert [asked(""), asked("", "192.0.2.2"), asked("")] == [None, None, 429]
    assert asked("192.0.2.3") is None
    assert asked("", "192.0.2.3") is None


def test_a_field_may_say_who_is_counted():
    limit = build(rate="1/h", key="header:X-Key")

    asked = [status(limit, exchange("/", f"X-Key: {key}")) for key in ("a", "b", "a", "c" * 999)]
    assert asked == [None, None, 429, None]
    assert status(limit, exchange("/", "X-Key: " + "c" * 999)) == 429
    assert status(limit) is None


def test_a_route_may_be_counted_as_a_whole():
    limit = build(rate="1/h", key="route")

    assert [status(limit), status(limit, exchange(client="192.0.2.9"))] == [None, 429]


def test_a_flood_of_addresses_neither_fills_the_memory_nor_frees_who_is_limited():
    buckets = Buckets(parse_rate("1/s"), burst=5, size=160)
    for _ in range(20):
        buckets.take("greedy", 0.0)

    for number in range(5000):
        assert buckets.take(f"made up {number}", 0.0) == 0.0

    assert len(buckets) <= 160
    assert buckets.take("greedy", 0.0) > 0
    assert buckets.take("a newcomer", 0.0) == 0.0


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 5), st.integers(1, 9))
def test_no_more_than_burst_and_rate_pass_in_any_time(gaps, burst, count):
    buckets = Buckets(parse_rate(f"{count}/s"), burst, 16)
    now, passed = 0.0, []
    for gap in gaps:
        now += gap
        wait = buckets.take("a", now)
        if not wait:
            passed.append(now)
        else:
            # Nobody is told to wait for longer than is needed.
            assert 0 < wait <= 1 / count + 1e-3
    for index, begin in enumerate(passed):
        for more, end in enumerate(passed[index:], 1):
            assert more <= burst + (end - begin) * count + 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rate": "100"},
        {"rate": "0/s"},
        {"rate": "1.5/s"},
        {"rate": "1/w"},
        {"rate": 100},
        {"rate": "1/s", "burst": 0},
        {"rate": "1/s", "key": "cookie"},
        {"rate": "1/s", "key": "header:"},
        {"rate": "1/s", "key": "header:a b"},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(ValidationError):
        RateLimitOptions.model_validate(options)
