"""The report of a run: one table of everything, and one for each case."""

from __future__ import annotations

from benchmarks.cases import CASES, Case
from benchmarks.results import YARDSTICK, Outcome, Results, Spread

NOTHING = "–"
DISTURBED = 0.05
"""The share of foreign work on the core from which a table says that it was there."""


def measured_cases(results: Results) -> list[Case]:
    """Return the cases of a run, in their usual order."""
    names = {outcome.case for outcome in results.outcomes}
    return [case for case in CASES if case.name in names]


def summary(results: Results) -> str:
    """Return the figures for a terminal: a line for each program in each case."""
    lines = []
    for case in measured_cases(results):
        lines.append(f"{case.name}: {case.kind.cost_unit}; as a multiple of {YARDSTICK}'s")
        yardstick = results.outcome(case.name, YARDSTICK)
        for outcome in results.of_case(case.name):
            cost, ratio = outcome.cost, outcome.ratio_to(yardstick)
            said = f"{spread_text(cost):>28}   {spread_text(ratio):>22}"
            lines.append(f"  {outcome.peer:10}{said}  {outcome.reason}".rstrip())
    lines.append("each: median (least to greatest)")
    return "\n".join(lines)


def markdown(results: Results) -> str:
    """Return the whole report as Markdown."""
    machine, run = results.machine, results.run
    parts = [
        f"# Benchmarks of {run['date']}",
        f"Proxykit at commit `{run['commit']}`. {machine['cpu']}"
        f"{' (virtual machine)' if machine['virtual'] else ''}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Linux {machine['kernel']}, "
        f"Python {machine['python']}, {machine['openssl_of_python']}.",
        f"{run['rounds']} interleaved rounds of {run['seconds']} s for each program in each case; "
        f"the program under test on core {run['proxy_core']}, load and origin on core "
        f"{run['load_core']}; load average before: {machine['load_average_before'][0]}. "
        "What each case does is in `docs/benchmarks.md`. CPU time is the sum over the program's "
        "processes, user and system; less is better.",
        "## All cases",
        overview(results),
    ]
    for case in measured_cases(results):
        parts += [f"## {case.name}: {case.title}", case_table(results, case)]
        parts += footnotes(results, case)
    parts += ["## Programs", programs_table(results)]
    return "\n\n".join(parts) + "\n"


def overview(results: Results) -> str:
    """Return the table of median costs, with the ratio to the yardstick in parentheses."""
    cases = measured_cases(results)
    rows = [["program", *(f"{case.name}<br>{case.kind.cost_unit}" for case in cases)]]
    for program in results.programs:
        row = [program.name]
        for case in cases:
            outcome = results.outcome(case.name, program.name)
            row.append(overview_cell(outcome, results.outcome(case.name, YARDSTICK)))
        rows.append(row)
    return table(rows)


def overview_cell(outcome: Outcome | None, yardstick: Outcome | None) -> str:
    """Return the cell of one program in one case."""
    if outcome is None:
        return NOTHING
    if outcome.cost is None:
        return "did not start" if outcome.failure.startswith("did not start") else "void"
    ratio = outcome.ratio_to(yardstick)
    mark = "\\*" if outcome.remark or outcome.reason else ""
    return f"{figure(outcome.cost.median)}{f' ({ratio.median:.2f})' if ratio else ''}{mark}"


def case_table(results: Results, case: Case) -> str:
    """Return the table of one case, with the spreads."""
    head = ["program", case.kind.cost_unit, f"ratio to {YARDSTICK}", case.kind.rate_unit]
    rows = [[*head, "core busy"]]
    yardstick = results.outcome(case.name, YARDSTICK)
    for outcome in results.of_case(case.name):
        if outcome.cost is None or outcome.rate is None:
            rows.append([outcome.peer, outcome.reason or "no figure", NOTHING, NOTHING, NOTHING])
            continue
        busy = Spread.of([sample.busy for sample in outcome.good])
        rows.append(
            [
                outcome.peer,
                spread_text(outcome.cost),
                spread_text(outcome.ratio_to(yardstick)),
                figure(outcome.rate.median),
                f"{busy.median:.0%}" if busy and busy.median else NOTHING,
            ]
        )
    return table(rows)


def footnotes(results: Results, case: Case) -> list[str]:
    """Return what a reader of a case's table must know beside it, as one list or nothing."""
    notes = []
    for outcome in results.of_case(case.name):
        if outcome.remark:
            notes.append(f"- {outcome.peer}: {outcome.remark}.")
        void = len(outcome.samples) - len(outcome.good)
        if void and outcome.cost:
            notes.append(f"- {outcome.peer}: {void} void rounds: {outcome.reason}.")
        disturbed = Spread.of([sample.disturbed for sample in outcome.good])
        if disturbed and disturbed.greatest > DISTURBED:
            notes.append(
                f"- {outcome.peer}: something else worked on its core for up to "
                f"{disturbed.greatest:.0%} of the time."
            )
    return ["\n".join(notes)] if notes else []


def programs_table(results: Results) -> str:
    """Return the table of versions and settings."""
    rows = [["program", "version", "access log", "settings"]]
    rows += [[each.name, each.version, each.log, each.tuning] for each in results.programs]
    return table(rows)


def spread_text(spread: Spread | None) -> str:
    """Return `median (least–greatest)`."""
    if spread is None:
        return NOTHING
    least, median, greatest = (
        figure(each) for each in (spread.least, spread.median, spread.greatest)
    )
    return f"{median} ({least}–{greatest})"


def figure(value: float) -> str:
    """Return a figure with three significant digits, and thousands apart."""
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows: list[list[str]]) -> str:
    """Return a Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(each.replace("|", "\\|") for each in row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)
