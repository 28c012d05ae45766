"""``proxykit report``: what it counts, what it leaves out, and what it cannot be made to do."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.command import main
from proxykit.observe.report.counters import Counters
from proxykit.observe.report.entries import Entry, entries
from proxykit.observe.report.output import human_size
from proxykit.observe.report.selection import Selection, parse_moment
from proxykit.observe.report.tables import TABLES, Report

DAY = 1_777_593_600  # 2026-05-01T00:00Z


def line(**said):
    values = {
        "time": DAY + 0.5,
        "client_address": "192.0.2.1",
        "user": "",
        "host": "a.example",
        "status": 200,
        "received_bytes": 0,
        "sent_bytes": 10,
        "error": "",
        "detail": "",
    }
    return json.dumps(values | said)


DENIED = {"status": 403, "error": "http_request_denied", "sent_bytes": 0}
LINES = [
    line(user="ada", sent_bytes=1000),
    line(user="ada", host="b.example", time=DAY + 3600),
    line(user="bob", host="b.example", time=DAY + 3601, received_bytes=7),
    line(
        user="bob", host="c.b.example", detail="the access rule 'no' does not allow this", **DENIED
    ),
    line(client_address="192.0.2.9", status=502, error="dns_error", detail="x does not resolve"),
    "this is no entry",
    '{"time": "yesterday", "status": 200}',
    "",
]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "access.log"
    path.write_text("\n".join(LINES))
    return str(path)


@pytest.fixture
def report(capsys):
    def run(*arguments):
        status = main(["report", "--utc", *arguments])
        written = capsys.readouterr()
        return status, written.out, written.err

    return run


def rows_of(said, table):
    return {next(iter(row.values())): row for row in said["tables"][table]["rows"]}


def test_it_says_who_fetched_what_when_how_much_and_what_was_refused_why(report, log):
    status, text, _ = report("--json", log)

    said = json.loads(text)
    assert status == 0
    assert (said["lines"], said["malformed"], said["totals"]["requests"]) == (7, 2, 5)
    users = rows_of(said, "users")
    assert users["ada"]["requests"] == 2
    assert users["ada"]["sent_bytes"] == 1010
    assert (users["bob"]["refused"], users["bob"]["received_bytes"]) == (1, 7)
    assert users["-"]["failed"] == 1
    assert rows_of(said, "hosts")["b.example"]["requests"] == 2
    assert {row["who"] for row in said["tables"]["visits"]["rows"]} == {"ada", "bob", "192.0.2.9"}
    hours = {name: row["requests"] for name, row in rows_of(said, "hours").items()}
    assert hours == {"2026-05-01 00:00": 3, "2026-05-01 01:00": 2}
    refusals = [(row["status"], row["error"]) for row in said["tables"]["refusals"]["rows"]]
    assert sorted(refusals) == [("403", "http_request_denied"), ("502", "dns_error")]


def test_the_text_has_every_table_and_ends_no_line_in_space(report, log):
    status, text, _ = report(log)

    assert status == 0
    for title in ("Users", "Clients", "Hosts", "Who fetched from where", "Hours", "Refused"):
        assert f"\n{title}" in text
    assert "the access rule 'no' does not allow this" in text
    assert "1.0 KiB" in text
    assert not any(each.endswith(" ") for each in text.splitlines())


def test_csv_has_the_same_figures(report, log):
    _, text, _ = report("--csv", "--table", "users", "--table", "refusals", log)

    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["table"] for row in rows} == {"users", "refusals"}
    assert next(row for row in rows if row["name_1"] == "ada")["sent_bytes"] == "1010"
    assert all(None not in row for row in rows)


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        ([], 5),
        (["--user", "ada"], 2),
        (["--client", "192.0.2.9"], 1),
        (["--host", "b.example"], 2),
        (["--host", ".b.example"], 3),
        (["--host", "*.b.example"], 1),
        (["--host", "example"], 0),
        (["--from", "2026-05-01T01:00"], 2),
        (["--to", "2026-05-01T01:00"], 3),
        (["--from", "2026-05-01", "--to", "2026-05-01"], 5),
        (["--from", "2026-05-02"], 0),
        (["--to", "2026-05-01T03:00+03:00"], 0),
        (["--user", "bob", "--host", "b.example"], 1),
    ],
)
def test_a_report_can_be_about_some_of_it(report, log, options, requests):
    _, text, _ = report("--json", *options, log)

    assert json.loads(text)["totals"]["requests"] == requests


def test_several_files_gzipped_or_not_are_one_log(report, log, tmp_path):
    packed = tmp_path / "access.log.1"  # whatever its name says
    packed.write_bytes(gzip.compress("\n".join(LINES).encode()))

    _, text, _ = report("--json", log, str(packed))

    assert json.loads(text)["totals"]["requests"] == 10


def test_standard_input_is_read(log):
    import subprocess
    import sys

    with open(log, "rb") as stream:
        finished = subprocess.run(
            [sys.executable, "-m", "proxykit.command", "report", "--json", "-"],
            stdin=stream,
            capture_output=True,
            timeout=20,
            check=True,
        )

    assert json.loads(finished.stdout)["totals"]["requests"] == 5


def test_a_file_that_is_not_there_or_cut_short_is_told_and_the_rest_is_reported(
    report, log, tmp_path
):
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress("\n".join(LINES * 50).encode())[:-20])
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(gzip.compress(b"x" * 100, mtime=0)[:12] + b"\xff" * 40)

    status, text, errors = report("--json", "/nowhere", str(cut), str(damaged), log)

    assert status == 1
    assert json.loads(text)["totals"]["requests"] >= 5
    assert "/nowhere cannot be read" in errors
    assert "cut.gz cannot be read" in errors
    assert "damaged.gz cannot be read" in errors


def test_a_log_of_another_format_is_told(report, tmp_path):
    path = tmp_path / "combined.log"
    path.write_text('192.0.2.1 - - [01/May/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"\n')

    status, _, errors = report(str(path))

    assert status == 1
    assert 'format = "json"' in errors


@pytest.mark.parametrize("options", [["--from", "soon"], ["--to", "2026-13-01"]])
def test_a_time_that_is_none_is_told(report, log, options):
    status, _, errors = report(*options, log)

    assert status == 1
    assert "expected a time" in errors


def test_a_duration_is_so_long_ago_and_a_day_at_the_end_is_included():
    assert parse_moment("2h", utc=True, end=False, now=lambda: 10_000.0) == 2800.0
    assert parse_moment("2026-05-01", utc=True, end=False) == DAY
    assert parse_moment("2026-05-01", utc=True, end=True) == DAY + 86400


# --- hostile logs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        b"[]",
        b"null",
        b"5",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"time": NaN, "status": 200}',
        b'{"time": 1e400, "status": 200}',
        b'{"time": -1, "status": 200}',
        b'{"time": true, "status": 200}',
        b'{"time": 1, "status": "200"}',
        b'{"time": 1, "status": 200, "sent_bytes": -5}',
        b'{"time": 1, "status": 200, "sent_bytes": 1' + b"0" * 5000 + b"}",
        b'{"time": 1, "status": 200, "user": ["ada"]}',
        b'{"status": 200}',
        b'{"time": 1}',
        b'{"time": 1, "status": 200, "user": "' + b"x" * (2 * 1024 * 1024) + b'"}',
    ],
)
def test_a_malformed_line_is_counted_and_the_next_is_read(bad):
    stream = io.BufferedReader(io.BytesIO(bad + b"\n" + line().encode() + b"\n"))

    first, second = entries(stream)

    assert first is None
    assert second is not None


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_no_bytes_break_it(data):
    list(entries(io.BufferedReader(io.BytesIO(b"{" + data))))


def test_names_do_nothing_to_a_terminal_or_a_spreadsheet(report, tmp_path):
    path = tmp_path / "log"
    path.write_text(line(user="\x1b[31m\n\u202e", host='=HYPERLINK("x")'))

    _, text, _ = report(str(path))
    _, table, _ = report("--csv", str(path))

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert '=HYPERLINK("x")' in text
    assert not any(cell.startswith("=") for row in csv.reader(io.StringIO(table)) for cell in row)


def entry(host="a.example", sent=1):
    return Entry(float(DAY), "192.0.2.1", "", host, 200, 0, sent, "", "")


def test_memory_does_not_grow_with_the_log():
    def log(size):
        return (entry(f"{random.getrandbits(64):x}.example") for _ in range(size))

    def peak(size):
        report = Report(capacity=500)
        tracemalloc.start()
        try:
            report.read(log(size), Selection().matcher())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(20_000) < 1.5 * peak(3_000)


@pytest.mark.parametrize("seed", range(3))
def test_the_heaviest_names_are_found_among_more_names_than_rows(seed):
    chosen = random.Random(seed)
    truth = Counter({f"heavy-{n}": 2000 - 100 * n for n in range(5)})
    truth.update({f"light-{n}": chosen.randrange(1, 4) for n in range(4000)})
    names = list(truth.elements())
    chosen.shuffle(names)
    counters = Counters(lambda entry: 1, capacity=200)

    for name in names:
        counters.add((name,), entry())

    assert not counters.is_exact
    assert len(counters) == 200
    rows = counters.ranked()
    assert [row.name[0] for row in rows[:5]] == [f"heavy-{n}" for n in range(5)]
    for row in rows:
        # What the paper promises of each row, whatever the order of the names.
        assert row.requests <= truth[row.name[0]] <= row.requests + row.missed


def test_rows_are_ranked_by_bytes_if_asked(report, log):
    _, text, _ = report("--json", "--by", "bytes", "--top", "1", "--table", "hosts", log)

    hosts = json.loads(text)["tables"]["hosts"]
    assert [row["host"] for row in hosts["rows"]] == ["a.example"]
    assert hosts["names"] == 3


def test_the_tables_are_what_the_command_offers():
    assert set(Report().tables) == set(TABLES)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**3, "5.0 GiB"), (2**70, "1048576.0 PiB")],
)  # fmt: skip
def test_sizes_are_in_the_unit_in_which_they_are_short(size, text):
    assert human_size(size) == text
