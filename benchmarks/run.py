"""A whole run: programs started side by side, cases put on them in interleaved rounds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path

from attrs import evolve, frozen

from benchmarks.cases import Case, Kind, Service
from benchmarks.load import BadLoad
from benchmarks.measure import Entrant, measure, probe
from benchmarks.origin import Origin, running_origin
from benchmarks.peers import Peer
from benchmarks.processes import DidNotStart
from benchmarks.programs.base import running
from benchmarks.results import Outcome, Results

WARM_UP_SECONDS = 1.0


@frozen
class Settings:
    """How a run is made.

    Attributes:
        rounds: how often each program does each case.
        seconds: how long each time.
        proxy_core: the core that the programs under test have, one at work at a time.
        load_core: the core of the load and of the origin.
        tell: called with each line about the progress.
    """

    rounds: int
    seconds: float
    proxy_core: int
    load_core: int
    tell: Callable[[str], None]


@frozen
class Ground:
    """What all programs of a run share."""

    directory: Path
    origin: Origin
    settings: Settings


def run_cases(cases: list[Case], peers: list[Peer], settings: Settings, results: Results) -> None:
    """Measure every case with every program that can do it, adding the outcomes to `results`.

    The results are complete after each case, so whoever interrupts a run has what was measured.
    """
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name, ExitStack() as stack:
        directory = Path(name)
        origin = stack.enter_context(running_origin(directory, core=settings.load_core))
        ground = Ground(directory, origin, settings)
        loads = [case for case in cases if case.kind is not Kind.IDLE]
        for service, group in groupby(loads, key=lambda case: case.service):
            run_side_by_side(list(group), service, peers, ground, results)
        for case in cases:
            if case.kind is Kind.IDLE:
                run_one_by_one(case, peers, ground, results)


def run_side_by_side(
    cases: list[Case], service: Service, peers: list[Peer], ground: Ground, results: Results
) -> None:
    """Start all programs for a service and put its cases on them in interleaved rounds."""
    settings = ground.settings
    with ExitStack() as stack:
        entrants: dict[str, Entrant] = {}
        failures: dict[str, str] = {}
        for peer in peers:
            if service not in peer.services:
                continue
            try:
                entrants[peer.name] = stack.enter_context(entering(peer, service, ground))
            except DidNotStart as error:
                failures[peer.name] = f"did not start: {error}"
                settings.tell(f"{peer.name} {failures[peer.name]}")
        outcomes = []
        for case in cases:
            of_case = [
                Outcome(
                    peer.name,
                    case.name,
                    peer.services[service],
                    failure=failures.get(peer.name, ""),
                )
                for peer in peers
                if service in peer.services
            ]
            results.outcomes += of_case
            outcomes.append((case, [each for each in of_case if not each.failure]))
        for case, of_case in outcomes:
            ready = [each for each in of_case if able(entrants[each.peer], case, each, ground)]
            for outcome in ready:
                warm_up(entrants[outcome.peer], case, ground)
            for _ in range(settings.rounds):
                for outcome in ready:
                    one_round(entrants[outcome.peer], case, outcome, ground)
    for _, of_case in outcomes:
        for outcome in of_case:
            note_missing_log(entrants[outcome.peer], outcome)


def run_one_by_one(case: Case, peers: list[Peer], ground: Ground, results: Results) -> None:
    """Start each program afresh for a case that is about its memory, and measure once.

    There is no load before it: what a load leaves behind in a program's free lists would be
    taken into use by the connections, and they would seem to cost less than they do.
    """
    ask_once = evolve(case, kind=Kind.REQUESTS)
    for peer in peers:
        if case.service not in peer.services:
            continue
        outcome = Outcome(peer.name, case.name, peer.services[case.service])
        results.outcomes.append(outcome)
        try:
            with entering(peer, case.service, ground) as entrant:
                if able(entrant, ask_once, outcome, ground):
                    one_round(entrant, case, outcome, ground)
        except DidNotStart as error:
            outcome.failure = f"did not start: {error}"
            ground.settings.tell(f"{peer.name} {outcome.failure}")


def able(entrant: Entrant, case: Case, outcome: Outcome, ground: Ground) -> bool:
    """See whether a program can do a case at all; if not, the outcome says why."""
    try:
        if case.kind is Kind.REQUESTS:
            probe(entrant, case, ground.origin)
    except BadLoad as error:
        outcome.failure = str(error)
        ground.settings.tell(f"{case.name} {outcome.peer}: {error}")
        return False
    return True


def warm_up(entrant: Entrant, case: Case, ground: Ground) -> None:
    """Put a case on a program for a second, so that its pools and its caches are filled."""
    core = ground.settings.proxy_core
    measure(entrant, case, ground.origin, seconds=WARM_UP_SECONDS, core=core)


def one_round(entrant: Entrant, case: Case, outcome: Outcome, ground: Ground) -> None:
    """Measure once, add the sample to the outcome, and tell."""
    settings = ground.settings
    sample = measure(
        entrant, case, ground.origin, seconds=settings.seconds, core=settings.proxy_core
    )
    outcome.samples.append(sample)
    said = (
        f"void: {sample.void}"
        if sample.void
        else (f"{sample.cost:9.1f} {case.kind.cost_unit}, {sample.rate:8.0f} {case.kind.rate_unit}")
    )
    settings.tell(f"{case.name} {len(outcome.samples)} {outcome.peer:9} {said}")


@contextmanager
def entering(peer: Peer, service: Service, ground: Ground) -> Iterator[Entrant]:
    """Run a program for as long as the block lasts.

    Raises:
        DidNotStart: it is not installed, ended at once, or does not listen.
    """
    with running(
        peer,
        partial(peer.command, service),
        directory=ground.directory,
        origin=ground.origin.port,
        core=ground.settings.proxy_core,
    ) as (place, process):
        yield Entrant(peer, service, place, process)


def note_missing_log(entrant: Entrant, outcome: Outcome) -> None:
    """Note it with an outcome when a stopped program has logged less than it has done."""
    try:
        with entrant.place.access_log.open("rb") as log:
            lines = sum(1 for _ in log)
    except FileNotFoundError:
        lines = 0
    if lines < entrant.exchanges:
        note = f"its log has {lines} lines of {entrant.exchanges} exchanges"
        outcome.remark = "; ".join(filter(None, [outcome.remark, note]))
