"""Peak EWMA picks who will answer soonest, and finds out about who is new or was slow."""

from __future__ import annotations

import random

import pytest

from proxykit.balancing.ewma import PeakEwma
from tests.balancing.servers import REQUESTS, counts, make_servers, passes_chi_square


def balancer(now=0.0, seed=1):
    return PeakEwma(random.Random(seed).random, lambda: now)


@pytest.mark.parametrize("weights", [(1,) * 10, (1, 2, 3)])
def test_shares_pass_the_chi_square_test_when_nothing_is_known(weights):
    servers = make_servers(*weights)

    assert passes_chi_square(counts(balancer(), servers, [None] * REQUESTS), servers)


def test_the_faster_of_two_is_picked():
    servers = make_servers(1, 1)
    servers[0].latency, servers[1].latency = 0.2, 0.1

    assert counts(balancer(), servers, [None] * 100) == {"b": 100}


def test_what_is_in_flight_counts_as_waiting():
    servers = make_servers(1, 1)
    servers[0].latency, servers[1].latency = 0.2, 0.1
    servers[1].active = 2  # 0.3 s until the third is answered

    assert counts(balancer(), servers, [None] * 100) == {"a": 100}


def test_a_greater_weight_bears_more():
    servers = make_servers(1, 4)
    servers[0].latency = servers[1].latency = 0.1
    servers[0].active, servers[1].active = 1, 3

    assert counts(balancer(), servers, [None] * 100) == {"b": 100}


def test_of_ten_servers_the_slow_one_gets_next_to_nothing():
    servers = make_servers(*[1] * 10)
    for server in servers:
        server.latency = 0.01
    servers[4].latency = 1.0

    assert counts(balancer(), servers, [None] * REQUESTS)["e"] == 0


def test_a_server_that_was_slow_is_tried_again_after_a_while():
    servers = make_servers(1, 1)
    servers[0].latency, servers[0].latency_at = 2.0, 0.0
    servers[1].latency, servers[1].latency_at = 0.1, 20.0
    assert counts(balancer(now=20.0), servers, [None] * 10) == {"b": 10}

    servers[1].latency_at = 40.0
    assert counts(balancer(now=40.0), servers, [None] * 10) == {"a": 10}


def test_a_new_server_is_asked_once_until_it_has_answered():
    servers = make_servers(1, 1)
    servers[0].latency = 0.1
    picker = balancer()

    first = picker.pick(servers, None)
    first.began()

    assert first.name == "b"
    assert counts(picker, servers, [None] * 10) == {"a": 10}
