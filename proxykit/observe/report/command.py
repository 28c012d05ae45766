"""The command ``proxykit report``."""

from __future__ import annotations

import argparse
import os
import sys
import zlib
from collections.abc import Callable
from typing import IO, Any

from .entries import entries
from .output import write_csv, write_json, write_text
from .selection import Selection, parse_moment
from .tables import TABLES, Report

_DESCRIPTION = (
    'Sums up JSON access logs ([log] format = "json"): who fetched what, when, how much, and '
    "what was refused why. Memory does not grow with the log."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a log, gzipped or not; - is standard input"
    )
    parser.add_argument(
        "--from",
        dest="since",
        metavar="TIME",
        help="2026-05-01, 2026-05-01T13:00, or 24h for so long ago",
    )
    parser.add_argument(
        "--to", dest="until", metavar="TIME", help="the same, not included; a day alone is included"
    )
    parser.add_argument("--user", help="only this user")
    parser.add_argument("--client", metavar="ADDRESS", help="only this client, as the log has it")
    parser.add_argument(
        "--host", help="only this host; .a.example with all below, *.a.example all below"
    )
    parser.add_argument(
        "--top", type=_positive, default=10, metavar="N", help="rows of each table (10)"
    )
    parser.add_argument(
        "--by", choices=("requests", "bytes"), default="requests", help="what ranks rows"
    )
    parser.add_argument("--table", action="append", choices=TABLES, help="only this table; repeats")
    parser.add_argument("--utc", action="store_true", help="times are UTC, else local")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", dest="write", action="store_const", const=write_json, help="write JSON"
    )
    form.add_argument(
        "--csv", dest="write", action="store_const", const=write_csv, help="write CSV"
    )
    parser.set_defaults(write=write_text, run=run)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("a table has at least one row")
    return value


def run(chosen: argparse.Namespace) -> int:
    """Write the report.

    :returns: the exit status: 1 when a log could not be read to its end, or is none of ours.
    """
    try:
        selection = Selection(
            _moment(chosen.since, utc=chosen.utc, end=False),
            _moment(chosen.until, utc=chosen.utc, end=True),
            chosen.user,
            chosen.client,
            chosen.host,
        )
    except ValueError as error:
        return _complain(str(error))
    report = Report(chosen.table or TABLES, rank=chosen.by, utc=chosen.utc)
    matches = selection.matcher()
    status = 0
    for file in chosen.files:
        try:
            with _opened(file) as stream:
                report.read(entries(stream), matches)
        except (OSError, EOFError, zlib.error) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            status = _complain(f"{file} cannot be read to its end: {why}")
    if report.lines and report.malformed == report.lines:
        status = _complain('this is no JSON access log: set format = "json" in [log]')
    return _write(chosen.write, report, chosen) or status


def _moment(text: str | None, *, utc: bool, end: bool) -> float | None:
    return None if text is None else parse_moment(text, utc=utc, end=end)


def _opened(file: str) -> IO[bytes]:
    # Standard input stays open for whoever runs this.
    return os.fdopen(os.dup(0), "rb") if file == "-" else open(file, "rb")


def _write(write: Callable[..., Any], report: Report, chosen: argparse.Namespace) -> int:
    try:
        write(report, chosen.top, sys.stdout, utc=chosen.utc)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough. Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return 0


def _complain(text: str) -> int:
    print(text, file=sys.stderr)
    return 1
