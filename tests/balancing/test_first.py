"""First fills servers in the order written."""

from __future__ import annotations

from proxykit.balancing.first import First
from tests.balancing.servers import REQUESTS, counts, make_servers


def test_the_first_gets_all_that_it_has_room_for():
    servers = make_servers(1, 9, limit=3)
    assert counts(First(), servers, [None] * REQUESTS) == {"a": REQUESTS}

    for _ in range(4):
        First().pick(servers, None).began()
    assert [server.active for server in servers] == [3, 1]


def test_when_all_are_full_the_shortest_queue_gets_it():
    servers = make_servers(1, 1, limit=3)
    servers[0].active, servers[1].active = 5, 4

    assert First().pick(servers, None).name == "b"


def test_a_server_that_is_being_warmed_has_less_room():
    servers = make_servers(1, 1, limit=10)
    servers[0].warmth = 0.2
    for _ in range(3):
        First().pick(servers, None).began()

    assert [server.active for server in servers] == [2, 1]
