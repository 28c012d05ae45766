"""Consistent hashing: the same server for the same key, and as few keys moved as can be."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.balancing.consistent_hash import ConsistentHash
from proxykit.balancing.hash_key import compiled_key
from proxykit.balancing.slot_table import SLOTS, SlotTable
from tests.balancing.servers import REQUESTS, counts, make_exchange, make_servers

CLIENTS = [make_exchange(client=f"10.0.{n >> 8}.{n & 255}") for n in range(REQUESTS)]
PAGES = [make_exchange(target=b"/shop/item/%d?page=2" % n) for n in range(REQUESTS)]
USERS = [make_exchange(x_user=f"user-{n}@example.com") for n in range(REQUESTS)]
VISITS = [make_exchange(cookie=f"a=b; session={n * 7919:x}; c=d") for n in range(REQUESTS)]

KINDS = pytest.mark.parametrize(
    ("key", "exchanges"),
    [
        ("client", CLIENTS),
        ("uri", PAGES),
        ("header:X-User", USERS),
        ("cookie:session", VISITS),
    ],
)


def hashing(key="client", load_factor=1.25):
    return ConsistentHash(compiled_key(key), load_factor)


def placed(balancer, servers, exchanges=CLIENTS):
    return [balancer.pick(servers, exchange).name for exchange in exchanges]


@KINDS
@pytest.mark.parametrize("weights", [(1,) * 10, (1, 2, 3), (0.5, 0.5)])
def test_each_server_has_its_share_of_the_keys(key, exchanges, weights):
    servers = make_servers(*weights)
    counted = counts(hashing(key), servers, exchanges)

    for server in servers:
        share = server.weight / sum(weights)
        assert counted[server.name] / REQUESTS == pytest.approx(share, abs=0.02)


@KINDS
def test_a_key_has_the_same_server_in_every_process(key, exchanges):
    servers = make_servers(*[1] * 10)
    balancer = hashing(key)

    first = placed(balancer, servers, exchanges)
    assert placed(balancer, servers, exchanges) == first
    assert placed(hashing(key), servers[::-1], exchanges) == first


def test_known_keys_have_known_servers():
    """Held so that an upgrade does not move all users of all pools."""
    servers = make_servers(1, 1, 2)
    exchanges = [make_exchange(client=f"192.0.2.{n}") for n in range(12)]

    assert "".join(placed(hashing(), servers, exchanges)) == "aacabccaabcc"


@KINDS
def test_removing_one_of_ten_servers_moves_its_keys_and_no_other(key, exchanges):
    servers = make_servers(*[1] * 10)
    balancer = hashing(key)
    before = placed(balancer, servers, exchanges)
    for gone in servers:
        left = tuple(server for server in servers if server is not gone)
        after = placed(hashing(key), left, exchanges)
        moved = [old for old, new in zip(before, after, strict=True) if old != new]

        assert set(moved) == {gone.name}
        assert len(moved) <= 0.12 * len(exchanges)


def test_a_server_that_comes_takes_its_share_and_nothing_else_moves():
    servers = make_servers(*[1] * 11)
    balancer = hashing()
    before = placed(balancer, servers[:10])
    after = placed(balancer, servers)
    moved = [new for old, new in zip(before, after, strict=True) if old != new]

    assert set(moved) == {"k"}
    assert len(moved) / REQUESTS == pytest.approx(1 / 11, abs=0.02)


def test_a_greater_weight_takes_keys_and_a_smaller_one_gives_some_back():
    servers = make_servers(1, 1, 1, 1)
    before = placed(hashing(), servers)
    servers[0].weight = 2
    more = placed(hashing(), servers)
    servers[0].weight = 0.5
    less = placed(hashing(), servers)

    assert {new for old, new in zip(before, more, strict=True) if old != new} == {"a"}
    assert {old for old, new in zip(before, less, strict=True) if old != new} == {"a"}


@settings(max_examples=30)
@given(
    st.lists(st.floats(0.01, 100), min_size=2, max_size=8),
    st.data(),
)
def test_whatever_the_weights_only_the_keys_of_a_server_that_goes_move(weights, data):
    servers = make_servers(*weights)
    gone = data.draw(st.sampled_from(servers))
    left = tuple(server for server in servers if server is not gone)
    whole, rest = SlotTable(servers), SlotTable(left)
    for slot in data.draw(st.lists(st.integers(0, SLOTS - 1), max_size=200)):
        owner = whole.owner(slot)
        assert owner is gone or rest.owner(slot) is owner


@settings(max_examples=10)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=6))
def test_slots_are_shared_by_weight(weights):
    servers = make_servers(*weights)
    table = SlotTable(servers)
    counted = Counter(table.owner(slot).name for slot in range(SLOTS))

    for server in servers:
        share = server.weight / sum(weights)
        assert counted[server.name] / SLOTS == pytest.approx(share, abs=0.02)


# --- bounded loads ----------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(1,) * 10, (1, 2, 3, 4)])
def test_one_hot_key_overloads_no_server(weights):
    servers = make_servers(*weights)
    balancer = hashing()
    for _ in range(1000):
        balancer.pick(servers, CLIENTS[0]).began()

    for server in servers:
        assert server.active <= 1.25 * 1000 * server.weight / sum(weights) + 1


def test_what_is_over_goes_where_the_key_would_go_without_that_server():
    servers = make_servers(*[1] * 10)
    balancer = hashing()
    owner = balancer.pick(servers, CLIENTS[0])
    rest = tuple(server for server in servers if server is not owner)
    owner.active = 50

    assert balancer.pick(servers, CLIENTS[0]) is hashing().pick(rest, CLIENTS[0])


def test_a_browsers_few_connections_stay_together():
    servers = make_servers(*[1] * 10)
    balancer = hashing()
    chosen = set()
    for _ in range(6):
        server = balancer.pick(servers, CLIENTS[0])
        server.began()
        chosen.add(server.name)

    assert len(chosen) == 1


def test_without_a_bound_a_key_stays_where_it_is():
    servers = make_servers(*[1] * 10)
    balancer = hashing(load_factor=None)
    balancer.pick(servers, CLIENTS[0]).active = 10_000

    assert balancer.pick(servers, CLIENTS[0]).active == 10_000


# --- what has no key, and retries -------------------------------------------------------------


@pytest.mark.parametrize("key", ["header:X-User", "cookie:session"])
def test_exchanges_without_a_key_take_turns(key):
    servers = make_servers(1, 1)
    assert counts(hashing(key), servers, [make_exchange()] * 100) == {"a": 50, "b": 50}


def test_clients_of_a_unix_socket_have_no_address_and_take_turns():
    servers = make_servers(1, 1)
    assert counts(hashing(), servers, [make_exchange(client="")] * 100) == {"a": 50, "b": 50}


def test_an_attempt_that_avoids_a_server_does_not_empty_the_table():
    servers = make_servers(*[1] * 10)
    balancer = hashing()
    placed(balancer, servers)
    table = balancer._table
    owner = balancer.pick(servers, CLIENTS[0])
    rest = tuple(server for server in servers if server is not owner)

    assert balancer.pick(rest, CLIENTS[0]) is not owner
    assert balancer.pick(servers, CLIENTS[0]) is owner
    assert balancer._table is table


def test_a_key_is_read_from_what_filters_made_of_the_request():
    exchange = make_exchange(x_user="somebody", cookie="session=1")
    exchange.request.headers.set(b"X-User", b"else")
    exchange.request.headers.set(b"Cookie", b"session=2")

    assert compiled_key("header:x-user")(exchange) == b"else"
    assert compiled_key("cookie:session")(exchange) == b"2"
