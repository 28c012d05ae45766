"""Access logs: their formats, and what happens to their files."""

from __future__ import annotations

import errno
import json
import os
from itertools import pairwise

import attrs
import pytest
from twisted.internet.task import Clock

from proxykit.engine.record import ExchangeRecord
from proxykit.errors import ConfigurationError
from proxykit.observe.access_log import AccessLog
from proxykit.observe.log_formats import combined, common, compile_format, json_line
from tests.observe.records import RECORD


def test_the_common_and_the_combined_format():
    line = common(RECORD)

    assert line.startswith("192.0.2.1 - ada [")
    assert line.endswith('] "GET /a?b HTTP/1.1" 200 7')
    assert combined(RECORD) == line + ' "-" "curl \\x228\\x22"'


def test_json_says_everything():
    said = json.loads(json_line(RECORD))

    assert said["duration_ms"] == 12.5
    assert said["id"] == "e-1"
    assert len(said) == len(attrs.fields(ExchangeRecord))


@pytest.mark.parametrize(
    "log_format", ["common", "combined", "json", "{target} {user_agent} {user}"]
)
@pytest.mark.parametrize("hostile", [b"a\nb", b"a\r\nb", b"\x1b[31m", b"\xff\xfe", b"\x7f"])
def test_no_line_can_be_forged(log_format, hostile):
    record = attrs.evolve(
        RECORD, target=hostile, user_agent=hostile, referer=hostile, user=hostile.decode("latin-1")
    )

    line = compile_format(log_format)(record)

    assert line.isprintable()
    assert line.isascii()


@pytest.mark.parametrize(
    "text",
    [
        "{nothing}", "{unclosed", "no field",
        "{status:q}", "{status:{width}}",
        "{upstream_ms:.1f}",  # there is none where no server was asked
    ],
)  # fmt: skip
def test_a_format_that_says_nothing_sensible_is_refused(text):
    with pytest.raises(ConfigurationError):
        compile_format(text)


def test_lines_are_buffered_for_a_second(tmp_path):
    clock, path = Clock(), tmp_path / "log"
    log = AccessLog(str(path), "{target}", clock)
    log.start()

    log.finished(RECORD)
    log.finished(RECORD)
    assert path.read_text() == ""
    clock.advance(1)

    assert path.read_text() == "/a?b\n/a?b\n"
    log.stop()


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path):
    path, old = tmp_path / "log", tmp_path / "log.1"
    log = AccessLog(str(path), "{target}", Clock())
    log.start()
    log.finished(RECORD)
    os.rename(path, old)

    log.reopen()
    log.finished(RECORD)
    log.stop()

    assert (old.read_text(), path.read_text()) == ("/a?b\n", "/a?b\n")


def test_what_began_under_a_log_that_was_replaced_is_in_the_new_one(tmp_path):
    clock = Clock()
    logs = [AccessLog(str(tmp_path / str(n)), f"{n} {{target}}", clock) for n in range(3)]
    logs[0].start()
    logs[0].finished(RECORD)
    for before, after in pairwise(logs):
        after.start()
        before.give_way(after)

    logs[0].finished(RECORD)
    logs[1].finished(RECORD)
    logs[2].stop()

    lines = [(tmp_path / str(n)).read_text() for n in range(3)]
    assert lines == ["0 /a?b\n", "", "2 /a?b\n2 /a?b\n"]
    assert not any(log.dropped for log in logs)
    assert not clock.getDelayedCalls()


def test_a_line_that_a_full_disk_cuts_does_not_run_into_the_next(tmp_path, monkeypatch):
    path = tmp_path / "access.log"
    log = AccessLog(str(path), "{target}", Clock())
    log.start()
    room = [7]
    write = os.write

    def short_of_room(descriptor, data):
        if not room[0]:
            raise OSError(errno.ENOSPC, "no space")
        taken, room[0] = data[: room[0]], max(0, room[0] - len(data))
        return write(descriptor, taken)

    monkeypatch.setattr(os, "write", short_of_room)
    for _ in range(3):
        log.finished(RECORD)
    log.flush()
    room[0] = 1000
    log.finished(RECORD)
    log.stop()

    assert path.read_text().splitlines() == ["/a?b", "/a", "/a?b"]
    assert log.dropped == 2


def test_a_full_disk_costs_lines_and_nothing_else():
    log = AccessLog("/dev/full", "{target}", Clock())
    log.start()

    log.finished(RECORD)
    log.flush()
    log.finished(RECORD)
    log.stop()

    assert log.dropped == 2
