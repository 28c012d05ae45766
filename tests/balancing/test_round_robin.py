"""Round robin gives each server its share, evenly spread."""

from __future__ import annotations

from attrs import frozen

from proxykit.balancing.round_robin import RoundRobin


@frozen(eq=False)
class Weighted:
    """A server, as a balancer sees it."""

    name: str
    weight: int = 1


def picks(servers, count):
    balancer = RoundRobin()
    return "".join(balancer.pick(servers, None).name for _ in range(count))


def test_equal_servers_take_turns():
    assert picks([Weighted("a"), Weighted("b"), Weighted("c")], 6) == "abcabc"


def test_weights_are_held_and_spread():
    assert picks([Weighted("a", 5), Weighted("b", 1), Weighted("c", 1)], 7) == "aabacaa"
