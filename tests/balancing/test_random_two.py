"""Random two draws by weight and picks the less loaded of two."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.balancing.random_two import RandomTwo
from proxykit.balancing.weights import Weights
from tests.balancing.servers import REQUESTS, counts, make_servers, passes_chi_square


@pytest.mark.parametrize("weights", [(1, 1), (1,) * 10, (1, 2, 3), (100, 1), (3, 1, 1, 0.5)])
@pytest.mark.parametrize("seed", [1, 2])
def test_shares_pass_the_chi_square_test_when_nothing_is_in_flight(weights, seed):
    servers = make_servers(*weights)
    balancer = RandomTwo(random.Random(seed).random)

    assert passes_chi_square(counts(balancer, servers, [None] * REQUESTS), servers)


def test_the_second_is_drawn_by_weight_from_what_the_first_leaves():
    servers = make_servers(2, 1, 1, 4)
    servers[3].active = 100  # loses against each other, so that what is left shows
    balancer = RandomTwo(random.Random(3).random)
    counted = counts(balancer, servers, [None] * REQUESTS)

    assert counted["d"] == 0
    # First a, then anyone; or d first (1/2), then a (1/2); b and c alike, with 1/4 each of d's.
    expected = {"a": 1 / 4 + 1 / 4, "b": 1 / 8 + 1 / 8, "c": 1 / 8 + 1 / 8}
    for name, share in expected.items():
        assert counted[name] / REQUESTS == pytest.approx(share, abs=0.015)


def test_the_less_loaded_for_its_weight_wins():
    servers = make_servers(1, 4)
    servers[0].active, servers[1].active = 2, 7
    balancer = RandomTwo(random.Random(1).random)

    assert counts(balancer, servers, [None] * 100) == {"b": 100}


def test_what_is_in_flight_stays_even():
    servers = make_servers(*[1] * 10)
    balancer = RandomTwo(random.Random(1).random)
    for _ in range(1000):
        balancer.pick(servers, None).began()

    assert max(server.active for server in servers) - 100 <= 5


@settings(max_examples=200)
@given(
    st.lists(st.floats(0.001, 1000), min_size=2, max_size=12),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
)
def test_two_are_always_two(weights, first, second):
    drawn = iter((first, second))
    one, other = Weights(make_servers(*weights)).two(lambda: next(drawn))

    assert one is not other
