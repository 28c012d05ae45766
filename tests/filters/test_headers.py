"""The headers filter changes fields on either side and cannot split a message."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from proxykit.filters.headers import HeadersFactory, HeadersOptions
from proxykit.interfaces import IRequestFilter, IResponseFilter
from proxykit.message.response import Response
from tests.filters.exchanges import exchange


def build(options):
    return HeadersFactory().build(HeadersOptions.model_validate(options), None)


def test_it_removes_sets_and_adds_in_this_order():
    changes = {"remove": ["Server"], "set": {"X-A": "2"}, "add": {"Set-Cookie": "b=1"}}
    response = Response(200, [(b"server", b"x"), (b"x-a", b"1"), (b"Set-Cookie", b"a=1")])

    build({"response": changes}).response(None, response)

    assert list(response.headers) == [
        (b"Set-Cookie", b"a=1"),
        (b"X-A", b"2"),
        (b"Set-Cookie", b"b=1"),
    ]


def test_a_side_with_nothing_to_do_is_no_stop_on_the_road():
    only_response = build({"response": {"remove": ["Server"]}})

    assert IResponseFilter.providedBy(only_response)
    assert not IRequestFilter.providedBy(only_response)


@pytest.mark.parametrize(
    "changes",
    [
        {"set": {"X": "a\r\nY: b"}},
        {"set": {"X\r\nY": "a"}},
        {"set": {"Content-Length": "1"}},
        {"add": {"Transfer-Encoding": "chunked"}},
        {"remove": ["Host"]},
        {"set": {"": "a"}},
    ],
)
def test_what_would_break_a_message_is_refused_when_it_is_loaded(changes):
    with pytest.raises(ValidationError):
        HeadersOptions.model_validate({"request": changes})


def test_values_may_hold_variables():
    changes = {
        "request": {
            "set": {"X-Client": "{client_address}", "X-Plain": "{}"},
            "add": {"X-H": "{host}"},
        },
        "response": {"set": {"X-Seen": "{status} {request.x-a}"}},
    }
    both = build(changes)
    subject = exchange("/", "X-A: a", "X-Client: a lie")
    response = Response(404)

    both.request(subject)
    both.response(subject, response)

    headers = subject.request.headers
    assert headers.get(b"x-client") == b"192.0.2.1"
    assert headers.get(b"x-plain") == b"{}"
    assert headers.get(b"x-h") == b"www.example.com"
    assert response.headers.get(b"x-seen") == b"404 a"


def test_a_variable_without_a_value_takes_the_field_away():
    """Nobody authenticated: then the client's own X-User must not stand either."""
    subject = exchange("/", "X-User: admin")

    build({"request": {"set": {"X-User": "{user}"}, "add": {"X-More": "{user}"}}}).request(subject)

    assert b"X-User" not in subject.request.headers
    assert b"X-More" not in subject.request.headers


@pytest.mark.parametrize("value", ["{usr}", "{status}", "a{upstream}"])
def test_a_variable_that_is_not_known_is_refused_when_it_is_loaded(value):
    with pytest.raises(ValidationError):
        HeadersOptions.model_validate({"request": {"set": {"X": value}}})
