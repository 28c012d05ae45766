"""The rewrite filter: paths there, references and cookies back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from proxykit.filters.rewrite import RewriteOptions
from proxykit.interfaces import IRequestFilter, IResponseFilter
from proxykit.message.response import Response
from tests.filters.exchanges import exchange, received
from tests.filters.rewriting import build, rewritten


@pytest.mark.parametrize(
    ("match", "to", "target", "new"),
    [
        ("/old", "/new", "/old", "/new"),
        ("/old", "/new", "/old/x?a=1", "/new/x?a=1"),
        ("/old", "/new", "/older", "/older"),
        ("/old/", "/new", "/old/x", "/new/x"),
        ("/old/", "/", "/old/x", "/x"),
        ("/old", "/", "/old/x", "/x"),
        ("/old", "/", "/old?q", "/?q"),
        ("/", "/app/", "/x", "/app/x"),
        ("/", "/app", "/x", "/app/x"),
        ("/o", "/n?v=1", "/o?a=2", "/n?v=1&a=2"),
        ("= /o", "/n", "/o", "/n"),
        ("= /o", "/n", "/o/x", "/o/x"),
        (r"~ ^/u/([0-9]+)/(.*)$", "/users/{1}?rest={2}", "/u/7/a/b?c", "/users/7?rest=a/b&c"),
        (r"~ ^/(a)?b$", "/x{1}", "/b", "/x"),
        (r"~ ^/b.*$", "/x{0}", "/bc", "/x/bc"),
        ("/files", "/store", "/files/a%2Fb%20c", "/store/a%2Fb%20c"),
        ("/old", "/new", "/%6fld/x", "/new/x"),
        ("/old", "/new", "/a/../old/x", "/new/x"),
        ("/old", "/new", "/old//x", "/new//x"),
    ],
)
def test_paths(match, to, target, new):
    assert rewritten(target, (match, to)) == new


@pytest.mark.parametrize(
    "target",
    ["/public/../admin", "/public/%2e%2e/admin", "/public/..%2fadmin", "/public/x/../../admin"],
)
def test_what_leads_out_of_a_prefix_is_not_under_it(target):
    assert rewritten(target, ("/public", "/internal/public")) == target


@pytest.mark.parametrize("target", ["/app//evil.example/x", "/app/%2Fevil.example"])
def test_no_path_becomes_a_reference_to_another_host(target):
    assert not rewritten(target, ("/app/", "/")).startswith("//")


def test_the_first_rule_that_matches_is_the_only_one():
    assert rewritten("/a/x", ("/a", "/b"), ("/b", "/c")) == "/b/x"


def test_a_target_that_is_no_path_is_left_alone():
    subject = exchange("*", method="OPTIONS")

    build(path=[{"match": "/", "to": "/x"}]).request(subject)

    assert subject.request.origin_target == b"*"


@given(st.text("/.%2fFeE5cab?", max_size=30))
def test_whatever_is_asked_a_path_stays_one(text):
    new = rewritten("/app/" + text, ("/app", "/"), ("~ (.*)", "/{1}"))

    assert new.startswith("/")
    assert not new.startswith("//")
    assert "/../" not in new.partition("?")[0]


def mapped(name, value, *rules, host="www.example.com"):
    response = received(f"{name}: {value}", status=302)
    subject = exchange("/", f"Host: {host}")
    build(location=[{"match": match, "to": to} for match, to in rules]).response(subject, response)
    return response.headers.get(name.encode()).decode()


INTERNAL = ("http://app.internal:8080/", "/")


@pytest.mark.parametrize(
    ("value", "rule", "new"),
    [
        ("http://app.internal:8080/x?y#z", INTERNAL, "/x?y#z"),
        ("http://APP.internal:8080", INTERNAL, "/"),
        ("//app.internal:8080/x", INTERNAL, "/x"),
        ("https://app.internal:8080/x", INTERNAL, "https://app.internal:8080/x"),
        ("http://app.internal:8080.evil.example/x", INTERNAL, None),
        ("http://app.internal:8080@evil.example/x", INTERNAL, None),
        ("http://app.internal/x", INTERNAL, None),
        ("http://app.internal:80/x", ("http://app.internal/", "/"), "/x"),
        ("http://app.internal:8080//evil.example/", INTERNAL, "/evil.example/"),
        ("http://app.internal:8080/\\evil.example/", INTERNAL, "/evil.example/"),
        ("http://app.internal:8080/x", (INTERNAL[0], "{scheme}://{authority}/a/"), "http://www.example.com/a/x"),
        ("/x", ("/", "/api/"), "/api/x"),
        ("/x", ("/x", "/"), "/"),
        ("/xy", ("/x", "/"), None),
        ("http://www.example.com/x", ("/", "/api/"), "http://www.example.com/api/x"),
        ("https://www.example.com", ("/", "/api/"), "https://www.example.com/api/"),
        ("http://other.example/x", ("/", "/api/"), None),
        ("//other.example/x", ("/", "/api/"), None),
        ("x/y", ("/", "/api/"), None),
        ("mailto:a@b", ("/", "/api/"), None),
        ("javascript:/x", ("/", "/api/"), None),
        ("/a-7", (r"~ ^/a-([0-9])$", "https://{host}/b/{1}"), "https://www.example.com/b/7"),
        ("http:///x", INTERNAL, None),
    ],
)  # fmt: skip
def test_references(value, rule, new):
    assert mapped("Location", value, rule) == (value if new is None else new)


def test_the_port_that_was_asked_counts():
    rule = ("/", "/api/")
    assert mapped("Location", "http://a:81/x", rule, host="a:81") == "http://a:81/api/x"
    assert mapped("Location", "http://a:82/x", rule, host="a:81") == "http://a:82/x"


@pytest.mark.parametrize(
    ("name", "value", "new"),
    [
        ("Content-Location", "/x", "/api/x"),
        ("Refresh", "5; url=/x", "5; url=/api/x"),
        ("Refresh", "0;URL='/x'", "0;URL='/api/x'"),
        ("Refresh", "5", "5"),
        ("Link", '</a>; rel="next", <http://b/c>; title="<d>"', '</api/a>; rel="next", <http://b/c>; title="<d>"'),
    ],
)  # fmt: skip
def test_other_fields_that_hold_references(name, value, new):
    assert mapped(name, value, ("/", "/api/")) == new


def test_repeated_fields_stay_repeated():
    response = received("Link: </a>", "Link: </b>")

    build(location=[{"match": "/", "to": "/api/"}]).response(exchange(), response)

    assert response.headers.get_all(b"link") == [b"</api/a>", b"</api/b>"]


def test_a_response_without_such_fields_is_not_touched():
    response = received("Content-Type: text/html", "Location: http://b/")

    build(
        location=[{"match": "/", "to": "/api/"}], cookie_path=[{"match": "/", "to": "/a"}]
    ).response(exchange(), response)

    assert [each for each in response.headers if each[0] == b"Location"] == [
        (b"Location", b"http://b/")
    ]


def cookie(value):
    response = Response(200, [(b"Set-Cookie", value.encode()), (b"Set-Cookie", b"plain=1")])
    build(
        cookie_domain=[
            {"match": ".app.internal", "to": "example.com"},
            {"match": "gone", "to": ""},
        ],
        cookie_path=[{"match": "/app", "to": "/"}, {"match": "/", "to": "/api/"}],
    ).response(exchange(), response)
    first, second = response.headers.get_all(b"set-cookie")
    assert second == b"plain=1"
    return first.decode()


@pytest.mark.parametrize(
    ("value", "new"),
    [
        ("a=1; Domain=app.internal; Secure", "a=1; Domain=example.com; Secure"),
        ("a=1; domain=.APP.internal", "a=1; domain=example.com"),
        ("a=1; Domain=gone; HttpOnly", "a=1; HttpOnly"),
        ("a=1; Domain=other.example", "a=1; Domain=other.example"),
        ("a=1; Path=/app/x; SameSite=Lax", "a=1; Path=/x; SameSite=Lax"),
        ("a=1;Path=/", "a=1;Path=/api/"),
        ("a=1; Path=x", "a=1; Path=x"),
        ("Path=/app; Expires=Wed, 21 Oct 2037 07:28:00 GMT", None),
        ("__Host-a=1; Secure; Path=/", None),
        ("a=1; Path", None),
    ],
)
def test_cookies(value, new):
    assert cookie(value) == (value if new is None else new)


def test_a_side_with_nothing_to_do_is_no_stop_on_the_road():
    requests, responses = (
        build(path=[{"match": "/", "to": "/a"}]),
        build(cookie_path=[{"match": "/", "to": "/a"}]),
    )

    assert IRequestFilter.providedBy(requests)
    assert not IResponseFilter.providedBy(requests)
    assert IResponseFilter.providedBy(responses)
    assert not IRequestFilter.providedBy(responses)


@pytest.mark.parametrize(
    "options",
    [
        {"path": [{"match": "x", "to": "/"}]},
        {"path": [{"match": "~ (", "to": "/"}]},
        {"path": [{"match": "/", "to": "x"}]},
        {"path": [{"match": "/", "to": "/ä"}]},
        {"path": [{"match": "/", "to": "/{1}"}]},
        {"path": [{"match": "/", "to": "/{0}"}]},
        {"path": [{"match": "~ (a)", "to": "/{2}"}]},
        {"location": [{"match": "= /", "to": "/"}]},
        {"location": [{"match": "http://a b/", "to": "/"}]},
        {"location": [{"match": "/", "to": "{hots}/"}]},
        {"cookie_path": [{"match": "/", "to": "/;Secure"}]},
        {"cookie_domain": [{"match": "a", "to": "b;c"}]},
    ],
)
def test_rules_that_make_no_sense(options):
    with pytest.raises(ValidationError):
        RewriteOptions.model_validate(options)
