"""A pool gives the balancer who is usable, backups last, and weights as they are now."""

from __future__ import annotations

import pytest

from proxykit.balancing.consistent_hash import ConsistentHash
from proxykit.balancing.ewma import PeakEwma
from proxykit.balancing.hash_key import compiled_key
from proxykit.balancing.least_connections import LeastConnections
from proxykit.balancing.random_two import RandomTwo
from proxykit.balancing.round_robin import RoundRobin
from proxykit.balancing.sticky import CookieAttributes, StickyCookie
from proxykit.errors import Unavailable
from proxykit.message.response import Response
from proxykit.reverse.pool import StickyPool
from tests.balancing.servers import make_exchange, make_servers, pool_of, set_usable

BALANCERS = [
    RoundRobin,
    LeastConnections,
    RandomTwo,
    PeakEwma,
    lambda: ConsistentHash(compiled_key("client")),
]
CLIENTS = [make_exchange(client=f"10.0.0.{n}") for n in range(200)]


class Recorder:
    """A balancer that remembers what it was given."""

    def __init__(self):
        self.given = []

    def pick(self, servers, exchange):
        self.given.append(servers)
        return servers[0]


def shares(pool):
    chosen = [pool.choose(exchange).name for exchange in CLIENTS]
    return {name: chosen.count(name) / len(chosen) for name in set(chosen)}


def test_the_balancer_sees_the_same_tuple_until_something_changes():
    recorder = Recorder()
    pool = pool_of(make_servers(1, 1), recorder)
    pool.choose(CLIENTS[0])
    pool.refresh()
    pool.choose(CLIENTS[0])
    pool.set_weight("b", 2)
    pool.choose(CLIENTS[0])

    one, two, three = recorder.given
    assert one is two
    assert three is not two


@pytest.mark.parametrize("balancer", BALANCERS)
def test_a_weight_counts_from_the_next_exchange_on(balancer):
    pool = pool_of(make_servers(1, 1), balancer())
    assert shares(pool)["b"] == pytest.approx(0.5, abs=0.15)

    pool.set_weight("b", 9)
    assert shares(pool)["b"] == pytest.approx(0.9, abs=0.09)

    pool.set_weight("b", 0)
    assert shares(pool) == {"a": 1.0}


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf")])
def test_what_is_no_weight_is_refused(weight):
    with pytest.raises(ValueError, match="not a weight"):
        pool_of(make_servers(1), RoundRobin()).set_weight("a", weight)


def test_the_weight_of_a_server_that_is_not_there_cannot_be_set():
    with pytest.raises(LookupError, match="no server z"):
        pool_of(make_servers(1), RoundRobin()).set_weight("z", 1)


def test_backups_serve_when_no_other_can_and_only_then():
    servers = make_servers(1, 1, 1, 1)
    servers[1].backup = servers[3].backup = True
    pool = pool_of(servers, RoundRobin())
    assert set(shares(pool)) == {"a", "c"}

    set_usable(pool, servers[0], False)
    assert set(shares(pool)) == {"c"}

    pool.set_weight("c", 0)
    assert set(shares(pool)) == {"b", "d"}

    set_usable(pool, servers[0], True)
    assert set(shares(pool)) == {"a"}


def test_without_a_usable_server_there_is_an_error():
    pool = pool_of(make_servers(1, 1), RoundRobin())
    pool.set_weight("a", 0)
    pool.set_weight("b", 0)

    with pytest.raises(Unavailable):
        pool.choose(CLIENTS[0])


# --- sticky -----------------------------------------------------------------------------------


def bound_to(pool, name):
    """Give an exchange of a client that a server has answered before."""
    earlier = make_exchange()
    earlier.upstream = name
    earlier.responded = 1.0
    response = Response(200)
    pool.sticky.response(earlier, response)
    cookie = response.headers.get(b"set-cookie").decode().split(";")[0]
    return make_exchange(cookie=cookie)


@pytest.fixture
def servers():
    return make_servers(1, 1, 1)


@pytest.fixture
def pool(servers):
    pool = pool_of(servers, RoundRobin(), StickyPool)
    pool.bind(StickyCookie("srv", b"s" * 32, CookieAttributes()))
    return pool


def chosen(pool, exchange):
    return {pool.choose(exchange).name for _ in range(6)}


def test_a_client_stays_with_its_server_and_others_take_turns(pool):
    assert chosen(pool, bound_to(pool, "b")) == {"b"}
    assert chosen(pool, make_exchange()) == {"a", "b", "c"}


def test_a_client_is_served_by_another_while_its_server_is_not_usable(pool, servers):
    exchange = bound_to(pool, "b")
    set_usable(pool, servers[1], False)
    assert chosen(pool, exchange) == {"a", "c"}

    set_usable(pool, servers[1], True)
    assert chosen(pool, exchange) == {"b"}


def test_a_drained_server_keeps_its_clients_and_gets_no_others(pool):
    pool.set_weight("b", 0)

    assert chosen(pool, bound_to(pool, "b")) == {"b"}
    assert chosen(pool, make_exchange()) == {"a", "c"}


def test_a_client_stays_with_the_backup_that_it_came_to(pool, servers):
    servers[1].backup = True
    pool.refresh()

    assert chosen(pool, bound_to(pool, "b")) == {"b"}
    assert chosen(pool, make_exchange()) == {"a", "c"}
