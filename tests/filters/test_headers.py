"""The headers filter changes fields on either side and cannot split a message."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from proxykit.filters.headers import HeadersFactory, HeadersOptions
from proxykit.interfaces import IRequestFilter, IResponseFilter
from proxykit.message.response import Response


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
