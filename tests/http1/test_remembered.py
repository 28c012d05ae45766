"""Sections that come again are not parsed again, and what never repeats costs no memory."""

from __future__ import annotations

import pytest

from proxykit.errors import BadRequest
from proxykit.http1 import remembered
from proxykit.http1.remembered import RememberedSections


def test_a_section_that_comes_again_is_the_same_object_from_the_second_time_on():
    sections = RememberedSections(BadRequest)

    first, second, third = (sections.parse(b"A: 1\r\n", 9) for _ in range(3))

    assert first is not second
    assert second is third


def test_sections_that_never_repeat_push_out_none_that_do(monkeypatch):
    monkeypatch.setattr(remembered, "_ENTRIES", 8)
    sections = RememberedSections(BadRequest)
    known = [sections.parse(b"A: 1\r\n", 9) for _ in range(2)][-1]

    for number in range(100):
        sections.parse(b"A: x%d\r\n" % number, 9)

    assert sections.parse(b"A: 1\r\n", 9) is known


def test_the_tables_are_bounded(monkeypatch):
    monkeypatch.setattr(remembered, "_ENTRIES", 8)
    monkeypatch.setattr(remembered, "_MARKS", 16)
    sections = RememberedSections(BadRequest)

    for number in range(100):
        for _ in range(2):
            sections.parse(b"A: %d\r\n" % number, 9)
        assert len(sections._sections) <= 8
        assert len(sections._marks) <= 16


@pytest.mark.parametrize(
    ("block", "lines"),
    [
        (b"A: 1\r\nB: 2\r\n", b"A: 1\r\nB: 2\r\n"),
        (b"A:1\r\n", b"A:1\r\n"),
        (b"A:   1\r\n", b"A: 1\r\n"),
        (b"A:\t1\r\n", b"A: 1\r\n"),
        (b"A: 1 \r\n", b"A: 1\r\n"),
        (b"A: 1\t\r\n", b"A: 1\r\n"),
        (b"A: \r\n", b"A: \r\n"),
    ],
)
def test_what_is_passed_on_has_no_needless_white_space(block, lines):
    section = RememberedSections(BadRequest).parse(block, 9)

    assert section.lines == lines
    assert section.fields[0][1] in (b"1", b"")
