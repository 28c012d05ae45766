"""Round robin gives each server its share, evenly spread."""

from __future__ import annotations

import pytest

from proxykit.balancing.round_robin import RoundRobin
from tests.balancing.servers import REQUESTS, counts, is_within_two_percent, make_servers


def picks(servers, count, balancer=None):
    balancer = balancer or RoundRobin()
    return "".join(balancer.pick(servers, None).name for _ in range(count))


def test_equal_servers_take_turns():
    assert picks(make_servers(1, 1, 1), 6) == "abcabc"


def test_weights_are_held_and_spread():
    assert picks(make_servers(5, 1, 1), 7) == "aabacaa"


@pytest.mark.parametrize("weights", [(1, 1), (1, 2, 3), (10, 1), (1,) * 10, (100, 300, 250, 1000)])
def test_shares_are_right(weights):
    servers = make_servers(*weights)

    assert is_within_two_percent(counts(RoundRobin(), servers, [None] * REQUESTS), servers)


def test_an_attempt_that_avoids_a_server_costs_the_others_no_turn():
    """A retry is picked from a tuple of its own; it must not begin the turns anew."""
    servers = make_servers(3, 2, 1, 1)
    balancer = RoundRobin()
    counted = dict.fromkeys("abcd", 0)
    for _ in range(REQUESTS // 4):
        server = balancer.pick(servers, None)
        counted[server.name] += 1
        if server.name == "d":
            others = tuple(each for each in servers if each is not server)
            counted[balancer.pick(others, None).name] += 1

    assert counted["d"] == pytest.approx(REQUESTS / 4 / 7, rel=0.02)
    assert counted["a"] / counted["b"] == pytest.approx(1.5, rel=0.05)
    assert counted["b"] / counted["c"] == pytest.approx(2, rel=0.05)


def test_credits_of_servers_that_are_gone_are_forgotten():
    balancer = RoundRobin()
    for _ in range(100):
        balancer.pick(make_servers(1, 2), None)

    assert len(balancer._credit) < 30
