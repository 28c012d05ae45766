"""What was measured, as values, and as JSON."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from attrs import asdict, define, field, frozen

YARDSTICK = "nginx"
"""The program whose cost is 1 in every table."""


@frozen
class Sample:
    """One round of one program in one case.

    Attributes:
        cost: what it spent, in the case's `cost_unit`.
        rate: how fast it went, in the case's `rate_unit`.
        busy: the share of the time for which the program's core worked for the program, 0 to 1.
        disturbed: the share for which that core worked for anything else, 0 to 1.
        void: why this sample says nothing, or an empty string.
        detail: further figures, by name.
    """

    cost: float
    rate: float
    busy: float = 0.0
    disturbed: float = 0.0
    void: str = ""
    detail: dict[str, float] = field(factory=dict)


@frozen
class Spread:
    """The least, middle and greatest of some figures."""

    least: float
    median: float
    greatest: float

    @classmethod
    def of(cls, figures: list[float]) -> Spread | None:
        """Return the spread of figures, or None when there are none."""
        if not figures:
            return None
        return cls(min(figures), statistics.median(figures), max(figures))


@define
class Outcome:
    """All rounds of one program in one case.

    Attributes:
        peer: the program's name.
        case: the case's name.
        remark: what a reader must know of it, such as that it does something else in this case.
        samples: one for each round, in order.
        failure: why there is none, or an empty string.
    """

    peer: str
    case: str
    remark: str = ""
    samples: list[Sample] = field(factory=list)
    failure: str = ""

    @property
    def good(self) -> list[Sample]:
        """The samples that are not void."""
        return [sample for sample in self.samples if not sample.void]

    @property
    def cost(self) -> Spread | None:
        """The spread of what it spent, None when no sample is good."""
        return Spread.of([sample.cost for sample in self.good])

    @property
    def rate(self) -> Spread | None:
        """The spread of how fast it went, None when no sample is good."""
        return Spread.of([sample.rate for sample in self.good])

    @property
    def reason(self) -> str:
        """Why there is no figure, or why some rounds are void; else an empty string."""
        return self.failure or next((each.void for each in self.samples if each.void), "")

    def ratio_to(self, yardstick: Outcome | None) -> Spread | None:
        """Return the spread of this cost over another's, compared round by round.

        Rounds are paired because a machine that is slow for a while is slow for both.
        """
        if yardstick is None:
            return None
        pairs = zip(self.samples, yardstick.samples, strict=False)
        return Spread.of(
            [ours.cost / theirs.cost for ours, theirs in pairs if not ours.void + theirs.void]
        )


@define
class Program:
    """A program under test, as the results describe it."""

    name: str
    version: str
    log: str
    tuning: str


@define
class Results:
    """One run of the benchmarks."""

    machine: dict[str, Any]
    run: dict[str, Any]
    programs: list[Program] = field(factory=list)
    outcomes: list[Outcome] = field(factory=list)

    def outcome(self, case: str, peer: str) -> Outcome | None:
        """Return the outcome of a program in a case, None when it did not take part."""
        for outcome in self.outcomes:
            if (outcome.case, outcome.peer) == (case, peer):
                return outcome
        return None

    def of_case(self, case: str) -> list[Outcome]:
        """Return the outcomes of a case in the order of the programs."""
        return [outcome for outcome in self.outcomes if outcome.case == case]


def write_json(results: Results, path: Path) -> None:
    """Write everything that is known of a run."""
    text = json.dumps(asdict(results), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Results:
    """Read what `write_json` wrote, so that a report can be made anew from it."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return Results(
        machine=data["machine"],
        run=data["run"],
        programs=[Program(**each) for each in data["programs"]],
        outcomes=[
            Outcome(**{**each, "samples": [Sample(**sample) for sample in each["samples"]]})
            for each in data["outcomes"]
        ],
    )
