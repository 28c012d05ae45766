"""What servers learn of a client, level by level."""

from __future__ import annotations

import pytest

from proxykit.engine.exchange import Exchange
from proxykit.engine.forwarding import Direction, ForwardingRules
from proxykit.engine.pipeline import Chain, Pipeline
from proxykit.filters.anonymity import AnonymityFactory, AnonymityOptions
from proxykit.message.fields import FieldSection, Headers
from proxykit.message.framing import NO_CONTENT
from proxykit.message.request import Request
from proxykit.message.response import Response

BROWSER = {
    b"User-Agent": b"Rare/1.0",
    b"Accept-Language": b"de-AT,de;q=0.8,en;q=0.5",
    b"Sec-CH-UA": b'"Rare";v="1"',
    b"Device-Memory": b"8",
    b"Referer": b"http://www.shop.example/basket?user=7",
    b"From": b"me@home.example",
    b"Forwarded": b"for=10.0.0.7",
    b"X-Forwarded-For": b"10.0.0.7",
    b"Cookie": b"id=7",
    b"If-None-Match": b'"7"',
}


def make(**options):
    return AnonymityFactory().build(AnonymityOptions(**options), None)


def sent(made, host=b"www.shop.example", **more):
    """Give the fields that a server is sent, by their names in lower case."""
    chain = Chain.of([made])
    fields = BROWSER | {name.encode().replace(b"_", b"-"): value for name, value in more.items()}
    section = FieldSection(((b"Host", host), *fields.items()))
    request = Request(b"GET", b"http://" + host + b"/", 1, section, NO_CONTENT)
    rules = ForwardingRules(Direction.FORWARD, b"proxykit-1", disclosure=chain.disclosure)
    pipeline = Pipeline("forward.main", lambda exchange: None, rules, None, chain)
    exchange = Exchange(pipeline, request, "10.0.0.7", "10.0.0.7", "http", 0.0)
    for step in chain.request:
        step(exchange)
    lines = rules.request_fields(exchange, "identity", None).split(b"\r\n")[:-1]
    pairs = (line.partition(b": ")[::2] for line in lines)
    return exchange, {name.lower(): value for name, value in pairs}


def test_transparent_says_who_asks_and_through_whom():
    _, fields = sent(make(level="transparent"))

    assert fields[b"via"] == b"1.1 proxykit-1"
    assert fields[b"x-forwarded-for"] == b"10.0.0.7"
    assert fields[b"from"] == b"me@home.example"
    assert fields[b"user-agent"] == b"Rare/1.0"


def test_anonymous_says_that_there_is_a_proxy_and_no_address():
    _, fields = sent(make(level="anonymous"))

    assert fields[b"via"] == b"1.1 proxykit-1"
    assert not {b"x-forwarded-for", b"forwarded", b"from"} & set(fields)
    assert b"10.0.0.7" not in b"".join(fields.values())
    assert fields[b"user-agent"] == b"Rare/1.0"
    assert fields[b"cookie"] == b"id=7"


def test_elite_says_neither_and_cuts_down_fingerprints():
    _, fields = sent(make(level="elite"))

    assert set(fields) == {b"host", b"user-agent", b"accept-language", b"referer", b"cookie"}
    assert b"Firefox" in fields[b"user-agent"]
    assert fields[b"accept-language"] == b"de-AT"


@pytest.mark.parametrize(
    ("policy", "host", "expected"),
    [
        ("keep", b"cdn.example", b"http://www.shop.example/basket?user=7"),
        ("origin", b"cdn.example", b"http://www.shop.example/"),
        ("same-site", b"cdn.example", None),
        ("same-site", b"img.shop.example", b"http://www.shop.example/basket?user=7"),
        ("remove", b"www.shop.example", None),
    ],
)
def test_the_referer_follows_its_policy(policy, host, expected):
    _, fields = sent(make(referer=policy), host)

    assert fields.get(b"referer") == expected


def response_to(made, host, *cookies, **more):
    exchange, _ = sent(made, host, **more)
    response = Response(200, [(b"ETag", b'"7"'), (b"Accept-CH", b"DPR")])
    for cookie in cookies:
        response.headers.add(b"Set-Cookie", cookie)
    made.response(exchange, response)
    return Headers(response.headers)


def test_a_third_partys_cookies_are_blocked_both_ways():
    made = make(cookies="block-third-party")
    _, first = sent(made, b"img.shop.example")
    _, third = sent(made, b"ads.example")

    assert first[b"cookie"] == b"id=7"
    assert b"cookie" not in third
    assert response_to(made, b"img.shop.example", b"a=1").get(b"Set-Cookie") == b"a=1"
    assert b"Set-Cookie" not in response_to(made, b"ads.example", b"a=1")


def test_a_link_that_is_followed_from_elsewhere_leads_to_a_first_party():
    made = make(cookies="block-third-party")
    _, followed = sent(made, b"b.example", Sec_Fetch_Site=b"cross-site", Sec_Fetch_Dest=b"document")
    _, embedded = sent(made, b"b.example", Sec_Fetch_Site=b"cross-site", Sec_Fetch_Dest=b"image")

    assert b"cookie" in followed
    assert b"cookie" not in embedded


def test_session_only_takes_the_lifetime_from_cookies_and_nothing_else():
    cookies = response_to(
        make(cookies="session-only"),
        b"www.shop.example",
        b"a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT; Path=/; Max-Age=60; HttpOnly",
        b"b=2; Secure",
    ).get_all(b"Set-Cookie")

    assert cookies == [b"a=1; Path=/; HttpOnly", b"b=2; Secure"]


def test_elite_gives_no_validator_to_be_recognised_by():
    headers = response_to(make(level="elite"), b"www.shop.example")

    assert b"ETag" not in headers
    assert b"Accept-CH" not in headers


def test_what_changes_nothing_runs_no_code():
    chain = Chain.of([make(level="transparent")])

    assert chain.request == ()
    assert chain.response == ()
