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
        (b"max-age=000000000000000000010", 10),
        (b"max-age=00000000000000000000", 0),
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
        # What is no Integer is no number of seconds, and hides nothing that stands beside it.
        (b'max-age="60"', 0),
        (b"max-age=60.5, no-store", 0),
        (b"max-age=sixty", 0),
        (b"max-age", 0),
        (b"max-age=(1 2;a=3), no-store", 0),
        (b'max-age=60;a="x,y";b=1.5, a=:YWJj:, no-store', 60),
    ],
)
def test_a_targeted_field_is_a_dictionary(value, seconds):
    directives = parse_targeted(value)
    assert directives.seconds(b"max-age") == seconds
    assert (b"no-store" in directives) is (b"no-store" in value)


@pytest.mark.parametrize("name", [b"private", b"no-cache"])
def test_a_targeted_list_of_fields_is_a_string(name):
    assert parse_targeted(name + b'="X-A, x-b"').field_names(name) == {b"x-a", b"x-b"}
    for value in (b"=x-a", b"=1", b"=?1", b"", b"=(a)"):
        directives = parse_targeted(name + value)
        assert directives.unqualified(name)
        assert not directives.field_names(name)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"Max-Age=60",
        b"max-age=60,",
        b"max-age = 60",
        b"max-age=60 public",
        b"=1",
        b"max-age=60.",
        b"a=(1",
        b'a="x',
        b"a=:%:",
    ],
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
