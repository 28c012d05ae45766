"""The bandwidth filter: whose buckets an exchange goes by, and how many are remembered."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from proxykit.filters import bandwidth
from proxykit.filters.bandwidth import (
    AllBuckets,
    Bandwidth,
    BandwidthOptions,
    Buckets,
    parse_speed,
)
from proxykit.net.flow import Flow
from proxykit.net.pacing import Pacemaker
from tests.filters.exchanges import exchange

KIB = 1024


def build(**options):
    clock = Clock()
    limits = BandwidthOptions.model_validate(options).all_limits()
    return Bandwidth(AllBuckets(limits, Pacemaker(clock, clock.seconds)))


def user(name, *groups, client="192.0.2.1"):
    subject = exchange(client=client)
    subject.user = name
    subject.groups = frozenset(groups)
    return subject


def share_a_bucket(limit, one, other):
    return bool(set(limit.pace(one).download) & set(limit.pace(other).download))


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("2MiB/s", 2 * KIB * KIB),
        ("500kB/s", 500_000),
        ("1.5KiB/s", 1536),
        ("16Mbit/s", 2_000_000),
        ("64kbit/s", 8000),
        ("8bit/s", 1),
        ("100B/s", 100),
    ],
)
def test_speeds_are_read_in_bytes_and_in_bits(text, speed):
    assert parse_speed(text) == speed


@pytest.mark.parametrize(
    "text", ["2MiB", "fast", "-1B/s", "0B/s", "1bit/s", "2Mib/s", 100, 1.5, None, True, ["1B/s"]]
)
def test_what_is_no_speed_is_refused(text):
    with pytest.raises(ValueError, match="expected a speed"):
        parse_speed(text)


@given(st.text())
def test_no_text_breaks_the_parser(text):
    with contextlib.suppress(ValueError):
        assert parse_speed(text) >= 1


@pytest.mark.parametrize(
    ("key", "one", "other", "together"),
    [
        ("client", exchange(client="192.0.2.1"), exchange(client="192.0.2.2"), False),
        ("client", exchange(client="192.0.2.1"), exchange(client="::ffff:192.0.2.1"), True),
        ("client", exchange(client="2001:db8::1"), exchange(client="2001:db8::ff:2"), True),
        ("client", exchange(client="2001:db8::1"), exchange(client="2001:db8:0:1::1"), False),
        ("user", user("a", client="192.0.2.1"), user("a", client="192.0.2.2"), True),
        ("user", user("a"), user("b"), False),
        ("user", user("192.0.2.1"), exchange(client="192.0.2.1"), False),
        ("user", user("x" * 100 + "a"), user("x" * 100 + "b"), False),
        ("group", user("a", "g", "h"), user("b", "h", "i"), True),
        ("group", user("a", "g"), user("b", "h"), False),
        ("destination", exchange("/", "Host: a.example"), exchange("/", "Host: A.example."), True),
        ("destination", exchange("/", "Host: a.example"), exchange("/", "Host: b.example"), False),
        ("total", exchange(client="192.0.2.1"), user("a", client="192.0.2.9"), True),
    ],
)
def test_who_goes_by_one_bucket(key, one, other, together):
    assert share_a_bucket(build(key=key, rate="1MiB/s"), one, other) is together


def test_a_rate_is_for_both_directions_and_each_may_have_its_own():
    both = build(rate="1MiB/s").pace(exchange())
    assert both.download == both.upload

    apart = build(download="2MiB/s", upload="1MiB/s").pace(exchange())
    assert [bucket.rate for bucket in apart.download] == [2 * KIB * KIB]
    assert [bucket.rate for bucket in apart.upload] == [KIB * KIB]


def test_the_short_form_and_the_list_hold_together():
    limit = build(rate="1MiB/s", limits=[{"key": "total", "download": "3MiB/s"}])
    pacing = limit.pace(exchange())

    assert [bucket.rate for bucket in pacing.download] == [KIB * KIB, 3 * KIB * KIB]
    assert [bucket.rate for bucket in pacing.upload] == [KIB * KIB]


def test_who_is_in_no_group_has_no_limit_by_groups():
    assert build(key="group", rate="1MiB/s").pace(user("a")) is None


def test_full_buckets_that_nobody_uses_are_forgotten_and_no_others(monkeypatch):
    monkeypatch.setattr(bandwidth, "_FEW_BUCKETS", 8)
    clock = Clock()
    table = Buckets(1000.0, None, Pacemaker(clock, clock.seconds))
    spent, used = table.bucket("spent"), table.bucket("used")
    spent.tokens = -5000.0
    flow = Flow([used], lambda data: None, lambda hold: None)
    for number in range(500):
        table.bucket(str(number))

    assert len(table) <= 16
    assert table.bucket("spent") is spent
    assert table.bucket("used") is used
    flow.close()
    clock.advance(10)
    for number in range(500):
        table.bucket(str(number))
    assert table.bucket("used") is not used


def test_a_flood_of_clients_cannot_fill_the_memory(monkeypatch):
    monkeypatch.setattr(bandwidth, "_FEW_BUCKETS", 8)
    monkeypatch.setattr(bandwidth, "_MOST_BUCKETS", 64)
    clock = Clock()
    table = Buckets(1000.0, None, Pacemaker(clock, clock.seconds))
    used = table.bucket("used")
    flow = Flow([used], lambda data: None, lambda hold: None)
    for number in range(1000):
        table.bucket(str(number)).tokens = 0.0

    assert len(table) <= 128
    assert table.bucket("used") is used
    flow.close()
