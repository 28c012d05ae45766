"""The budget keeps retries from doubling an overload; the quantile says what is slow."""

from __future__ import annotations

from attrs import define

from proxykit.upstream.retries import Hedge, LatencyQuantile, RetryBudget, RetryPolicy


@define
class Traffic:
    """Requests and time, as a budget sees them."""

    requests: int = 0
    now: float = 100.0


def budget(traffic, share=0.2, floor=10.0):
    return RetryBudget(share, floor, lambda: traffic.requests, lambda: traffic.now)


def taken(budget, most=10_000):
    return next(n for n in range(most) if not budget.take())


def test_a_quiet_pool_has_what_ten_seconds_bring():
    assert taken(budget(Traffic())) == 100


def test_requests_earn_their_share_and_no_more():
    traffic = Traffic()
    tokens = budget(traffic, floor=0.0)
    assert taken(tokens) == 0

    traffic.now += 10
    traffic.requests += 1000

    assert taken(tokens) == 200
    assert tokens.refused == 2


def test_what_is_not_used_does_not_pile_up():
    traffic = Traffic()
    tokens = budget(traffic, floor=1.0)

    for _ in range(100):
        traffic.now += 10
        traffic.requests += 100
        tokens.take()

    assert taken(tokens) <= 10 * (1 + 0.2 * 10)


def test_retries_under_a_total_failure_stay_within_the_share():
    traffic = Traffic()
    tokens = budget(traffic, share=0.2, floor=1.0)
    retries = 0
    for _ in range(60):  # seconds, of 100 requests that all fail
        for _ in range(100):
            traffic.now += 0.01
            traffic.requests += 1
            retries += tokens.take()

    assert retries <= 6000 * 0.2 + 60 * 1 + 10


def test_retries_that_go_well_cost_nothing():
    tokens = budget(Traffic(), share=0.0, floor=0.1)
    for _ in range(100):
        assert tokens.take()
        tokens.give_back()

    assert taken(tokens) == 1


def test_no_budget_at_all():
    traffic = Traffic(requests=1000)
    assert taken(budget(traffic, 0.0, 0.0)) == 0


def test_a_quantile_is_known_once_there_are_enough_times():
    quantile = LatencyQuantile(0.95)
    hedge = Hedge(quantile=quantile)
    for milliseconds in range(31):
        quantile.add(milliseconds / 1000)
    assert hedge.delay is None

    for milliseconds in range(31, 100):
        quantile.add(milliseconds / 1000)

    assert hedge.delay == 0.094


def test_a_quantile_follows_the_latest_times():
    quantile = LatencyQuantile(0.5)
    for _ in range(512):
        quantile.add(1.0)
    assert quantile.value == 1.0
    for _ in range(512):
        quantile.add(2.0)

    assert quantile.value == 2.0


def test_an_attempt_has_a_timer_only_where_it_needs_one():
    assert not RetryPolicy(retries=2).is_timed
    assert not RetryPolicy(retries=0, attempt_seconds=1.0).is_timed
    assert RetryPolicy(retries=1, attempt_seconds=1.0).is_timed
    assert RetryPolicy(retries=0, deadline_seconds=1.0).is_timed
    assert RetryPolicy(retries=0, hedge=Hedge(0.1)).is_timed
