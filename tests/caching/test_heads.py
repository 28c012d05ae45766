"""What is stored of a response's head, and what a validation makes of it."""

from __future__ import annotations

import pytest

from proxykit.caching.answering import Asked
from proxykit.caching.directives import NO_DIRECTIVES
from proxykit.caching.heads import freshened_head, make_head, may_stay, own_fields
from proxykit.caching.policy import RequestFacts, judge
from proxykit.caching.rules import CacheRules
from proxykit.message.dates import format_date
from proxykit.message.fields import FieldSection
from proxykit.message.framing import CHUNKED, NO_CONTENT, UNTIL_CLOSE, Length
from proxykit.message.response import Response

NOW = 1_800_000_000.0
RULES = CacheRules()


def asked(method=b"GET", secure=False, **fields):
    values = {name.replace("_", "-").encode(): value for name, value in fields.items()}
    facts = RequestFacts(method, values, secure=secure)
    return Asked(b"key", RULES, values, NO_DIRECTIVES, facts)


def response(*fields, status=200, framing=CHUNKED):
    return Response.received(1, status, b"", FieldSection(fields), framing)


def head_of(request, answer):
    verdict = judge(request.facts, answer.status, answer.section.values, RULES, NOW)
    return make_head(request, answer, verdict, NOW, NOW)


IMMUTABLE = (b"Cache-Control", b"max-age=60, immutable")


@pytest.mark.parametrize(
    ("framing", "immutable"), [(CHUNKED, True), (Length(5), True), (UNTIL_CLOSE, False)]
)
def test_what_ends_with_its_connection_is_not_immutable(framing, immutable):
    found = head_of(asked(secure=True), response(IMMUTABLE, framing=framing))
    assert found.terms.lifetime == 60
    assert found.terms.immutable is immutable


def test_a_validation_makes_nothing_immutable_that_was_not():
    request = asked(secure=True)
    valid = response(IMMUTABLE, (b"ETag", b'"a"'), status=304, framing=NO_CONTENT)
    for framing, immutable in ((CHUNKED, True), (UNTIL_CLOSE, False)):
        old = head_of(request, response(IMMUTABLE, (b"ETag", b'"a"'), framing=framing))
        head, storable = freshened_head(request, old, valid, NOW, NOW)
        assert (head.terms.immutable, storable) == (immutable, True)


def test_a_response_without_a_date_is_stored_with_the_time_at_which_it_came():
    for fields in ((), ((b"Date", b"yesterday"),)):
        head = head_of(asked(), response((b"Cache-Control", b"max-age=60"), *fields))
        dates = [value for name, value in head.section.fields if name == b"Date"]
        assert dates == [format_date(NOW)]


@pytest.mark.parametrize(
    "hiding", [(b"Connection", b"date"), (b"Cache-Control", b'private="date"')]
)
def test_what_is_stored_without_its_date_is_given_another_one(hiding):
    fields = ((b"Cache-Control", b"max-age=60"), (b"Date", format_date(NOW - 9)), hiding)

    stored = head_of(asked(), response(*fields))
    fresh, _ = freshened_head(asked(), stored, response(*fields, status=304), NOW, NOW + 5)

    assert stored.section.values[b"date"] == format_date(NOW)
    assert fresh.section.values[b"date"] == format_date(NOW + 5)
    assert own_fields(response(*fields), frozenset({b"date"})) == ()


@pytest.mark.parametrize("fields", [(), ((b"Date", b"yesterday"),)])
def test_a_validation_without_a_date_is_one_of_the_time_at_which_it_came(fields):
    old = head_of(asked(), response((b"Cache-Control", b"max-age=60"), (b"ETag", b'"1"')))

    head, _ = freshened_head(asked(), old, response(*fields, status=304), NOW + 70, NOW + 70)

    assert head.section.values[b"date"] == format_date(NOW + 70)


@pytest.mark.parametrize(
    "hiding", [(b"Connection", b"vary"), (b"Cache-Control", b'private="vary"')]
)
def test_a_variant_whose_vary_is_not_stored_stays_a_variant(hiding):
    request = asked(accept=b"a")
    fields = ((b"Cache-Control", b"max-age=60"), (b"Vary", b"Accept"), (b"ETag", b'"1"'), hiding)
    old = head_of(request, response(*fields))

    head, _ = freshened_head(request, old, response((b"ETag", b'"1"'), status=304), NOW, NOW)

    assert b"vary" not in old.section.values
    assert head.selecting == old.selecting == ((b"accept", b"a"),)


def test_no_field_of_the_connection_or_of_a_proxy_is_stored_and_every_other_is():
    dropped = (
        b"Connection", b"X-Hop", b"Keep-Alive", b"Proxy-Connection", b"TE", b"Upgrade",
        b"Transfer-Encoding", b"Proxy-Authenticate", b"Proxy-Authentication-Info",
        b"Proxy-Authorization",
    )  # fmt: skip
    values = {b"Connection": b"x-hop"}
    kept = ((b"Cache-Control", b"max-age=60"), (b"X-Unheard-Of", b"1"), (b"Date", b"x"))
    fields = (*kept[:2], *((name, values.get(name, b"x")) for name in dropped))

    head = head_of(asked(), response(*fields))

    assert {name for name, _ in head.section.fields} == {name for name, _ in kept}


def test_the_fields_for_one_client_are_given_but_not_those_of_the_connection():
    answer = response(
        (b"Connection", b"x-hop"),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        (b"X-Hop", b"1"),
        (b"Age", b"1"),
        (b"Content-Range", b"bytes 0-1/2"),
    )
    named = frozenset({b"set-cookie", b"x-hop", b"connection", b"age", b"content-range"})
    assert own_fields(answer, named) == ((b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"))
    assert own_fields(answer, frozenset()) == ()


@pytest.mark.parametrize(
    ("request_fields", "control", "updated", "stays"),
    [
        ({}, b"max-age=60", True, True),
        ({}, b"no-store", False, False),
        ({}, b"private", False, False),
        ({"cache_control": b"no-store"}, b"max-age=60", False, True),
        ({"authorization": b"Basic eA=="}, b"max-age=60", False, True),
        ({"authorization": b"Basic eA=="}, b"max-age=60, public", True, True),
        ({"cache_control": b"no-store"}, b"private", False, False),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_what_becomes_of_a_stored_response_that_was_validated(
    method, request_fields, control, updated, stays
):
    old = head_of(asked(), response((b"Cache-Control", b"max-age=1"), (b"ETag", b'"a"')))
    valid = response((b"Cache-Control", control), status=304, framing=NO_CONTENT)
    request = asked(method, **request_fields)
    head, storable = freshened_head(request, old, valid, NOW, NOW)
    assert (storable, may_stay(request, head)) == (updated, stays)
    assert head.section.values[b"cache-control"] == control
