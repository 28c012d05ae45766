"""What choosing a route costs: tables of ten and of a thousand routes of mixed kinds.

    .venv/bin/python -m benchmarks.routes

Prints the time of one ``ReverseRouter.choose`` for requests that hit routes all over the table, for
ones that hit none, and for a table of one route that takes all, which looks at nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from proxykit.engine.exchange import Exchange
from proxykit.engine.forwarding import Direction, ForwardingRules
from proxykit.engine.pipeline import Pipeline, Route
from proxykit.errors import NoRoute
from proxykit.message.fields import FieldSection
from proxykit.message.framing import NO_CONTENT
from proxykit.message.path import PathMatch
from proxykit.message.request import Request
from proxykit.options import parse_network
from proxykit.reverse.conditions import (
    Conditions,
    HostMatch,
    client_condition,
    header_condition,
    method_condition,
    query_condition,
)
from proxykit.reverse.router import ReverseRouter
from proxykit.reverse.split import always
from proxykit.upstream.resolution import Resolver

_REQUESTS = 400
_ROUNDS = 60


def mixed_routes(count: int) -> Iterator[Conditions]:
    """Give routes of ten kinds by turns: hosts, paths, methods, fields, query, clients."""
    for number in range(count):
        kind = number % 10
        if kind in (0, 1, 2):  # a site with a name of its own
            yield Conditions(HostMatch.of([f"site{number}.example"]))
        elif kind == 3:
            yield Conditions(HostMatch.of([f"*.tenant{number}.example"]))
        elif kind == 4:  # a site's API
            yield Conditions(HostMatch.of([f"site{number - 4}.example"]), PathMatch.of("/api/"))
        elif kind == 5:
            yield Conditions(path=PathMatch.of(f"/shared/app{number}/"))
        elif kind == 6:
            yield Conditions(path=PathMatch.of(f"= /pages/{number}"))
        elif kind == 7:
            yield Conditions(path=PathMatch.of(f"~ ^/items/kind{number}/[0-9]+$"))
        elif kind == 8:
            yield Conditions(
                HostMatch.of([f"site{number - 8}.example"]),
                PathMatch.of("/admin/"),
                (
                    client_condition([parse_network("10.0.0.0/8")]),
                    method_condition(["GET", "POST"]),
                ),
            )
        else:
            yield Conditions(
                HostMatch.of([f"site{number - 9}.example"]),
                PathMatch.of("/beta/"),
                (header_condition("x-beta", True), query_condition("beta", "1")),
            )


def _request(number: int) -> tuple[str, str]:
    """Give a host and a target that the route of this number, or an earlier one, takes."""
    kind = number % 10
    return {
        3: (f"www.tenant{number}.example", "/"),
        4: (f"site{number - 4}.example", "/api/v1/things?page=2"),
        5: ("other.example", f"/shared/app{number}/a/b.js"),
        6: ("other.example", f"/pages/{number}"),
        7: ("other.example", f"/items/kind{number}/4711"),
        8: (f"site{number - 8}.example", "/admin/"),
        9: (f"site{number - 9}.example", "/beta/?beta=1"),
    }.get(kind, (f"site{number}.example", "/index.html"))


def _exchanges(pipeline: Pipeline, requests: list[tuple[str, str]]) -> list[Exchange]:
    made = []
    for host, target in requests:
        fields = ((b"Host", host.encode()), (b"User-Agent", b"benchmark"), (b"Accept", b"*/*"))
        request = Request(b"GET", target.encode(), 1, FieldSection(fields), NO_CONTENT)
        made.append(Exchange(pipeline, request, "10.0.0.1", "10.0.0.1", "http", 0.0))
    return made


def _microseconds(router: ReverseRouter, requests: list[tuple[str, str]]) -> float:
    """Give the best round's time of one choice."""
    rules = ForwardingRules(Direction.REVERSE, b"benchmark")
    pipeline = Pipeline("reverse.a", router.choose, rules, Resolver(None))
    best = float("inf")
    choose = router.choose
    for _ in range(_ROUNDS):
        exchanges = _exchanges(pipeline, requests)
        started = time.perf_counter()
        for exchange in exchanges:
            try:
                choose(exchange)
            except NoRoute:
                pass
        best = min(best, time.perf_counter() - started)
    return best / len(requests) * 1e6


def main() -> None:
    """Measure and print."""
    chance = random.Random(1000)
    only = ReverseRouter([(Conditions(), always(Route("all")))])
    print(f"one route that takes all   {_microseconds(only, [('a.example', '/')] * 100):5.2f} µs")
    for count in (10, 1000):
        routes = [(each, always(Route(str(n)))) for n, each in enumerate(mixed_routes(count))]
        router = ReverseRouter(routes)
        hits = [_request(chance.randrange(count)) for _ in range(_REQUESTS)]
        misses = [("none.example", f"/nothing/{n}/here") for n in range(_REQUESTS)]
        print(
            f"{count:5} routes: a hit {_microseconds(router, hits):5.2f} µs, "
            f"a miss {_microseconds(router, misses):5.2f} µs"
        )


if __name__ == "__main__":
    main()
