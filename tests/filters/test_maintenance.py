"""The maintenance filter: on by option or by a file, a page, and who is served all the same."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from proxykit.errors import ConfigurationError
from proxykit.filters.maintenance import Maintenance, MaintenanceOptions
from tests.filters.exchanges import exchange


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def build(directory, clock=None, **options):
    return Maintenance(MaintenanceOptions.model_validate(options), directory, clock or Clock())


def ask(subject, clock=None, *fields, client="192.0.2.1"):
    request = exchange("/", *fields, client=client)
    request.started = clock.now if clock else 0.0
    return subject.request(request)


def test_it_is_on_when_it_is_there(tmp_path):
    answer = ask(build(tmp_path), None, "Accept: text/html")

    assert answer.status == 503
    assert answer.headers.get(b"retry-after") == b"300"
    assert answer.headers.get(b"cache-control") == b"no-store"
    assert answer.body.startswith(b"<!DOCTYPE html>")


def test_it_may_be_off(tmp_path):
    assert ask(build(tmp_path, on=False)) is None


def test_a_file_switches_it_within_a_second(tmp_path):
    clock = Clock()
    subject = build(tmp_path, clock, file="down", retry_after="90s")
    assert ask(subject, clock) is None

    (tmp_path / "down").touch()
    clock.now = 0.9
    assert ask(subject, clock) is None
    clock.now = 1.0
    assert ask(subject, clock).headers.get(b"retry-after") == b"90"

    (tmp_path / "down").unlink()
    clock.now = 2.0
    assert ask(subject, clock) is None


def test_a_file_that_cannot_be_looked_for_is_none(tmp_path):
    assert ask(build(tmp_path, file="x" * 300)) is None


def test_some_clients_are_served_all_the_same(tmp_path):
    subject = build(tmp_path, allow=["10.0.0.0/8", "2001:db8::/32"])

    assert ask(subject, client="10.1.2.3") is None
    assert ask(subject, client="2001:db8::1") is None
    assert ask(subject, client="192.0.2.1").status == 503
    assert ask(subject, client="").status == 503


def test_a_page_is_sent_and_read_again_when_it_changes(tmp_path):
    page = tmp_path / "sorry.html"
    page.write_text("first")
    clock = Clock()
    subject = build(tmp_path, clock, page="sorry.html")
    answer = ask(subject, clock)
    assert answer.body == b"first"
    assert answer.headers.get(b"content-type") == b"text/html; charset=utf-8"

    page.write_text("later")
    os.utime(page, (1, 1))
    clock.now = 5.0
    assert ask(subject, clock).body == b"later"

    page.unlink()
    clock.now = 10.0
    assert ask(subject, clock).body == b"later"


def test_a_page_that_cannot_be_read_is_an_error_when_it_is_loaded(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        build(tmp_path, page="none.html")


def test_options_that_make_no_sense():
    with pytest.raises(ValidationError):
        MaintenanceOptions.model_validate({"allow": ["here"]})
