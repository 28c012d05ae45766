"""Answers out of what is stored: RFC 9110 sections 13.2, 14.2, 15.3.7 and 15.4.5."""

from __future__ import annotations

import pytest

from proxykit.caching.answering import Asked, make_answer, status_for
from proxykit.caching.directives import NO_DIRECTIVES
from proxykit.caching.policy import RequestFacts, Terms
from proxykit.caching.ranges import Span, parse_range
from proxykit.caching.rules import CacheRules
from proxykit.caching.stored import StoredHead
from proxykit.message.fields import FieldSection
from proxykit.message.framing import NO_CONTENT

DATE = b"Fri, 02 Jan 2026 00:00:00 GMT"
MUST_BE_IN_A_304 = (
    (b"Cache-Control", b"max-age=60"),
    (b"Content-Location", b"/x"),
    (b"Date", DATE),
    (b"ETag", b'"a"'),
    (b"Expires", DATE),
    (b"Vary", b"Accept"),
)
OF_THE_CONTENT = (
    (b"Content-Type", b"text/css"),
    (b"Content-Encoding", b"gzip"),
    (b"Content-Language", b"de"),
    (b"Last-Modified", b"Thu, 01 Jan 2026 00:00:00 GMT"),
)


def asked(head_only=False, **fields):
    values = {name.replace("_", "-").encode(): value for name, value in fields.items()}
    method = b"HEAD" if head_only else b"GET"
    wanted = None if head_only else parse_range(values.get(b"range"))
    facts = RequestFacts(method, values)
    return Asked(b"key", CacheRules(), values, NO_DIRECTIVES, facts, wanted, head_only)


def stored(*fields, status=200, span=None, complete=10):
    section = FieldSection(fields or (*MUST_BE_IN_A_304, *OF_THE_CONTENT))
    return StoredHead(status, b"", 1, section, 0.0, 0.0, Terms(60.0), span=span, complete=complete)


def fields_of(answer):
    return {field for field in answer.response.section.fields if field[0] != b"Content-Length"}


def values_of(answer, name):
    return [value for key, value in answer.response.section.fields if key == name]


def test_a_304_has_what_updates_the_clients_own_and_nothing_that_describes_content():
    answer = make_answer(asked(if_none_match=b'"a"'), stored(), ())
    assert answer.response.status == 304
    assert fields_of(answer) == set(MUST_BE_IN_A_304)
    assert answer.response.framing is NO_CONTENT
    assert answer.segments == ()


def test_a_304_without_a_tag_says_when_the_content_was_modified():
    fields = [each for each in (*MUST_BE_IN_A_304, *OF_THE_CONTENT) if each[0] != b"ETag"]
    answer = make_answer(asked(if_modified_since=DATE), stored(*fields), ())
    assert answer.response.status == 304
    assert (b"Last-Modified", b"Thu, 01 Jan 2026 00:00:00 GMT") in fields_of(answer)


@pytest.mark.parametrize("value", [b"bytes=2-4", b"bytes=2-4, 100-200"])
def test_a_single_part_has_its_range_and_all_fields_of_the_whole(value):
    answer = make_answer(asked(range=value), stored(), ())
    assert answer.response.status == 206
    assert fields_of(answer) == {
        *MUST_BE_IN_A_304,
        *OF_THE_CONTENT,
        (b"Content-Range", b"bytes 2-4/10"),
    }
    assert values_of(answer, b"Content-Length") == [b"3"]
    assert answer.segments == (Span(2, 5),)


def test_several_parts_have_their_ranges_and_types_each_in_the_order_of_the_request():
    answer = make_answer(asked(range=b"bytes=0-1, 4-4, -2"), stored(), ())
    assert answer.response.status == 206
    assert values_of(answer, b"Content-Range") == []
    (kind,) = values_of(answer, b"Content-Type")
    boundary = kind.removeprefix(b"multipart/byteranges; boundary=")
    assert [each for each in answer.segments if isinstance(each, Span)] == [
        Span(0, 2),
        Span(4, 5),
        Span(8, 10),
    ]
    between = [each for each in answer.segments if isinstance(each, bytes)]
    for head, part in zip(between, (b"0-1", b"4-4", b"8-9"), strict=False):
        assert head.removeprefix(b"\r\n") == (
            b"--%s\r\nContent-Type: text/css\r\nContent-Range: bytes %s/10\r\n\r\n"
            % (boundary, part)
        )
    assert between[-1] == b"\r\n--%s--\r\n" % boundary


@pytest.mark.parametrize(
    ("request_fields", "status"),
    [
        ({"range": b"bytes=10-"}, 416),
        ({"range": b"bytes=-0"}, 416),
        ({"range": b"bytes=5-4"}, 200),
        ({"range": b"lines=0-1"}, 200),
        ({"range": b"bytes=5-6,0-1"}, 200),  # unordered
        ({"range": b"bytes=0-1", "head_only": True}, 200),
        # conditions first, then If-Range, then Range
        ({"range": b"bytes=0-1", "if_none_match": b'"a"'}, 304),
        ({"range": b"bytes=0-1", "if_none_match": b'"a"', "if_range": b'"x"'}, 304),
        ({"range": b"bytes=10-", "if_none_match": b'"a"'}, 304),
        ({"range": b"bytes=0-1", "if_none_match": b'"b"'}, 206),
        ({"range": b"bytes=0-1", "if_none_match": b'"b"', "if_range": b'"a"'}, 206),
        ({"range": b"bytes=0-1", "if_none_match": b'"b"', "if_range": b'"x"'}, 200),
        ({"range": b"bytes=0-1", "if_modified_since": DATE}, 304),
        ({"if_range": b'"x"'}, 200),
        ({"if_none_match": b'"a"', "head_only": True}, 304),
    ],
)
def test_conditions_and_ranges_in_their_order(request_fields, status):
    request = asked(**request_fields)
    assert make_answer(request, stored(), ()).response.status == status
    assert status_for(request, stored()) == status


def test_a_416_says_how_long_the_whole_is():
    answer = make_answer(asked(range=b"bytes=10-"), stored(), ())
    assert fields_of(answer) == {(b"Content-Range", b"bytes */10")}


@pytest.mark.parametrize("value", [b"bytes=0-", b"bytes=-5", b"bytes=7-8"])
def test_of_no_content_there_are_no_parts(value):
    answer = make_answer(asked(range=value), stored(complete=0), ())
    assert (answer.response.status, answer.segments) == (200, ())


@pytest.mark.parametrize("code", [203, 204, 301, 404, 410])
def test_conditions_and_ranges_count_for_a_200_alone(code):
    request = asked(if_none_match=b'"a"', range=b"bytes=0-1")
    assert make_answer(request, stored(status=code), ()).response.status == code


@pytest.mark.parametrize(
    ("request_fields", "status"),
    [
        ({"range": b"bytes=2-4"}, 206),
        ({"range": b"bytes=3-3"}, 206),
        ({"range": b"bytes=1-4"}, None),
        ({"range": b"bytes=2-5"}, None),
        ({"range": b"bytes=2-2, 4-7"}, None),
        ({"range": b"bytes=-3"}, None),
        ({}, None),
        ({"head_only": True}, None),
        ({"range": b"bytes=2-4", "if_range": b'"x"'}, None),
        ({"range": b"bytes=2-4", "if_none_match": b'"a"'}, 304),
        ({"range": b"bytes=1-4", "if_none_match": b'"a"'}, None),
        ({"if_none_match": b'"a"'}, None),
        ({"if_none_match": b'"a"', "head_only": True}, None),
        ({"range": b"bytes=10-"}, 416),
    ],
)
def test_a_part_answers_what_lies_within_it_and_judges_no_other_condition(request_fields, status):
    answer = make_answer(asked(**request_fields), stored(span=Span(2, 5)), ())
    assert (None if answer is None else answer.response.status) == status
