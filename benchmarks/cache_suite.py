"""The cache tests by the people of the HTTP working group, run against one cache.

The suite is the npm package ``http-cache-tests``, which ``tests/install-cache-tests`` installs; see
https://cache-tests.fyi for what each of its tests does.
"""

from __future__ import annotations

import enum
import json
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[1]
INSTALLER = ROOT / "tests/install-cache-tests"
INSTALLED = ROOT / ".venv/cache-tests"
_RUNNER = Path(__file__).with_suffix(".mjs")


class Kind(enum.Enum):
    """What it means when a test does not pass."""

    REQUIRED = "required"  # a requirement is not met
    OPTIMAL = "optimal"  # a chance is missed
    CHECK = "check"  # neither: it is a question


class Verdict(enum.Enum):
    """What came of a test."""

    PASSED = "passed"
    FAILED = "failed"
    SETUP_FAILED = "could not be set up"
    DEPENDENCY_FAILED = "says nothing, for what it builds on failed"
    NOT_RUN = "not run"


@frozen
class SuiteTest:
    """One test.

    Attributes:
        suite: the name of the group that it is in.
        depends_on: tests without which this one says nothing.
    """

    suite: str
    id: str
    kind: Kind
    depends_on: tuple[str, ...] = ()


@frozen
class Report:
    """What came of a run.

    Attributes:
        tests: all tests by their ids, in the suite's order.
        results: what the suite says: `True`, or two strings, the second of which says why not.
    """

    tests: Mapping[str, SuiteTest]
    results: Mapping[str, object]

    def verdict(self, name: str) -> Verdict:
        """Return what came of a test, by the suite's own rules."""
        result = self.results.get(name)
        if result is None:
            return Verdict.NOT_RUN
        for each in self.tests[name].depends_on:
            if each in self.tests and self.verdict(each) is not Verdict.PASSED:
                return Verdict.DEPENDENCY_FAILED
        if result is True:
            return Verdict.PASSED
        assert isinstance(result, list)
        return Verdict.SETUP_FAILED if result[0] == "Setup" else Verdict.FAILED

    def why(self, name: str) -> str:
        """Return in a sentence why a test did not pass."""
        result = self.results.get(name)
        said = result[1] if isinstance(result, list) else ""
        return f"{name}: {self.verdict(name).value}. {said}"

    def count(self, kind: Kind, *verdicts: Verdict) -> int:
        """Return how many tests of a kind came to one of some verdicts."""
        return sum(
            test.kind is kind and self.verdict(name) in verdicts
            for name, test in self.tests.items()
        )


def install() -> None:
    """Install the suite, unless it is there.

    Raises:
        subprocess.CalledProcessError: that failed; npm and a network are needed.
    """
    subprocess.run([INSTALLER, INSTALLED], check=True, timeout=120)


def run_again(report: Report, origin: int, url: str, names: Iterable[str]) -> Report:
    """Run some tests once more, and those that they depend on, fewer at a time.

    On a busy machine things get stale before they are asked for.

    Returns:
        the report, with what came of them now.
    """
    chosen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in report.tests and name not in chosen:
            chosen.add(name)
            waiting += report.tests[name].depends_on
    if not chosen:
        return report
    again = run(origin, url, together=40, seconds=30, only=sorted(chosen))
    return Report(report.tests, {**report.results, **again.results})


def run(
    origin: int, url: str, *, together: int, seconds: float = 60.0, only: Iterable[str] = ()
) -> Report:
    """Run the suite.

    Args:
        origin: the port on 127.0.0.1 where its origin is to listen; the cache asks there.
        url: of the cache, without a final slash.
        together: how many tests run at a time. Many wait three seconds for something to get stale.
        seconds: how long at the most; what has not come to its end by then is not in the report.
        only: the ids of the tests to run; none: all.

    Raises:
        subprocess.SubprocessError: the runner failed.
    """
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "output.json"
        command = ["node", "--no-warnings", _RUNNER, INSTALLED, str(origin), url, str(together)]
        subprocess.run(
            [*command, str(seconds), output, *only],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=seconds + 15,
        )
        said = json.loads(output.read_text())
    tests = {
        each["id"]: SuiteTest(
            each["suite"], each["id"], Kind(each["kind"]), tuple(each["depends_on"])
        )
        for each in said["tests"]
    }
    return Report(tests, said["results"])
