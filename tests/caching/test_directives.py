"""Cache-Control (RFC 9111 section 5.2) and targeted fields (RFC 9213)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.caching.directives import (
    MOST_SECONDS,
    parse_directives,
    parse_seconds,
    parse_targeted,
)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"max-age=10", 10),
        (b'max-age="10"', 10),
        (b"MAX-AGE=10", 10),
        (b"public , max-age=10,", 10),
        (b"max-age=10, max-age=10", 10),
        (b"max-age=10, max-age=20", 0),
        (b"max-age=-1", 0),
        (b"max-age=1.5", 0),
        (b"max-age=ten", 0),
        (b"max-age", 0),
        (b"max-age=", 0),
        (b"max-age=2147483649", MOST_SECONDS),
        (b"max-age=99999999999999999999", MOST_SECONDS),
        (b"no-store", None),
        (b'x="max-age=10"', None),
    ],
)
def test_seconds_are_read_as_token_or_string_and_what_is_none_is_zero(value, seconds):
    assert parse_directives(value).seconds(b"max-age") == seconds


def test_the_argument_is_bounded():
    assert parse_seconds(b"1" * 400) == MOST_SECONDS
    assert parse_seconds(b"1 ") is None
    assert parse_seconds("\u0661".encode()) is None


def test_a_broken_directive_does_not_hide_the_next():
    for value in (b"max age=1, no-store", b"=, no-store", b'"x", no-store', b"a=b=c,no-store"):
        assert b"no-store" in parse_directives(value), value


def test_an_unheard_of_directive_changes_nothing():
    directives = parse_directives(b'max-age=10, community="UCI", frobnicate')
    assert directives.seconds(b"max-age") == 10
    assert b"no-store" not in directives


def test_field_names_qualify_private_and_no_cache():
    directives = parse_directives(b'private="Set-Cookie, X-A", no-cache, no-cache="x"')
    assert directives.field_names(b"private") == {b"set-cookie", b"x-a"}
    assert not directives.unqualified(b"private")
    assert directives.unqualified(b"no-cache")
    assert parse_directives(b'private=""').unqualified(b"private")


def test_what_is_longer_than_any_honest_field_says_no_store():
    assert b"no-store" in parse_directives(b"a, " * 5000)
    assert b"no-store" in parse_directives(b", ".join(b"a%d" % n for n in range(100)))


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_fail_and_it_never_raises_later(data):
    directives = parse_directives(data)
    for name in (b"max-age", b"no-cache", b"private"):
        seconds = directives.seconds(name)
        assert seconds is None or 0 <= seconds <= MOST_SECONDS
        directives.field_names(name)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"max-age=60", 60),
        (b"max-age=60, must-revalidate", 60),
        (b"max-age=60;a=b, public", 60),
        (b"max-age=1, max-age=60", 60),
        (b'max-age="60"', 0),  # a String where an Integer belongs (RFC 9213 section 2.1)
        (b"max-age=sixty", 0),
        (b"max-age", 0),
    ],
)
def test_a_targeted_field_is_a_dictionary(value, seconds):
    assert parse_targeted(value).seconds(b"max-age") == seconds


@pytest.mark.parametrize(
    "value",
    [None, b"", b"Max-Age=60", b"max-age=60,", b"max-age = 60", b"max-age=60 public", b"=1"],
)
def test_a_targeted_field_that_is_no_dictionary_is_as_if_absent(value):
    assert parse_targeted(value) is None


def test_a_targeted_boolean_may_be_false():
    directives = parse_targeted(b"no-store=?0, private=?1")
    assert b"no-store" not in directives
    assert b"private" in directives


@given(st.binary(max_size=120))
def test_no_bytes_make_the_targeted_parser_fail(data):
    parse_targeted(data)
