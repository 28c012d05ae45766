"""The plot of a run: for each case, what every program spends as a multiple of nginx's."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from benchmarks.cases import Case
from benchmarks.report import figure, measured_cases
from benchmarks.results import YARDSTICK, Results

COLUMNS = 3
OURS, SCALE, OTHERS = "#c2410c", "#1f2937", "#94a3b8"


def draw(results: Results, path: Path) -> None:
    """Draw all cases that have a figure into a PNG file."""
    cases = [case for case in measured_cases(results) if bars(results, case)]
    if not cases:
        return
    rows = math.ceil(len(cases) / COLUMNS)
    drawing, axes = pyplot.subplots(
        rows, COLUMNS, figsize=(15, 2.9 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(cases) :]:
        axis.set_visible(False)
    for case, axis in zip(cases, axes.flat, strict=False):
        draw_case(results, case, axis)
    machine, run = results.machine, results.run
    drawing.suptitle(
        f"Cost as a multiple of {YARDSTICK}'s, less is better (logarithmic).  "
        f"{run['date']}, {run['commit']}, {machine['cpu']}, {machine['cores']} cores"
    )
    drawing.savefig(path, dpi=100)
    pyplot.close(drawing)


def bars(results: Results, case: Case) -> list[tuple[str, float, str]]:
    """Return name, ratio and label of each bar, the cheapest first."""
    yardstick = results.outcome(case.name, YARDSTICK)
    found = []
    for outcome in results.of_case(case.name):
        ratio = outcome.ratio_to(yardstick)
        if ratio is None or outcome.cost is None or ratio.median <= 0:
            continue
        label = f"{figure(ratio.median)}×  ({figure(outcome.cost.median)})"
        found.append((outcome.peer, ratio.median, label))
    return sorted(found, key=lambda bar: bar[1])


def draw_case(results: Results, case: Case, axis: Axes) -> None:
    """Draw the bars of one case."""
    found = bars(results, case)
    names = [name for name, _, _ in found]
    ratios = [ratio for _, ratio, _ in found]
    colours = [{"proxykit": OURS, YARDSTICK: SCALE}.get(name, OTHERS) for name in names]
    drawn = axis.barh(names, ratios, color=colours)
    axis.bar_label(drawn, labels=[label for _, _, label in found], padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.set_xlim(min(0.5, *ratios) * 0.8, max(ratios) * 6)
    axis.axvline(1, color=SCALE, linewidth=0.8, linestyle=":")
    axis.set_title(f"{case.title}\n{case.kind.cost_unit}", fontsize=9)
    axis.tick_params(labelsize=8)
