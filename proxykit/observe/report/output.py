"""Writes a report as text for people, as JSON or as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any

from .counters import Row
from .tables import Report, Table

_FIGURES = ("requests", "refused", "failed", "received_bytes", "sent_bytes")
_HEADINGS = ("requests", "refused", "failed", "received", "sent")
# A column of a table of text; what is longer is cut.
_WIDEST = 48
_WIDEST_LAST = 100
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_text(report: Report, top: int, out: IO[str], *, utc: bool) -> None:
    """Write tables for a terminal.

    :param top: rows of a table that has many.
    :param utc: whether times are UTC's, or else local.
    """
    totals = report.totals
    out.write(
        f"{totals.requests} exchanges in {report.lines} lines, {report.malformed} malformed\n"
    )
    if report.first is None or report.last is None:
        return
    first, last = _moment(report.first, utc=utc), _moment(report.last, utc=utc)
    out.write(f"from {first} to {last}\n")
    out.write(
        f"{totals.refused} refused, {totals.failed} failed, {human_size(totals.received_bytes)} "
        f"received, {human_size(totals.sent_bytes)} sent\n"
    )
    for name, table in report.tables.items():
        rows = report.rows(name, top)
        if rows:
            out.write(f"\n{table.title}{_of_how_many(report, name, rows)}\n")
            for line in _aligned(table, rows):
                out.write(line.rstrip() + "\n")


def _of_how_many(report: Report, name: str, rows: list[Row]) -> str:
    names = report.names(name)
    if not report.is_exact(name):
        missed = max(row.missed for row in rows)
        return f" (more than {names}; each row may lack exchanges, at most {missed} by its rank)"
    return f" ({len(rows)} of {names})" if names > len(rows) else ""


def _aligned(table: Table, rows: list[Row]) -> Iterator[str]:
    lines = [(*table.columns, *_HEADINGS)]
    for row in rows:
        figures = (str(row.requests), str(row.refused), str(row.failed))
        sizes = (human_size(row.received_bytes), human_size(row.sent_bytes))
        last = len(row.name) - 1
        names = tuple(
            _cut(visible(part), _WIDEST_LAST if n == last > 0 else _WIDEST)
            for n, part in enumerate(row.name)
        )
        lines.append((*names, *figures, *sizes))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = len(table.columns)
    for line in lines:
        cells = [
            cell.ljust(width) if number < texts else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  " + "  ".join(cells)


def visible(text: str) -> str:
    """Give a text that does nothing to a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


def human_size(size: int) -> str:
    """Give a number of bytes in the unit in which it is short."""
    value = float(size)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


def _moment(seconds: float, *, utc: bool) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return (moment if utc else moment.astimezone()).isoformat(" ", "seconds")


def write_json(report: Report, top: int, out: IO[str], *, utc: bool) -> None:
    """Write one JSON object; see ``write_text``."""
    tables: dict[str, Any] = {}
    for name, table in report.tables.items():
        rows = report.rows(name, top)
        tables[name] = {
            "names": report.names(name),
            "exact": report.is_exact(name),
            "rows": [
                dict(zip(table.columns, row.name, strict=True))
                | _figures(row)
                | ({} if report.is_exact(name) else {"missed": row.missed})
                for row in rows
            ],
        }
    first, last = report.first, report.last
    said = {
        "lines": report.lines,
        "malformed": report.malformed,
        "first": None if first is None else _moment(first, utc=utc),
        "last": None if last is None else _moment(last, utc=utc),
        "totals": _figures(report.totals),
        "tables": tables,
    }
    json.dump(said, out, indent=2)
    out.write("\n")


def write_csv(report: Report, top: int, out: IO[str], *, utc: bool) -> None:
    """Write the rows of all tables as CSV (RFC 4180), the table's name in front.

    Names come from strangers: one that a spreadsheet would take for a formula is written with an
    apostrophe in front.
    """
    columns = max((len(table.columns) for table in report.tables.values()), default=1)
    writer = csv.writer(out)
    writer.writerow(["table", *(f"name_{n}" for n in range(1, columns + 1)), *_FIGURES])
    for name in report.tables:
        for row in report.rows(name, top):
            names = [_harmless(part) for part in row.name]
            names += [""] * (columns - len(names))
            writer.writerow([name, *names, *_figures(row).values()])


def _harmless(text: str) -> str:
    # A "-" alone, for nobody, is no formula.
    return f"'{text}" if text.startswith(_FORMULA) and text != "-" else text


def _figures(row: Row) -> dict[str, int]:
    return {name: getattr(row, name) for name in _FIGURES}
