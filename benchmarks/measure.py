"""A case put on a running program, once: what it cost."""

from __future__ import annotations

import http.client
import time

from attrs import define, field, frozen

from benchmarks.cases import Case, Kind, Service
from benchmarks.idle import count_open, idle_clients
from benchmarks.load import BadLoad, command, put_load
from benchmarks.origin import Origin
from benchmarks.peers import Peer
from benchmarks.processes import Process, core_busy_seconds, cpu_spent
from benchmarks.programs.base import Place
from benchmarks.results import Sample
from benchmarks.tunnel import download_for, open_downloads

PROBE_SECONDS = 5.0


@define
class Entrant:
    """A program that has been started and waits for work.

    Attributes:
        peer: what it is.
        service: what it was started as.
        place: where it works.
        process: how it runs.
        exchanges: how many exchanges or tunnels the clients have counted so far.
    """

    peer: Peer
    service: Service
    place: Place
    process: Process
    exchanges: int = 0


@frozen
class Spent:
    """What a program spent while it was watched; see `Sample` for `busy` and `disturbed`."""

    cpu_seconds: float
    busy: float
    disturbed: float


@define
class Watch:
    """Reads the clocks of a program and of its core when it is made, and again when asked."""

    process: Process
    core: int
    cpu: dict[int, float] = field(init=False)
    core_busy: float = field(init=False)
    began: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.core_busy = core_busy_seconds(self.core)
        self.began = time.monotonic()
        self.cpu = self.process.cpu_seconds()

    def spent(self) -> Spent:
        """Return what was spent since the watch was made.

        Raises:
            ValueError: a process of the program has ended.
        """
        cpu = cpu_spent(self.cpu, self.process.cpu_seconds())
        elapsed = time.monotonic() - self.began
        others = max(0.0, core_busy_seconds(self.core) - self.core_busy - cpu)
        return Spent(cpu, cpu / elapsed, others / elapsed)


def probe(entrant: Entrant, case: Case, origin: Origin) -> None:
    """Send one request of a case and compare the answer with what the origin has.

    Raises:
        BadLoad: there was no answer, or another one.
    """
    port = entrant.place.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS)
    if case.service is Service.TLS:
        context = entrant.place.certificate.client_context()
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=PROBE_SECONDS, context=context
        )
    host = f"127.0.0.1:{origin.port}"
    target = f"http://{host}{case.path}" if case.service is Service.FORWARD else case.path
    try:
        connection.request("GET", target, headers={"Host": host})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise BadLoad(f"one request: {error!r}") from None
    finally:
        connection.close()
    entrant.exchanges += 1
    if response.status != 200:
        raise BadLoad(f"one request was answered {response.status}")
    if body != origin.bodies[case.path]:
        raise BadLoad("one request was answered with another body than the origin's")


def measure(entrant: Entrant, case: Case, origin: Origin, *, seconds: float, core: int) -> Sample:
    """Put the load of a case on a program and return what that cost.

    Args:
        entrant: the program.
        case: the case.
        origin: the origin behind it.
        seconds: how long, for what has no end of its own.
        core: the program's core.

    Returns:
        A sample, which is void when something about the load was wrong.
    """
    one_round = {
        Kind.REQUESTS: measure_requests,
        Kind.TUNNEL: measure_tunnels,
        Kind.IDLE: measure_idle,
    }[case.kind]
    try:
        sample = one_round(entrant, case, origin, seconds=seconds, core=core)
    except (BadLoad, ValueError) as error:
        ended = "" if entrant.process.running() else "; the program has ended"
        return Sample(cost=0.0, rate=0.0, void=f"{error}{ended}")
    entrant.process.wait_until_quiet()
    return sample


def measure_requests(
    entrant: Entrant, case: Case, origin: Origin, *, seconds: float, core: int
) -> Sample:
    """Return the CPU time a request, under wrk."""
    load_command = command(case, port=entrant.place.port, origin=origin.port, seconds=seconds)
    asked_before = origin.requests()
    watch = Watch(entrant.process, core)
    load = put_load(load_command, seconds)
    spent = watch.spent()
    asked = origin.requests() - asked_before
    entrant.exchanges += load.requests
    load.check(case)
    if case.service in {Service.CACHE, Service.DISK}:
        if asked > 3:
            raise BadLoad(f"the origin was asked {asked} times for what should be stored")
    elif asked < load.requests:
        raise BadLoad(f"{load.requests} answers, but the origin was asked only {asked} times")
    return Sample(
        cost=spent.cpu_seconds / load.requests * 1e6,
        rate=load.rate,
        busy=spent.busy,
        disturbed=spent.disturbed,
        detail={
            "requests": load.requests,
            "cpu_seconds": spent.cpu_seconds,
            "median_us": load.median_us,
            "p99_us": load.p99_us,
            "socket_errors": load.socket_errors,
        },
    )


def measure_tunnels(
    entrant: Entrant, case: Case, origin: Origin, *, seconds: float, core: int
) -> Sample:
    """Return the CPU time a GiB, downloaded through several tunnels at once."""
    with open_downloads(
        entrant.place.port,
        origin.port,
        path=case.path,
        size=case.size,
        connections=case.connections,
        connect=entrant.peer.speaks_connect,
    ) as downloads:
        entrant.exchanges += len(downloads)
        watch = Watch(entrant.process, core)
        received, elapsed = download_for(downloads, seconds)
        spent = watch.spent()
    return Sample(
        cost=spent.cpu_seconds * 1e3 / (received / 2**30),
        rate=received / 2**20 / elapsed,
        busy=spent.busy,
        disturbed=spent.disturbed,
        detail={"bytes": received, "cpu_seconds": spent.cpu_seconds},
    )


def measure_idle(
    entrant: Entrant, case: Case, origin: Origin, *, seconds: float, core: int
) -> Sample:
    """Return the memory that each idle client connection takes, against the warm program."""
    process, port = entrant.process, entrant.place.port
    process.wait_until_quiet()
    before = process.memory_bytes()
    began = time.monotonic()
    with idle_clients(port, case.path, origin.bodies[case.path], case.connections) as clients:
        elapsed = time.monotonic() - began
        entrant.exchanges += len(clients)
        process.wait_until_quiet()
        after = process.memory_bytes()
        kept = count_open(clients)
    if kept < len(clients):
        raise BadLoad(f"kept only {kept} of {len(clients)} idle connections")
    return Sample(
        cost=(after - before) / 1024 / kept,
        rate=kept / elapsed,
        detail={"before_bytes": before, "after_bytes": after, "kept": kept},
    )
