"""What each balancer costs a request: `python -m benchmarks.balancers`.

Pools of several sizes with something in flight on each server, weights even and uneven, many
clients. Time is that of the fastest of several rounds. The aim is 2 µs for a pool of ten.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic, process_time
from types import SimpleNamespace
from typing import Any

from proxykit.config.registry import balancer_factories
from proxykit.engine.exchange import Exchange
from proxykit.message.fields import FieldSection
from proxykit.message.framing import NoContent
from proxykit.message.request import Request
from proxykit.upstream.server import PoolLimits, Server

_EXCHANGES = 5_000
_ROUNDS = 7
_OPTIONS: dict[str, dict[str, Any]] = {"hash": {"key": "cookie:session"}}


def exchanges() -> list[Exchange]:
    """Give exchanges of as many clients."""
    made = []
    for number in range(_EXCHANGES):
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        cookie = b"theme=dark; session=%032x; consent=yes" % (number * 0x9E3779B97F4A7C15)
        section = FieldSection(((b"Host", b"a.example"), (b"Cookie", cookie)))
        request = Request(b"GET", b"/item/%d?page=2" % number, 1, section, NoContent())
        pipeline: Any = SimpleNamespace()
        made.append(Exchange(pipeline, request, address, address, "http", 0.0))
    return made


def servers(count: int, weights: Callable[[int], float]) -> tuple[Server, ...]:
    """Give servers with something in flight and known latencies."""
    nothing: Any = None
    made = []
    for number in range(count):
        server = Server(
            f"10.0.0.{number}:80", nothing, PoolLimits(), nothing, nothing, weight=weights(number)
        )
        server.active = int(9 * server.weight) + number * 7 % 4
        server.latency, server.latency_at = 0.01 + number / 1000, monotonic()
        made.append(server)
    return tuple(made)


def microseconds(balancer: Any, pool: tuple[Server, ...], asked: list[Exchange]) -> float:
    """Measure a pick."""
    pick = balancer.pick
    best = float("inf")
    for _ in range(_ROUNDS):
        began = process_time()
        for exchange in asked:
            pick(pool, exchange)
        best = min(best, process_time() - began)
    return best / len(asked) * 1e6


def main(counts: list[int]) -> None:
    """Print a table."""
    asked = exchanges()
    factories = balancer_factories()
    columns = [(count, kind) for count in counts for kind in ("even", "uneven")]
    print("µs a pick         " + "".join(f"{count:>5} {kind:<7}" for count, kind in columns))
    for name, factory in sorted(factories.items()):
        line = f"{name:<18}"
        for count, kind in columns:
            pool = servers(count, lambda number, kind=kind: 1 + (kind == "uneven") * (number % 3))
            balancer = factory.build(factory.options.model_validate(_OPTIONS.get(name, {})))
            line += f"{microseconds(balancer, pool, asked):>7.2f}      "
        print(line)


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [2, 10, 50])
