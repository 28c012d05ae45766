"""What becomes of targets, and what redirects are made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.errors import BadRequest
from proxykit.message.path import normalised_path
from proxykit.message.pattern import Pattern
from proxykit.reverse.fixed_answers import redirect
from proxykit.reverse.rewriting import checked_rule, rewrite_of
from proxykit.reverse.templates import Template
from tests.reverse.requests import an_exchange


@pytest.mark.parametrize(
    ("target", "becomes"),
    [
        ("/api/x?y=1", "/x?y=1"),
        ("/api", "/"),
        ("/api/", "/"),
        ("/api?x", "/?x"),
        ("/apix", "/apix"),
        ("/%61pi/x", "/x"),
        ("/x/../api/y", "/y"),
        ("/api/a%2Fb%20c", "/a%2Fb%20c"),
        ("/api%2Fx", "/x"),
        ("/api/x%2f..%2fy", "/y"),
        ("/api//evil.example/", "/evil.example/"),
        ("*", "*"),
    ],
)
def test_a_prefix_is_stripped_as_the_route_saw_it(target, becomes):
    assert rewrite_of("/api/", (), "")(target.encode()) == becomes.encode()


def test_a_prefix_with_an_encoded_slash_in_it_is_stripped_too():
    assert rewrite_of("/a/b", (), "")(b"/a%2Fb") == b"/"
    assert rewrite_of("/a/b", (), "")(b"/a%2fb/c?d") == b"/c?d"


def test_stripping_rewriting_and_adding_come_in_this_order():
    rewrite = rewrite_of("/old", [("^/(?P<kind>[a-z]+)/([0-9]+)$", "/{kind}/id-{2}")], "/v2")

    assert rewrite(b"/old/item/7?x=1") == b"/v2/item/id-7?x=1"
    assert rewrite(b"/old/other") == b"/v2/other"


@pytest.mark.parametrize(
    ("to", "becomes"),
    [
        ("/n/{1}", b"/n/b?c=d"),
        ("/n?{query}&from={1}", b"/n?c=d&from=b"),
        ("/n?", b"/n"),
        ("{1}", None),
        ("/{2}", None),
        ("/a b", None),
    ],
)
def test_a_rule_makes_a_path_and_keeps_the_query_unless_it_has_its_own(to, becomes):
    if becomes is None:
        with pytest.raises(ValueError):
            checked_rule("^/a/(.*)", to)
    else:
        assert rewrite_of("", [("^/a/(.*)", to)], "")(b"/a/b?c=d") == becomes


def test_the_first_rule_that_matches_is_taken_and_a_result_names_no_other_host():
    rules = [("^/a(.*)", "/first/{1}"), ("^/", "/second"), ("^/x", "/never")]

    assert rewrite_of("", rules, "")(b"/a/b") == b"/first//b"
    assert rewrite_of("", rules, "")(b"/x") == b"/second"
    assert rewrite_of("", [("^/go(.*)", "/{1}")], "")(b"/go/evil.example") == b"/evil.example"


@given(
    st.lists(st.sampled_from(["/", "..", ".", "a", "api", "%2e", "%2F", "%2f", "//"])).map("".join)
)
def test_what_is_left_of_a_stripped_path_stays_where_the_route_saw_it(rest):
    target = "/api/" + rest
    try:
        seen = normalised_path(target)
    except BadRequest:
        return  # nor is it rewritten: the route refused it
    left = rewrite_of("/api", (), "")(target.encode()).decode()

    assert left.startswith("/")
    assert not left.startswith("//")
    if seen.startswith("/api/"):
        assert normalised_path(left) == seen[4:]


def location(to, pattern=None, rewrite=None, **request):
    answer = redirect(to, 308, Pattern.of(pattern) if pattern else None, rewrite)
    return answer(an_exchange(**request)).headers.get(b"Location").decode()


@pytest.mark.parametrize(
    ("to", "pattern", "request_", "leads_to"),
    [
        ("https://b.example{uri}", None, {"target": "/x?y=%0d%0aSet-Cookie:a"}, "https://b.example/x?y=%0d%0aSet-Cookie:a"),
        ("https://{host}{path}?a={query}", None, {"target": "/x?y"}, "https://a.example/x?a=y"),
        ("{scheme}://b{uri}", None, {"scheme": "https"}, "https://b/"),
        ("https://{host}/", None, {"host": "[::1]:80"}, "https://[::1]/"),
        ("{uri}", None, {"target": "//evil.example/x"}, "/evil.example/x"),
        ("{path}", None, {"target": "/\\evil.example"}, "/evil.example"),
        ("/p/{1}/{what}", "^/([0-9]+)/(?P<what>.*)$", {"target": "/7/a%0Ab"}, "/p/7/a%0Ab"),
        ("/p/{2}", "^/(a)|(b)$", {"target": "/a"}, "/p/"),
    ],
)  # fmt: skip
def test_a_redirect_is_filled_in_with_what_the_client_wrote(to, pattern, request_, leads_to):
    assert location(to, pattern, **request_) == leads_to


def test_a_redirect_knows_what_the_route_rewrites():
    assert location("/new{uri}", None, rewrite_of("/old", (), ""), target="/old/x?y") == "/new/x?y"


@pytest.mark.parametrize("text", ["{nothing}", "{1}", "{", "a}", "{uri", "{{uri}}"])
def test_a_place_that_there_is_not_is_refused(text):
    with pytest.raises(ValueError):
        Template.of(text, ("uri",))
