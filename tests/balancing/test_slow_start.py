"""Slow start: who comes back gets its share little by little."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from proxykit.balancing.least_connections import LeastConnections
from proxykit.balancing.round_robin import RoundRobin
from proxykit.balancing.slow_start import SlowStart
from tests.balancing.servers import counts, make_servers, pool_of, set_usable


class Chosen:
    """A pool as ``counts`` asks a balancer."""

    def __init__(self, pool):
        self._pool = pool

    def pick(self, servers, exchange):
        return self._pool.choose(exchange)


@pytest.fixture
def clock():
    return Clock()


def make_pool(clock, *weights, balancer=None, seconds=10.0):
    servers = make_servers(*weights)
    pool = pool_of(servers, balancer or RoundRobin(), slow_start=SlowStart(clock, seconds))
    return pool, servers


def come_back(pool, server):
    set_usable(pool, server, False)
    set_usable(pool, server, True)


def test_servers_that_are_there_from_the_beginning_are_warm(clock):
    _, servers = make_pool(clock, 1, 3)

    assert [server.effective_weight for server in servers] == [1, 3]
    assert not clock.getDelayedCalls()


def test_the_effective_weight_rises_linearly_to_the_whole(clock):
    pool, servers = make_pool(clock, 1, 4)
    come_back(pool, servers[1])

    seen = [servers[1].effective_weight]
    for _ in range(20):
        clock.advance(0.5)
        seen.append(servers[1].effective_weight)

    assert seen == pytest.approx([0.2, *[0.2 * step for step in range(1, 21)]])
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize("balancer", [RoundRobin, LeastConnections])
def test_balancers_go_by_it_at_each_step(clock, balancer):
    pool, servers = make_pool(clock, 1, 1, balancer=balancer())
    come_back(pool, servers[1])
    shares = []
    for _ in range(3):
        shares.append(counts(Chosen(pool), servers, [None] * 1000)["b"] / 1000)
        clock.pump([0.5] * 10)

    assert shares == pytest.approx([0.05 / 1.05, 0.5 / 1.5, 0.5], abs=0.01)


def test_a_server_that_is_filled_again_after_it_was_drained_is_warmed(clock):
    pool, servers = make_pool(clock, 1, 1)
    pool.set_weight("b", 0)
    pool.set_weight("b", 2)

    assert servers[1].effective_weight == pytest.approx(0.1)


def test_a_weight_that_changes_meanwhile_is_the_one_that_is_reached(clock):
    pool, servers = make_pool(clock, 1, 1)
    come_back(pool, servers[1])
    clock.pump([0.5] * 10)
    pool.set_weight("b", 10)

    assert servers[1].effective_weight == pytest.approx(5)
    clock.pump([0.5] * 10)
    assert servers[1].effective_weight == 10


def test_a_server_that_fails_while_it_is_warmed_begins_anew(clock):
    pool, servers = make_pool(clock, 1, 1)
    come_back(pool, servers[1])
    clock.pump([0.5] * 10)
    come_back(pool, servers[1])

    assert servers[1].effective_weight == pytest.approx(0.05)
    clock.pump([0.5] * 20)
    assert servers[1].effective_weight == 1


def test_no_timer_is_left_when_the_pool_retires(clock):
    pool, servers = make_pool(clock, 1, 1)
    come_back(pool, servers[1])
    assert clock.getDelayedCalls()

    pool.retire()

    assert not clock.getDelayedCalls()
