"""Texts with variables: what each says, what is an error, what stands for itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.engine.variables import (
    REQUEST_VARIABLES,
    RESPONSE_VARIABLES,
    Template,
    compile_text,
)
from proxykit.message.fields import checked_field
from proxykit.message.response import Response
from tests.filters.exchanges import exchange


def render(text, subject, response=None):
    compiled = compile_text(text, REQUEST_VARIABLES if response is None else RESPONSE_VARIABLES)
    assert isinstance(compiled, Template)
    return compiled.render(subject, response)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{client_address}", b"192.0.2.1"),
        ("{host}", b"a.example"),
        ("{authority}", b"a.example:81"),
        ("{scheme}://{authority}{uri}", b"http://a.example:81/x%20y?q=1"),
        ("{method} {path} {query}", b"GET /x%20y q=1"),
        ("{request.X-One}", b"1, 2"),
        ("{request.x-none}", b""),
        ("by {user}", b"by someone"),
        ("<{{host}}>{host}", b"<{host}>a.example"),
        (" {request.x-none} ", b""),
    ],
)
def test_variables_of_a_request(text, value):
    subject = exchange("/x%20y?q=1", "Host: a.example:81", "X-One: 1", "X-One: 2")
    subject.user = "someone"

    assert render(text, subject) == value


def test_a_field_that_a_filter_changed_is_seen_as_changed():
    subject = exchange("/", "X-A: old")
    subject.request.headers.set(b"X-A", b"new")

    assert render("{request.x-a}", subject) == b"new"


def test_variables_of_a_response():
    subject = exchange()
    subject.upstream = "127.0.0.1:9001"

    assert render("{status} {upstream} {host}", subject, Response(404)) == (
        b"404 127.0.0.1:9001 www.example.com"
    )


@pytest.mark.parametrize("text", ["{hots}", "{response.x}", "{status}", "{upstream}", "{host.x}"])
def test_a_variable_that_a_request_has_not_is_an_error(text):
    with pytest.raises(ValueError, match=r"no variable|only when there is a response"):
        compile_text(text, REQUEST_VARIABLES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", b"plain"),
        ('{"group":"a","endpoints":[{"url":"https://a"}]}', None),
        ("{} {1} { host } {Host} {", None),
        ("{{host}}", b"{host}"),
        ("{{", None),
    ],
)
def test_braces_around_no_name_stand_for_themselves(text, value):
    assert compile_text(text, REQUEST_VARIABLES) == (text.encode() if value is None else value)


@given(st.text(), st.text())
def test_no_users_name_can_split_a_message(user, text):
    subject = exchange()
    subject.user = user

    value = render("{user}" + text.replace("{", "").replace("\r", "").replace("\n", ""), subject)
    checked_field(b"X", value)
