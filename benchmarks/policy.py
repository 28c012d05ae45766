"""What policy adds to a request: ``access`` with 100 rules and a blocklist of a million domains.

``python -m benchmarks.policy`` times ``filter.request`` on made-up exchanges, without sockets, and
prints microseconds a request: for hosts that come again, as most do, and for hosts that never do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benchmarks.processes import resident_bytes
from proxykit.engine.exchange import Exchange
from proxykit.engine.forwarding import Direction, ForwardingRules
from proxykit.engine.pipeline import Pipeline
from proxykit.filters.access import Access, AccessOptions
from proxykit.filters.blocklist import Blocklist, BlocklistOptions
from proxykit.http1.limits import HeadLimits
from proxykit.http1.reader import RequestReader
from proxykit.lists.watched import WatchedList
from proxykit.upstream.resolution import Resolver

DOMAINS = 1_000_000
ROUNDS = 5
REQUESTS = 20_000


def rules() -> list[dict[str, Any]]:
    """Give 100 rules of which only the last matches."""
    kinds: list[Any] = [
        lambda n: {"client": f"10.{n}.0.0/16"},
        lambda n: {"domain": [f".blocked{n}.test", f"*.also{n}.test"]},
        lambda n: {"user": f"user{n}", "domain": f"only{n}.test"},
        lambda n: {"method": "DELETE", "path": f"/admin{n}"},
        lambda n: {"path": f"/private{n}/"},
        lambda n: {"client": f"192.0.2.{n}", "port": 8000 + n},
        lambda n: {"group": f"group{n}"},
        lambda n: {"domain": f"cdn{n}.test", "time": "08:00-18:00"},
    ]
    found = [{"action": "deny", **kinds[n % len(kinds)](n)} for n in range(99)]
    return [*found, {"action": "allow", "client": "198.51.100.0/24"}]


def exchanges(hosts: Sequence[str]) -> list[Exchange]:
    """Make an exchange for each host."""
    policy = ForwardingRules(Direction.FORWARD, b"p")
    pipeline = Pipeline("forward.x", lambda exchange: exchange, policy, Resolver(None))
    made = []
    for host in hosts:
        reader = RequestReader(HeadLimits())
        reader.feed(
            f"GET http://{host}/path/to/a/file.html?q=1 HTTP/1.1\r\nHost: {host}\r\n"
            "Accept: */*\r\nUser-Agent: a browser\r\n\r\n".encode("ascii")
        )
        request: Any = reader.next_event()
        made.append(Exchange(pipeline, request, "198.51.100.7", "198.51.100.7", "http", 0.0))
    return made


def microseconds(filters: Sequence[Any], hosts: Sequence[str]) -> float:
    """Give the best round's time a request; what parsing the target costs is not counted."""
    best = float("inf")
    for _ in range(ROUNDS):
        asked = exchanges(hosts)
        for each in asked:
            assert each.port == 80
        started = process_time()
        for each in asked:
            for one in filters:
                one.request(each)
        best = min(best, process_time() - started)
    return best / len(hosts) * 1e6


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "million.txt"
        with file.open("w") as lines:
            lines.writelines(f"0.0.0.0 host{n}.ads{n % 999}.test\n" for n in range(DOMAINS))
        before = resident_bytes()
        read = WatchedList(file, "blocklist")
        started = perf_counter()
        table = read.load_now()
        print(f"a million domains are read in {perf_counter() - started:.1f} s, elsewhere")
        for number in range(DOMAINS):
            assert table.find(b"host%d.ads%d.test" % (number, number % 999))
        print(f"they take {(resident_bytes() - before) / 1e6:.0f} MB, every one of them looked up")
    blocklist = Blocklist(BlocklistOptions.model_validate({"lists": ["x"]}), [read], None)
    access = Access(AccessOptions.model_validate({"rules": rules(), "default": "deny"}))
    again = [f"www{n % 200}.site{n % 50}.test" for n in range(REQUESTS)]
    never = [f"www{n}.site{n % 977}.test" for n in range(REQUESTS)]
    print(f"{'':34}{'hosts again':>14}{'hosts anew':>14}   µs a request")
    cases: list[tuple[str, list[Any]]] = [
        ("access, 100 rules", [access]),
        ("blocklist, a million domains", [blocklist]),
        ("both", [access, blocklist]),
    ]
    for name, filters in cases:
        row = "".join(f"{microseconds(filters, hosts):14.2f}" for hosts in (again, never))
        print(f"{name:34}{row}")


if __name__ == "__main__":
    main()
