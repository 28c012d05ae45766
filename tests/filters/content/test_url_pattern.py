"""Patterns of URLs, alone and many together."""

from __future__ import annotations

import random
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.filters.content.url_index import UrlIndex
from proxykit.filters.content.url_pattern import UrlPattern


def matches(text, host, path="/", port=80):
    return UrlIndex([(0, UrlPattern.parse(text))]).matching(host, port, path.encode()) == (0,)


@pytest.mark.parametrize(
    ("text", "host", "expected"),
    [
        ("www.shop.example", "www.shop.example", True),
        ("www.shop.example/", "www.shop.example", True),
        ("WWW.Shop.example", "www.shop.example", True),
        ("shop.example", "www.shop.example", False),
        (".shop.example", "shop.example", True),
        (".shop.example", "a.b.shop.example", True),
        (".shop.example", "workshop.example", False),
        ("www.", "www.shop.example", True),
        ("www.", "www", True),
        ("www.", "wwwx.example", False),
        (".shop.", "www.shop.example", True),
        (".shop.", "shop", True),
        (".shop.", "workshop.example", False),
        ("ad*.shop.example", "ads1.shop.example", True),
        ("ad*.shop.example", "x.ads.shop.example", False),
        ("ad*.shop.example", "ad.s.shop.example", False),
        ("*ad*.shop.example", "broad.shop.example", True),
        (".?pix.example", "a.b.epix.example", True),
        (".?pix.example", "pix.example", False),
        ("www[1-3x].example", "www2.example", True),
        ("www[1-3x].example", "www4.example", False),
        (".ad.*.example", "ad.b.example", True),
        (".ad.*.example", "x.ad.b.c.example", False),
        ("count*.", "counter.some.example", True),
        (".*ads.", "www.nads.example", True),
        ("192.0.2.1", "192.0.2.1", True),
        ("<2001:DB8:0::1>", "2001:db8::1", True),
        ("<2001:db8::1>", "2001:db8::2", False),
        ("*.example", "2001:db8::1", False),
        ("/", "anything", True),
        ("/", "2001:db8::1", True),
        ("www.shop.example", "www.shop.example.", True),
    ],
)
def test_a_host_matches(text, host, expected):
    assert matches(text, host) is expected
    assert matches(text.rstrip("/") + "/x", host, "/x") is expected


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("/index", "/index.html?x=1", True),
        ("/index$", "/index.html", False),
        ("/.*/index", "/index", False),
        ("/.*/index", "/a/index", True),
        ("/IMG/", "/img/a", True),
        ("/(?-i)IMG/", "/img/a", False),
        (r"/cgi\?id=\d+$", "/cgi?id=12", True),
        ("/x|y", "/a/y", True),  # as in Privoxy: only the first is anchored
        ("/.*", "/", True),
    ],
)
def test_a_path_matches(text, path, expected):
    assert matches(text, "www.example", path) is expected
    assert matches(".example" + text, "www.example", path) is expected
    assert not matches("other.example" + text, "www.example", path)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        (":8000/", {8000}),
        ("www.example:8000", {8000}),
        (":80,8000-8002/x", {80, 8000, 8001, 8002}),
        (":-81/", {80}),
        (":8002-/", {8002}),
        (":/", {80, 8000, 8001, 8002}),
    ],
)
def test_ports_match(text, ports):
    assert {p for p in (80, 8000, 8001, 8002) if matches(text, "www.example", "/x", p)} == ports


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected a pattern"),
        ("http://www.example/", "expected a pattern"),
        ("a b.example", "no part of a host"),
        ("bücher.example", "no part of a host"),
        ("www[z-a].example", "no regular expression"),
        ("www[.example", "no part of a host"),
        ("/(?!x)", "look-around"),
        ("/(a", "no regular expression"),
        ("/ü", None),
        ("/€", "characters that no URL has"),
        (":99999/", "no port"),
        (":5-3/", "no port"),
        (":1-2-3/", "no port"),
        ("<1::2::3>", "."),
    ],
)
def test_what_is_no_pattern_is_refused(text, why):
    if why is None:
        UrlPattern.parse(text)
        return
    with pytest.raises(ValueError, match=why):
        UrlPattern.parse(text)


@given(st.text(alphabet="ab.*?[]-:/<>0 (\\|$é", max_size=20))
@settings(max_examples=300)
def test_any_text_is_a_pattern_or_refused(text):
    try:
        pattern = UrlPattern.parse(text)
    except ValueError:
        return
    index = UrlIndex([(0, pattern)])
    for host in ("a.b", "a", "", "a.b.a", "2001:db8::1", "a..b"):
        index.matching(host, 80, b"/ab")


LABELS = st.sampled_from(["a", "b", "ab", "*", "a*", "?", "[ab]"])
HOSTS = st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=4).map(".".join)


@st.composite
def patterns(draw):
    labels = draw(st.lists(LABELS, max_size=3))
    host = ".".join(labels)
    if labels:
        host = draw(st.sampled_from(["", "."])) + host + draw(st.sampled_from(["", "."]))
    return (
        host
        + draw(st.sampled_from(["", ":80", ":1-9"]))
        + draw(st.sampled_from(["/", "/x", "/.*y"]))
    )


@given(st.lists(patterns(), max_size=12), HOSTS, st.sampled_from(["/", "/x", "/x/y", "/y"]))
@settings(max_examples=300)
def test_many_together_find_what_each_alone_finds(texts, host, path):
    parsed = [UrlPattern.parse(text) for text in texts]
    expected = tuple(n for n, text in enumerate(texts) if matches(text, host, path))

    index = UrlIndex(enumerate(parsed))
    assert index.matching(host, 80, path.encode()) == expected


def test_a_number_is_given_once():
    index = UrlIndex(
        [(7, UrlPattern.parse("/")), (7, UrlPattern.parse("/x")), (3, UrlPattern.parse("a."))]
    )

    assert index.matching("a.b", 80, b"/x") == (3, 7)


def test_thousands_of_patterns_cost_little():
    """A few microseconds for a host that was seen; the bound allows for a busy machine."""
    numbers = random.Random(1)
    texts = [f".site{n}.example/ads/{n}" for n in range(4000)]
    texts += [f"ad{n}*.site{n}.example" for n in range(1000)]
    texts += [f"/.*/banner{numbers.randrange(10**6)}" for _ in range(200)]
    index = UrlIndex((n, UrlPattern.parse(text)) for n, text in enumerate(texts))
    assert index.matching("www.site77.example", 80, b"/ads/77/x") == (77,)

    begun = perf_counter()
    for _ in range(1000):
        index.matching("www.site77.example", 80, b"/ads/88/x/y/banner.gif")
    assert perf_counter() - begun < 0.1  # 100 us each; it is 4


def test_a_path_that_is_made_to_take_long_does_not():
    texts = ["/.*(a|b|ab)*c", "/(.*/)?(x+)+y", "/.*[ab]*a[ab]{12}z"] * 20
    index = UrlIndex((n, UrlPattern.parse(text)) for n, text in enumerate(texts))
    path = b"/" + bytes(random.Random(1).choices(b"ab/x", k=8000))

    begun = perf_counter()
    index.matching("www.example", 80, path)
    assert perf_counter() - begun < 0.25
