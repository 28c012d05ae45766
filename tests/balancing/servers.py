"""Servers and exchanges for the balancers' tests, and how picks are judged."""

from __future__ import annotations

from collections import Counter

from proxykit.balancing.sources import FoundServer, ListSource
from proxykit.engine.exchange import Exchange
from proxykit.message.fields import FieldSection
from proxykit.message.framing import NoContent
from proxykit.message.request import Request
from proxykit.reverse.member import Fault
from proxykit.reverse.pool import Pool
from proxykit.upstream.server import PoolLimits, Server

REQUESTS = 10_000

# What chance exceeds once in a thousand times, by degrees of freedom.
_CHI_SQUARE_ONCE_IN_A_THOUSAND = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 9: 27.88}


def make_servers(*weights, limit=100):
    """Give servers that were never connected, named a, b, c and on."""
    return tuple(
        Server(chr(ord("a") + index), None, PoolLimits(connections=limit), None, None, None, weight)
        for index, weight in enumerate(weights)
    )


def pool_of(servers, balancer, kind=Pool, **more):
    """Give a pool of servers that were made already."""
    by_url = {f"http://{server.name}": server for server in servers}
    found = [FoundServer(url, each.weight, each.backup) for url, each in by_url.items()]
    return kind("p", lambda each: by_url[each.url], balancer, source=ListSource(found), **more)


def set_usable(pool, server, usable):
    """Take a server down, or up again, as health checks would."""
    member = next(each for each in pool.members if each.server is server)
    member.faults = Fault.NONE if usable else Fault.DOWN
    pool.refresh()


def make_exchange(client="192.0.2.1", target=b"/", **fields):
    """Give an exchange that nothing was done with yet; underscores in names stand for hyphens."""
    section = FieldSection(
        (
            (b"Host", b"a"),
            *((n.replace("_", "-").encode(), v.encode()) for n, v in fields.items()),
        )
    )
    return Exchange(
        None, Request(b"GET", target, 1, section, NoContent()), client, client, "http", 0
    )


def counts(balancer, servers, exchanges):
    """Count the picks for exchanges that are over before the next begins."""
    return Counter(balancer.pick(servers, exchange).name for exchange in exchanges)


def is_within_two_percent(counted, servers):
    """Say whether each server has its share, give or take 2 % of it."""
    total = sum(server.weight for server in servers)
    return all(
        abs(counted[s.name] / counted.total() * total / s.weight - 1) <= 0.02 for s in servers
    )


def passes_chi_square(counted, servers):
    """Say whether chance explains how the picks differ from the shares."""
    total = sum(server.weight for server in servers)
    statistic = 0
    for server in servers:
        expected = counted.total() * server.weight / total
        statistic += (counted[server.name] - expected) ** 2 / expected
    return statistic < _CHI_SQUARE_ONCE_IN_A_THOUSAND[len(servers) - 1]
