"""Conditional requests, in the order of RFC 9110 section 13.2.2."""

from __future__ import annotations

import pytest

from proxykit.message.preconditions import Outcome, Validators, judge, range_is_wanted

MODIFIED = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = b"Sun, 06 Nov 1994 08:49:36 GMT"
LATER = b"Sun, 06 Nov 1994 08:49:38 GMT"
FILE = Validators(b'"v1"', MODIFIED)


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, Outcome.PERFORM),
        ({"if-none-match": b'"v1"'}, Outcome.NOT_MODIFIED),
        ({"if-none-match": b'W/"v1"'}, Outcome.NOT_MODIFIED),
        ({"if-none-match": b'"v0", "v1"'}, Outcome.NOT_MODIFIED),
        ({"if-none-match": b"*"}, Outcome.NOT_MODIFIED),
        ({"if-none-match": b'"v2"'}, Outcome.PERFORM),
        ({"if-none-match": b'"x\\"v1"'}, Outcome.PERFORM),
        ({"if-none-match": b"v1"}, Outcome.PERFORM),
        ({"if-modified-since": DATE}, Outcome.NOT_MODIFIED),
        ({"if-modified-since": LATER}, Outcome.NOT_MODIFIED),
        ({"if-modified-since": EARLIER}, Outcome.PERFORM),
        ({"if-modified-since": b"Sunday, 06-Nov-94 08:49:37 GMT"}, Outcome.NOT_MODIFIED),
        ({"if-modified-since": b"Sun Nov  6 08:49:37 1994"}, Outcome.NOT_MODIFIED),
        ({"if-modified-since": b"yesterday"}, Outcome.PERFORM),
        ({"if-modified-since": b"Sun, 06 Nov 1994 09:49:37 +0100"}, Outcome.PERFORM),
        ({"if-none-match": b'"v2"', "if-modified-since": DATE}, Outcome.PERFORM),
        ({"if-match": b'"v1"'}, Outcome.PERFORM),
        ({"if-match": b"*"}, Outcome.PERFORM),
        ({"if-match": b'W/"v1"'}, Outcome.FAILED),
        ({"if-match": b'"v2"'}, Outcome.FAILED),
        ({"if-match": b'"v1"', "if-unmodified-since": EARLIER}, Outcome.PERFORM),
        ({"if-unmodified-since": EARLIER}, Outcome.FAILED),
        ({"if-unmodified-since": DATE}, Outcome.PERFORM),
        ({"if-match": b'"v2"', "if-none-match": b'"v1"'}, Outcome.FAILED),
    ],
)
def test_what_a_requests_preconditions_come_to(fields, outcome):
    assert judge(lambda name: fields.get(name.decode()), FILE) is outcome


@pytest.mark.parametrize(
    ("if_range", "now", "wanted"),
    [
        (None, MODIFIED, True),
        (b'"v1"', MODIFIED, True),
        (b'"v2"', MODIFIED, False),
        (b'W/"v1"', MODIFIED, False),
        (DATE, MODIFIED + 60, True),
        (DATE, MODIFIED, False),
        (LATER, MODIFIED + 60, False),
        (b"nonsense", MODIFIED + 60, False),
    ],
)
def test_if_range_needs_a_strong_validator(if_range, now, wanted):
    fields = {b"if-range": if_range}

    assert range_is_wanted(fields.get, FILE, now) is wanted
