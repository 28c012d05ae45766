"""Least connections picks the least loaded for its weight; those that are alike take turns."""

from __future__ import annotations

import random

import pytest

from proxykit.balancing.least_connections import LeastConnections
from tests.balancing.servers import REQUESTS, counts, is_within_two_percent, make_servers


@pytest.mark.parametrize("weights", [(1, 1), (1,) * 10, (1, 2, 3), (5, 1)])
def test_shares_are_right_when_nothing_is_in_flight(weights):
    servers = make_servers(*weights)

    assert is_within_two_percent(counts(LeastConnections(), servers, [None] * REQUESTS), servers)


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 4)])
def test_what_is_in_flight_is_spread_by_weight(weights):
    servers = make_servers(*weights)
    balancer = LeastConnections()
    for _ in range(70):
        balancer.pick(servers, None).began()

    total = sum(weights)
    for server, weight in zip(servers, weights, strict=True):
        assert abs(server.active - 70 * weight / total) <= 1


def test_a_slow_server_is_given_less():
    """Exchanges end at random on two servers; on the third none does."""
    draw = random.Random(1)
    servers = make_servers(1, 1, 1)
    balancer = LeastConnections()
    for _ in range(300):
        balancer.pick(servers, None).began()
        busy = [server for server in servers[:2] if server.active > 1]
        if busy:
            draw.choice(busy).ended(None)

    assert servers[2].active <= min(servers[0].active, servers[1].active) + 1


def test_the_least_loaded_is_picked_whatever_its_place():
    servers = make_servers(1, 2, 1)
    for server, active in zip(servers, (3, 5, 2), strict=True):
        server.active = active

    assert LeastConnections().pick(servers, None).name == "c"
