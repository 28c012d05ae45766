"""Range and Content-Range: RFC 9110 section 14."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.caching.ranges import (
    Span,
    content_range,
    parse_content_range,
    parse_range,
    reasonable,
)


@pytest.mark.parametrize(
    ("value", "spans"),
    [
        (b"bytes=0-0", [(0, 1)]),
        (b"bytes=0-499", [(0, 100)]),
        (b"BYTES = 90-", None),
        (b"bytes=90-", [(90, 100)]),
        (b"bytes=-10", [(90, 100)]),
        (b"bytes=-1000", [(0, 100)]),
        (b"bytes=-0", []),
        (b"bytes=100-", []),
        (b"bytes=0-1, 5-6 ,-1", [(0, 2), (5, 7), (99, 100)]),
        (b"bytes=0-1,200-300", [(0, 2)]),
        (b"bytes=5-4", None),
        (b"bytes=", None),
        (b"bytes=-", None),
        (b"bytes=a-b", None),
        (b"lines=0-1", None),
        (b"bytes=" + b",".join([b"0-0"] * 40), None),
        (b"bytes=0-99999999999999999999", [(0, 100)]),
        (b"bytes=-99999999999999999999", [(0, 100)]),
        (b"bytes=99999999999999999999-", []),
        (b"bytes=99999999999999999998-99999999999999999999", []),
        (b"bytes=99999999999999999999-99999999999999999998", None),
        (b"bytes=0-" + b"9" * 500, [(0, 100)]),
    ],
)
def test_ranges_of_a_hundred_bytes(value, spans):
    parsed = parse_range(value)
    if spans is None and value != b"BYTES = 90-":
        assert parsed is None
    elif spans is not None:
        assert [(span.start, span.stop) for span in parsed.spans(100)] == spans


@pytest.mark.parametrize(
    ("spans", "fine"),
    [
        ([(0, 100)], True),
        ([(0, 10), (20, 30)], True),
        ([(0, 10), (5, 30)], False),
        ([(20, 30), (0, 10)], False),
        ([(0, 50), (50, 100)], False),
    ],
)
def test_parts_that_overlap_or_are_no_less_than_the_whole_are_not_sent_as_parts(spans, fine):
    assert reasonable([Span(*each) for each in spans], 100) is fine


@pytest.mark.parametrize(
    "value", [None, b"bytes */100", b"bytes 5-4/10", b"bytes 0-10/10", b"items 0-1/2", b"bytes 0-1"]
)
def test_a_content_range_that_is_none(value):
    assert parse_content_range(value) is None


def test_a_content_range_is_read_back():
    parsed = parse_content_range(content_range(Span(3, 7), 10))
    assert (parsed.span, parsed.complete) == (Span(3, 7), 10)
    assert parse_content_range(b"bytes 0-1/*").complete is None


@given(st.binary(max_size=80), st.integers(0, 1000))
def test_no_bytes_make_the_parsers_fail_and_spans_lie_within(data, complete):
    parse_content_range(data)
    parsed = parse_range(b"bytes=" + data)
    for span in parsed.spans(complete) if parsed is not None else ():
        assert 0 <= span.start < span.stop <= complete
