"""What is measured: the list of cases, and what each asks of a program."""

from __future__ import annotations

import enum
from fnmatch import fnmatchcase

from attrs import frozen


class Service(enum.Enum):
    """What a program is started as; one process (tree) of each program serves one of these."""

    REVERSE = "reverse"
    TLS = "tls"
    FORWARD = "forward"
    TUNNEL = "tunnel"
    CACHE = "cache"
    DISK = "disk"


class Heads(enum.Enum):
    """What the heads of the requests look like."""

    PLAIN = "plain"
    """`Host` alone: the least there can be."""

    BROWSER = "browser"
    """`Host` and nine fields as a browser sends them, the same in every request."""

    VARIED = "varied"
    """The same ten fields, with another path and other values in every request and response."""


class Kind(enum.Enum):
    """How a case is measured, and so the units of its figures."""

    REQUESTS = "requests"
    TUNNEL = "tunnel"
    IDLE = "idle"

    @property
    def cost_unit(self) -> str:
        """The unit of what a program spends; less is better."""
        return {
            Kind.REQUESTS: "µs CPU a request",
            Kind.TUNNEL: "ms CPU a GiB",
            Kind.IDLE: "KiB a connection",
        }[self]

    @property
    def rate_unit(self) -> str:
        """The unit of how fast it went; more is better."""
        return {
            Kind.REQUESTS: "requests/s",
            Kind.TUNNEL: "MiB/s",
            Kind.IDLE: "connections/s",
        }[self]


@frozen
class Case:
    """One thing to measure.

    Attributes:
        name: as `--cases` selects it and the tables show it.
        title: what it is, for a reader of the table.
        service: what the programs are started as.
        path: what is asked of the origin; of the varied heads, what the paths start with.
        size: bytes in the body of an answer.
        heads: what the requests' heads look like.
        connections: how many connections are kept open at a time.
        kind: how it is measured.
    """

    name: str
    title: str
    service: Service
    path: str
    size: int
    heads: Heads = Heads.PLAIN
    connections: int = 32
    kind: Kind = Kind.REQUESTS


KIB = 1024
MIB = 1024 * KIB

BODIES = {
    "/1k": KIB,
    "/64k": 64 * KIB,
    "/1m": MIB,
    "/64m": 64 * MIB,
    "/public-1k": KIB,
    "/public-64k": 64 * KIB,
    "/public-1m": MIB,
}
"""What the origin serves: paths, and the sizes of what is there in bytes."""

CASES = (
    Case("reverse-1k", "reverse, 1 KiB", Service.REVERSE, "/1k", KIB),
    Case("reverse-64k", "reverse, 64 KiB", Service.REVERSE, "/64k", 64 * KIB),
    Case("reverse-1m", "reverse, 1 MiB", Service.REVERSE, "/1m", MIB),
    Case(
        "reverse-browser",
        "reverse, 1 KiB, ten fields, the same each time",
        Service.REVERSE,
        "/1k",
        KIB,
        Heads.BROWSER,
    ),
    Case(
        "reverse-varied",
        "reverse, 1 KiB, ten fields, no head ever repeated",
        Service.REVERSE,
        "/varied/",
        KIB,
        Heads.VARIED,
    ),
    Case("cache-hit", "reverse, memory hit, 1 KiB", Service.CACHE, "/public-1k", KIB),
    Case("cache-hit-1m", "reverse, memory hit, 1 MiB", Service.CACHE, "/public-1m", MIB),
    Case("cache-hit-disk", "reverse, disk hit, 64 KiB", Service.DISK, "/public-64k", 64 * KIB),
    Case("tls-1k", "reverse, TLS terminated, 1 KiB", Service.TLS, "/1k", KIB),
    Case("forward-1k", "forward, 1 KiB", Service.FORWARD, "/1k", KIB),
    Case("forward-64k", "forward, 64 KiB", Service.FORWARD, "/64k", 64 * KIB),
    Case("forward-1m", "forward, 1 MiB", Service.FORWARD, "/1m", MIB),
    Case(
        "forward-varied",
        "forward, 1 KiB, ten fields, no head ever repeated",
        Service.FORWARD,
        "/varied/",
        KIB,
        Heads.VARIED,
    ),
    Case(
        "connect",
        "CONNECT tunnels, downloading",
        Service.TUNNEL,
        "/64m",
        64 * MIB,
        connections=8,
        kind=Kind.TUNNEL,
    ),
    Case(
        "idle",
        "memory of idle keep-alive clients",
        Service.REVERSE,
        "/1k",
        KIB,
        connections=10_000,
        kind=Kind.IDLE,
    ),
)


def select_cases(patterns: list[str]) -> list[Case]:
    """Return the cases that any of the patterns (`*` and `?` are wild) names, in their own order.

    Raises:
        ValueError: a pattern names none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(case.name, pattern) for case in CASES):
            known = ", ".join(case.name for case in CASES)
            raise ValueError(f"no case is named {pattern!r}; there are: {known}")
    return [case for case in CASES if any(fnmatchcase(case.name, each) for each in patterns)]
