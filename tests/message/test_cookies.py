"""Cookies are found in requests as servers find them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.message.cookies import cookie_reader
from proxykit.message.fields import FieldSection
from proxykit.message.framing import NoContent
from proxykit.message.request import Request


def request(*cookies):
    section = FieldSection(tuple((b"Cookie", cookie) for cookie in cookies))
    return Request(b"GET", b"/", 1, section, NoContent())


@pytest.mark.parametrize(
    ("cookie", "value"),
    [
        (b"s=1", b"1"),
        (b"a=b; s=1; c=d", b"1"),
        (b"a=b;s=1;c=d", b"1"),
        (b"a=b; \t s=1 ; c=d", b"1"),
        (b"s=1; s=2", b"1"),
        (b"s=a=b==", b"a=b=="),
        (b"s=", None),
        (b"xs=1", None),
        (b"a=s=1", None),
        (b"a=b s=1", None),
        (b"a=; xs=2; s=3", b"3"),
        (b"S=1", None),
        (b"s", None),
        (b"", None),
    ],
)
def test_a_cookie_is_found(cookie, value):
    assert cookie_reader(b"s")(request(cookie)) == value


def test_a_cookie_is_found_in_the_second_of_two_fields():
    assert cookie_reader(b"s")(request(b"a=b", b"s=1")) == b"1"


def test_no_cookie_is_none():
    assert cookie_reader(b"s")(request()) is None


@given(st.binary(max_size=200))
def test_whatever_a_client_sends_is_read(cookie):
    cookie_reader(b"s")(request(cookie))


@pytest.mark.parametrize("piece", [b"xs=", b" s=", b"=s=", b"xs= ", b" \ts"])
def test_a_hostile_cookie_takes_no_longer_than_its_length(piece):
    """What took quadratic time would not end before the test's time-out."""
    assert cookie_reader(b"s")(request(b"a" + piece * 300_000)) is None
