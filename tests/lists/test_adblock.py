"""Adblock rules: patterns, anchors, options, exceptions; and the index finds what trying all does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.lists.adblock import RuleNotSupported, parse_rule
from tests.lists.judged import Asked, blocks, verdict

PAGE = "page.example"


@pytest.mark.parametrize(
    ("rule", "url", "matches"),
    [
        ("/banner/", "http://a/banner/x", True),
        ("/banner/*.gif", "http://a/banner/b/x.gif", True),
        ("/banner/*.gif|", "http://a/banner/x.gif?y", False),
        ("/banner/*.gif|", "http://a/banner/x.gif", True),
        ("-ad-300x250.", "http://a/x-AD-300x250.png", True),
        ("||ads.example^", "http://ads.example", True),
        ("||ads.example^", "https://x.ads.example:8080/", True),
        ("||ads.example^", "http://bads.example/", False),
        ("||ads.example^", "http://ads.example.com/", False),
        ("||ads.example^", "http://a/?u=ads.example/", False),
        ("||ads.", "http://ads.example.com/", True),
        ("||ads.", "http://x.ads.example.com/", True),
        ("||ads.", "http://a/ads.", False),
        ("||ads.example/x", "http://ads.example/xyz", True),
        ("||ads.example/x^", "http://ads.example/xyz", False),
        ("||ads.example/x^", "http://ads.example/x", True),
        ("||ads.example^*/x.js", "http://ads.example/a/x.js", True),
        ("||a.example^b^c|", "http://a.example/b/c", True),
        ("|http://a.example/", "http://a.example/x", True),
        ("|http://a.example/", "http://b/?http://a.example/", False),
        ("swf|", "http://a/x.swf", True),
        ("swf|", "http://a/x.swf/", False),
        ("^foo^", "http://a/foo?x", True),
        ("^foo^", "http://a/foo", True),
        ("^foo^", "http://a/foo-bar", False),
        ("^foo^", "http://a/foo.bar", False),
        ("a*b*c", "http://x/1a2b3c4", True),
        ("a*c*b", "http://y/1a2b3c4", False),
        ("AbC", "http://a/abc", True),
        ("AbC$match-case", "http://a/abc", False),
        ("AbC$match-case", "http://a/xAbC", True),
        (r"/\/ads\/[0-9]+\.js/", "http://a/ads/12.js", True),
        (r"/\/ads\/[0-9]+\.js/", "http://a/ads/x.js", False),
        ("/^http:..a/", "http://a/", True),
        ("/X[0-9]/$match-case", "http://a/x1", False),
        ("/a$b$script/", "http://a/", False),
    ],
)
def test_a_pattern_matches_as_adblock_plus_says(rule, url, matches):
    assert blocks(rule, url) is matches


@pytest.mark.parametrize(
    ("options", "asked", "matches"),
    [
        ("script", {"resource_type": "script"}, True),
        ("script", {"resource_type": "image"}, False),
        ("script,image", {"resource_type": "image"}, True),
        ("~script", {"resource_type": "script"}, False),
        ("~script", {"resource_type": "font"}, True),
        ("css", {"resource_type": "stylesheet"}, True),
        ("script", {"resource_type": ""}, False),
        ("all", {"resource_type": ""}, True),
        ("all", {"resource_type": "document"}, True),
        ("document", {"resource_type": "document"}, True),
        ("third-party", {"page_host": "other.example"}, True),
        ("third-party", {"page_host": "www.ads.co.uk"}, False),
        ("third-party", {}, False),
        ("~third-party", {"page_host": "www.ads.co.uk"}, True),
        ("~third-party", {"page_host": "other.co.uk"}, False),
        ("1p", {"page_host": "ads.co.uk"}, True),
        ("domain=page.example", {"page_host": "www.page.example"}, True),
        ("domain=page.example", {"page_host": "pag.example"}, False),
        ("domain=page.example|~www.page.example", {"page_host": "www.page.example"}, False),
        ("domain=~page.example", {"page_host": "other.example"}, True),
        ("domain=~page.example", {}, True),
        ("domain=page.example", {}, False),
        ("method=post", {"method": "post"}, True),
        ("method=post|put", {"method": "get"}, False),
        ("method=~get", {"method": "get"}, False),
        ("to=x.ads.co.uk", {}, True),
        ("denyallow=x.ads.co.uk", {}, False),
        ("script,popup", {"resource_type": "script"}, True),
    ],
)
def test_options_narrow_a_rule(options, asked, matches):
    for pattern in ("||ads.co.uk^", "/path/"):
        assert blocks(f"{pattern}${options}", "http://x.ads.co.uk/path/", **asked) is matches


def test_a_page_is_blocked_by_its_host_and_not_by_what_its_address_looks_like():
    page = {"resource_type": "document"}

    assert blocks("||ads.example^", "http://ads.example/", **page)
    assert not blocks("/ads/", "http://news.example/ads/", **page)
    assert blocks("/ads/$document", "http://news.example/ads/", **page)


def test_exceptions_hold_over_all_lists_and_important_rules_over_them():
    url = Asked("http://x.ads.example/a.js", "script")
    blocked = ("||ads.example^",)

    assert verdict([blocked, ("@@||x.ads.example^",)], url).exception is not None
    assert verdict([blocked, ("@@/a.js",)], url).exception is not None
    assert verdict([blocked, ("@@/a.js$image",)], url).exception is None
    assert verdict([blocked, ("@@/a.js",), ("||ads.example^$important",)], url).exception is None
    assert verdict([blocked, ("@@/a.js",), ("/a.js$important",)], url).exception is None
    assert verdict([("@@/a.js",)], url) is None


def test_an_exception_for_a_page_lets_through_what_it_loads():
    lines = ("/ads.js", "@@||good.example^$document")

    assert not blocks(lines, "http://cdn.example/ads.js", "script", "www.good.example")
    assert blocks(lines, "http://cdn.example/ads.js", "script", "other.example")


RULES = st.lists(
    st.sampled_from(["||", "|", "^", "*", "ads", "a", "b1", "/", ".", "x.example", "-", "?"]),
    min_size=1, max_size=7,
).map("".join)  # fmt: skip
OPTIONS = st.sampled_from(["", "$script", "$domain=page.example", "$third-party", "$~script"])
URLS = st.lists(
    st.sampled_from(["ads", "a", "b1", "/", ".", "x.example", "-", "?", "=", "c"]), max_size=8
).map(lambda pieces: f"http://ads.x.example/{''.join(pieces)}")


@settings(max_examples=300)
@given(RULES, OPTIONS, URLS)
def test_the_index_finds_whatever_matches(rule, options, url):
    try:
        parsed = parse_rule(rule + options)
    except RuleNotSupported:
        return
    asked = Asked(url, "script", PAGE)
    line = rule + options
    if "." in line and not set("^*|?$/") & set(line):
        return  # that is a domain list's line

    assert (verdict([(line,)], asked) is not None) is parsed.matches(asked)
