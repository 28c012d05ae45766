"""Validators, conditions and updates: RFC 9110 sections 8.8 and 13.1, RFC 9111 sections 3.2, 4.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.caching.validation import (
    conditions,
    entity_tag,
    entity_tags,
    may_answer_range,
    needs_the_origin,
    not_modified,
    strongly_equal,
    updated_fields,
    validates,
    weakly_equal,
)

OLD = b"Thu, 01 Jan 2026 00:00:00 GMT"
NEW = b"Fri, 02 Jan 2026 00:00:00 GMT"


def test_comparing_entity_tags():
    """The table of RFC 9110 section 8.8.3.2."""
    for one, other, strong, weak in (
        (b'W/"1"', b'W/"1"', False, True),
        (b'W/"1"', b'W/"2"', False, False),
        (b'W/"1"', b'"1"', False, True),
        (b'"1"', b'"1"', True, True),
    ):
        assert strongly_equal(one, other) is strong
        assert weakly_equal(one, other) is weak


def test_entity_tags_of_a_list_may_hold_commas():
    assert entity_tags(b'"a,b" ,W/"c","d"') == [b'"a,b"', b'W/"c"', b'"d"']
    assert entity_tags(b"*") == [b"*"]
    assert entity_tags(b'"a", "b c", "d"') == [b'"a"']
    assert entity_tag(b'"a" x') is None
    assert entity_tag(b'"a", "b"') is None


@pytest.mark.parametrize("tag", [b"abc", b'w/"abc"', b'W"abc"', b"W/abc", b"1-2:3==", b'"a"b"'])
def test_a_tag_that_breaks_the_grammar_is_equal_to_itself_alone_and_never_strong(tag):
    assert entity_tag(tag) == tag
    assert entity_tags(b'"x", %b, "y"' % tag) == [b'"x"', tag, b'"y"']
    assert weakly_equal(tag, tag)
    assert not weakly_equal(tag, b'"abc"')
    assert not weakly_equal(tag, b'W/"abc"')
    assert not strongly_equal(tag, tag)
    assert not_modified({b"if-none-match": tag}, {b"etag": tag}, 0)
    assert not may_answer_range({b"if-range": tag}, {b"etag": tag})
    assert conditions([{b"etag": tag}]) == [(b"If-None-Match", tag)]
    assert validates({b"etag": tag}, {b"etag": tag}, only=True)
    assert not validates({b"etag": b'"abc"'}, {b"etag": tag}, only=True)


@pytest.mark.parametrize("value", [b"*", b" * ", b"a b", b"a,b", b"", b" "])
def test_what_cannot_be_sent_back_as_one_tag_is_none(value):
    assert entity_tag(value) is None
    assert conditions([{b"etag": value}]) == []


@given(st.binary(max_size=120))
def test_no_bytes_make_the_tags_parser_fail(data):
    tags = entity_tags(data)
    assert all(b" " not in tag and b"\r" not in tag for tag in tags)
    assert b"*" not in tags or tags == [b"*"]


@pytest.mark.parametrize(
    ("request_fields", "stored", "answer"),
    [
        ({}, {b"etag": b'"a"'}, False),
        ({b"if-none-match": b'"a"'}, {b"etag": b'"a"'}, True),
        ({b"if-none-match": b'W/"a"'}, {b"etag": b'"a"'}, True),
        ({b"if-none-match": b'"b"'}, {b"etag": b'"a"'}, False),
        ({b"if-none-match": b"*"}, {}, True),
        ({b"if-none-match": b'"a"'}, {}, False),
        # If-None-Match goes before If-Modified-Since
        (
            {b"if-none-match": b'"b"', b"if-modified-since": NEW},
            {b"etag": b'"a"', b"last-modified": OLD},
            False,
        ),
        ({b"if-modified-since": OLD}, {b"last-modified": OLD}, True),
        ({b"if-modified-since": OLD}, {b"last-modified": NEW}, False),
        ({b"if-modified-since": NEW}, {b"date": OLD}, True),
        ({b"if-modified-since": OLD}, {b"date": NEW}, False),
        ({b"if-modified-since": OLD}, {}, False),
        ({b"if-modified-since": b"nonsense"}, {b"last-modified": OLD}, False),
    ],
)
def test_a_clients_condition_on_a_stored_response(request_fields, stored, answer):
    assert not_modified(request_fields, stored, 4_000_000_000.0) is answer


def test_if_match_and_if_unmodified_since_are_for_the_origin():
    assert needs_the_origin({b"if-match": b'"a"'})
    assert needs_the_origin({b"if-unmodified-since": OLD})
    assert not needs_the_origin({b"if-none-match": b'"a"'})


@pytest.mark.parametrize(
    ("condition", "stored", "answer"),
    [
        (None, {}, True),
        (b'"a"', {b"etag": b'"a"'}, True),
        (b'"b"', {b"etag": b'"a"'}, False),
        (b'W/"a"', {b"etag": b'W/"a"'}, False),
        (OLD, {b"last-modified": OLD, b"date": NEW}, True),
        (OLD, {b"last-modified": OLD, b"date": OLD}, False),  # a weak date
        (OLD, {b"last-modified": NEW, b"date": NEW}, False),
        (NEW, {b"last-modified": OLD, b"date": NEW}, False),  # exactly, not "since"
        (b"nonsense", {b"etag": b'"a"'}, False),
    ],
)
def test_if_range_lets_a_range_count(condition, stored, answer):
    fields = {} if condition is None else {b"if-range": condition}
    assert may_answer_range(fields, stored) is answer


def test_every_entity_tag_is_sent_and_a_date_only_of_one():
    one = {b"etag": b'"a"', b"last-modified": OLD}
    assert conditions([one]) == [(b"If-None-Match", b'"a"'), (b"If-Modified-Since", OLD)]
    assert conditions([one, {b"etag": b'W/"b"'}]) == [(b"If-None-Match", b'"a", W/"b"')]
    assert conditions([{b"last-modified": OLD}]) == [(b"If-Modified-Since", OLD)]
    assert conditions([{b"last-modified": b"nonsense"}]) == []


@pytest.mark.parametrize(
    ("fresh", "stored", "only", "selects"),
    [
        ({b"etag": b'"a"'}, {b"etag": b'"a"'}, True, True),
        ({b"etag": b'"a"'}, {b"etag": b'W/"a"'}, True, False),
        ({b"etag": b'"b"'}, {b"etag": b'"a"'}, True, False),
        ({b"etag": b'W/"a"'}, {b"etag": b'"a"'}, True, True),
        ({b"last-modified": OLD}, {b"last-modified": OLD}, True, True),
        ({b"last-modified": NEW}, {b"last-modified": OLD}, True, False),
        ({}, {b"etag": b'"a"'}, True, True),
        ({}, {b"etag": b'"a"'}, False, False),
    ],
)
def test_what_a_304_is_about(fresh, stored, only, selects):
    assert validates(fresh, stored, only=only) is selects


def test_an_update_replaces_fields_and_leaves_alone_what_holds_the_content_together():
    stored = (
        (b"ETag", b'"a"'),
        (b"X-A", b"1"),
        (b"X-A", b"2"),
        (b"Content-Type", b"text/css"),
        (b"Content-Encoding", b"br"),
        (b"Content-MD5", b"stored"),
        (b"Content-Length", b"5"),
        (b"Age", b"50"),
    )
    fresh = (
        (b"x-a", b"3"),
        (b"Content-Length", b"0"),
        (b"Content-Type", b"text/css;charset=utf-8"),
        (b"Content-Encoding", b"gzip"),
        (b"Content-MD5", b"of nothing"),
        (b"Content-Digest", b"sha-256=:of nothing:"),
        (b"Content-Range", b"bytes 0-0/1"),
        (b"Connection", b"x-hop"),
        (b"X-Hop", b"1"),
        (b"X-New", b"1"),
    )

    updated = updated_fields(stored, fresh, frozenset({b"x-hop"}))

    assert updated == (
        (b"ETag", b'"a"'),
        (b"Content-Encoding", b"br"),
        (b"Content-MD5", b"stored"),
        (b"Content-Length", b"5"),
        (b"x-a", b"3"),
        (b"Content-Type", b"text/css;charset=utf-8"),
        (b"X-New", b"1"),
    )
