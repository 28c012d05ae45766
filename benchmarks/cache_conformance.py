"""How well each cache keeps to HTTP: the suite of https://cache-tests.fyi against all of them.

    .venv/bin/python -m benchmarks.cache_conformance [--only NAME ...] [--failures]

`benchmarks/install` installs the others. A test of the suite is *required* (a cache that fails it
breaks the RFC), *optimal* (a cache that fails it misses a chance)
or a *check* (a question). Each cache has a minute.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks import cache_suite
from benchmarks.cache_suite import Kind, Report, Verdict
from benchmarks.caches import CACHES, Cache
from benchmarks.processes import DidNotStart
from benchmarks.programs.base import running
from demo.proxies import free_port

TOGETHER = 100  # what the suite itself runs at a time
BAD = (Verdict.FAILED, Verdict.SETUP_FAILED)
COLUMNS = ("cache", "required: passed", "failed", "optimal: passed", "failed", "checks: yes")


def measure(cache: Cache) -> Report:
    """Run the suite against a cache.

    Raises:
        DidNotStart: it is not installed, or does not listen.
    """
    core = min(os.sched_getaffinity(0))
    with (
        tempfile.TemporaryDirectory(prefix="caches-") as directory,
        running(cache, cache.command, directory=Path(directory), origin=free_port(), core=core) as (
            place,
            _,
        ),
    ):
        url = f"http://127.0.0.1:{place.port}"
        report = cache_suite.run(place.origin, url, together=TOGETHER, seconds=30)
        bad = [name for name in report.tests if report.verdict(name) is not Verdict.PASSED]
        return cache_suite.run_again(report, place.origin, url, bad)


def row(cache: Cache, report: Report) -> tuple[str, ...]:
    """Return a line of the table.

    What could not be set up has failed; what says nothing, because what it builds on has failed, is
    in no column.
    """
    counts = [
        report.count(Kind.REQUIRED, Verdict.PASSED),
        report.count(Kind.REQUIRED, *BAD),
        report.count(Kind.OPTIMAL, Verdict.PASSED),
        report.count(Kind.OPTIMAL, *BAD),
        report.count(Kind.CHECK, Verdict.PASSED),
    ]
    remark = f" ({cache.remark})" if cache.remark else ""
    return (f"{cache.title} {cache.version()}{remark}", *map(str, counts))


def failures(report: Report) -> list[str]:
    """Return what of the requirements and chances was not met, and why."""
    return [
        f"{test.kind.value}: {report.why(name)}"
        for name, test in report.tests.items()
        if test.kind is not Kind.CHECK and report.verdict(name) in BAD
    ]


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cache_conformance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these caches")
    parser.add_argument("--failures", action="store_true", help="list what failed and why")
    chosen = parser.parse_args()
    cache_suite.install()
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---" * len(COLUMNS) + "|")
    for cache in CACHES:
        if chosen.only and not {cache.name, cache.title.lower()} & set(map(str.lower, chosen.only)):
            continue
        try:
            report = measure(cache)
            print("| " + " | ".join(row(cache, report)) + " |", flush=True)
        except DidNotStart as error:
            print(f"{cache.title}: {error}", flush=True)
            continue
        if chosen.failures:
            print("\n".join(failures(report)), flush=True)


if __name__ == "__main__":
    main()
