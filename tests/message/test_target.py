"""Request targets: four forms, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.errors import BadRequest
from proxykit.message.target import Authority, Form, parse_authority, parse_target


@pytest.mark.parametrize(
    ("method", "raw", "form", "origin", "authority"),
    [
        (b"GET", b"/a?b=c", Form.ORIGIN, b"/a?b=c", None),
        (b"GET", b"http://A.example/x", Form.ABSOLUTE, b"/x", Authority("a.example", None)),
        (b"GET", b"http://a.example", Form.ABSOLUTE, b"/", Authority("a.example", None)),
        (b"GET", b"http://a.example?q", Form.ABSOLUTE, b"/?q", Authority("a.example", None)),
        (b"GET", b"http://[::0001]:81/", Form.ABSOLUTE, b"/", Authority("::1", 81)),
        (b"OPTIONS", b"*", Form.ASTERISK, b"*", None),
        (b"OPTIONS", b"http://a.example", Form.ABSOLUTE, b"*", Authority("a.example", None)),
        (b"CONNECT", b"a.example:443", Form.AUTHORITY, b"a.example:443", Authority("a.example", 443)),
    ],
)  # fmt: skip
def test_each_form_is_known(method, raw, form, origin, authority):
    target = parse_target(method, raw)

    assert target.form is form
    assert target.origin == origin
    assert target.authority == authority


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        (b"GET", b"*"),
        (b"GET", b"a.example/x"),
        (b"GET", b"http://"),
        (b"GET", b"http:///x"),
        (b"GET", b"http://user:secret@a.example/"),
        (b"GET", b"http://a.example:65536/"),
        (b"GET", b"http://a.example:0/"),
        (b"GET", b"http://a%2eexample/"),
        (b"GET", b"http://[::1/"),
        (b"GET", b"http://[12345::]/"),
        (b"CONNECT", b"a.example"),
        (b"CONNECT", b"/a"),
        (b"CONNECT", b"http://a.example:443"),
    ],
)
def test_what_has_none_of_the_forms_is_refused(method, raw):
    with pytest.raises(BadRequest):
        parse_target(method, raw)


def test_an_authority_is_written_as_host_has_it():
    assert parse_authority(b"[2001:DB8::1]:8080").text() == "[2001:db8::1]:8080"
    assert parse_authority(b"a.example:80").text(80) == "a.example"


@given(st.binary(min_size=1, max_size=60))
def test_an_authority_that_is_accepted_is_accepted_again_as_it_is_written(value):
    try:
        authority = parse_authority(value)
    except BadRequest:
        return
    assert parse_authority(authority.text().encode("ascii")) == authority
