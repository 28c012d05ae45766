"""The command line: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import datetime
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from attrs import evolve

from benchmarks.cases import CASES, Kind, select_cases
from benchmarks.machine import commit, describe_machine
from benchmarks.peers import PEERS, Peer, select_peers
from benchmarks.report import markdown, summary
from benchmarks.results import Program, Results, write_json
from benchmarks.run import Settings, run_cases

FILES_LIMIT = 65_536
RESULTS = Path(__file__).with_name("results")
NEEDED = ("nginx", "wrk", "taskset", "setpriv")


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("--only", default="", metavar="NAMES", help="programs, with commas between")
    made.add_argument("--without", default="", metavar="NAMES", help="programs to leave out")
    made.add_argument("--cases", metavar="NAMES", help="cases, with commas between; * is wild")
    made.add_argument("--rounds", type=int, help="rounds of each case (3; 5 when quick)")
    made.add_argument("--seconds", type=int, help="seconds of each round (2; 1 when quick)")
    made.add_argument("--connections", type=int, default=10_000, help="idle clients (10000)")
    made.add_argument(
        "--quick",
        action="store_true",
        help="only Proxykit and nginx, only reverse-1k, unless told; nothing is written",
    )
    made.add_argument("--output", type=Path, metavar="DIR", help="where results go")
    made.add_argument("--proxy-core", type=int, help="the core of the programs under test")
    made.add_argument("--load-core", type=int, help="the core of the load and the origin")
    made.add_argument("--list", action="store_true", help="print programs and cases, and end")
    return made


def main() -> int:
    """Run what the command line asks for.

    Returns:
        The exit status: 0, or 1 when a program that was asked for by name has no figure in
        a case that it takes part in.
    """
    made = parser()
    options = made.parse_args()
    if options.list:
        print_list()
        return 0
    quick: bool = options.quick
    try:
        only = split(options.only) or (["proxykit", "nginx"] if quick else [])
        peers = select_peers(only, split(options.without))
        cases = select_cases(split(options.cases or ("reverse-1k" if quick else "*")))
    except ValueError as error:
        made.error(str(error))
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        made.error(f"not installed: {', '.join(missing)}; benchmarks/install installs them")
    cases = [
        evolve(case, connections=options.connections) if case.kind is Kind.IDLE else case
        for case in cases
    ]
    raise_files_limit()
    settings = Settings(
        rounds=options.rounds or (5 if quick else 3),
        seconds=options.seconds or (1 if quick else 2),
        **choose_cores(options.proxy_core, options.load_core),
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    results = Results(machine=describe_machine(), run=describe_run(settings))
    results.programs = [describe(peer) for peer in peers]
    signal.signal(signal.SIGTERM, end_on_signal)
    began = time.monotonic()
    try:
        run_cases(cases, peers, settings, results)
    except KeyboardInterrupt:
        results.run["interrupted"] = True
    results.run["minutes"] = round((time.monotonic() - began) / 60, 1)
    print(summary(results))
    if options.output or not quick:
        directory = options.output or RESULTS / f"{results.run['date']}-{results.run['commit']}"
        _write(results, directory)
        print(f"written: {os.path.relpath(directory)}")
    failed = [each for each in results.outcomes if each.cost is None and each.peer in only]
    return 1 if failed or "interrupted" in results.run else 0


def split(names: str) -> list[str]:
    """Return the names in a list with commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


def choose_cores(proxy_core: int | None, load_core: int | None) -> dict[str, int]:
    """Return the two cores, the last two that this process may use unless told otherwise.

    This process moves to the load's core, so that it does not disturb the other one.
    """
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        print("one core only: load and proxy share it, rates mean little", file=sys.stderr)
    cores = {
        "proxy_core": usable[-1] if proxy_core is None else proxy_core,
        "load_core": usable[:-1][-1:][0] if load_core is None and len(usable) > 1 else usable[0],
    }
    if load_core is not None:
        cores["load_core"] = load_core
    os.sched_setaffinity(0, {cores["load_core"]})
    return cores


def raise_files_limit() -> None:
    """Let this process and its children open many files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (FILES_LIMIT, min(FILES_LIMIT, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
        except (ValueError, PermissionError):
            continue
        return
    raise AssertionError("lowering the soft limit is always allowed")


def describe(peer: Peer) -> Program:
    """Return what the results say of a program."""
    try:
        version = peer.version()
    except OSError:
        version = "not installed"
    return Program(peer.name, version, peer.log, peer.tuning)


def describe_run(settings: Settings) -> dict[str, object]:
    """Return what the results say of the run itself."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "rounds": settings.rounds,
        "seconds": settings.seconds,
        "proxy_core": settings.proxy_core,
        "load_core": settings.load_core,
    }


def print_list() -> None:
    """Print the programs with what they can do, and the cases."""
    for peer in PEERS:
        services = ", ".join(service.value for service in peer.services)
        print(f"{peer.name:16} {describe(peer).version:16} {services}")
    print()
    for case in CASES:
        print(f"{case.name:16} {case.title}")


def end_on_signal(number: int, frame: FrameType | None) -> None:
    """Turn SIGTERM into what Ctrl-C does, so that everything is stopped on the way out."""
    raise KeyboardInterrupt


def _write(results: Results, directory: Path) -> None:
    """Write `results.json`, `table.md` and `plot.png` into a directory, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(results, directory / "results.json")
    (directory / "table.md").write_text(markdown(results), encoding="utf-8")
    try:
        from benchmarks.plot import draw
    except ImportError:
        print("matplotlib is not installed: no plot (benchmarks/install installs it)")
        return
    draw(results, directory / "plot.png")


if __name__ == "__main__":
    sys.exit(main())
