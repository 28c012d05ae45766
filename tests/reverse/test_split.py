"""Shares by weight, and clients that come back."""

from __future__ import annotations

from collections import Counter

import pytest

from proxykit.engine.pipeline import Route
from proxykit.message.response import Response
from proxykit.reverse.split import (
    Shares,
    StickyCookie,
    cookie_values,
    mark_of,
    split_at_random,
    split_by_client,
    split_by_cookie,
)
from tests.reverse.requests import an_exchange

WAYS = [Route("a"), Route("b")]


def test_points_fall_into_shares_by_weight():
    shares = Shares([3, 0, 1])

    assert [shares.at(point) for point in (0.0, 0.5, 0.7499, 0.75, 0.99999)] == [0, 0, 0, 2, 2]


def test_no_point_falls_behind_the_last_share_however_the_weights_divide():
    for weights in ([1, 1, 1], [1] * 49, [7, 3, 11], [0, 5]):
        assert Shares(weights).at(1 - 2**-53) == len(weights) - 1


def test_a_random_split_is_about_as_its_weights():
    choose = split_at_random(WAYS, [9, 1])
    count = Counter(choose(an_exchange()).name for _ in range(5000))

    # A binomial of 5,000 with p = 0.1 leaves this range about once in 10^17 runs.
    assert 300 < count["b"] < 700


def test_a_client_is_always_in_the_same_share_and_clients_divide_by_weight():
    choose = split_by_client(WAYS, [3, 1], "route")
    clients = [f"10.0.{n // 250}.{n % 250}" for n in range(2000)]
    chosen = [choose(an_exchange(client=client)).name for client in clients]

    assert chosen == [choose(an_exchange(client=client)).name for client in clients]
    assert 400 < Counter(chosen)["b"] < 600


def test_a_larger_canary_keeps_those_that_were_in_it():
    clients = [f"10.0.0.{n}" for n in range(250)]

    def canary(weights):
        choose = split_by_client(WAYS, weights, "route")
        return {each for each in clients if choose(an_exchange(client=each)).name == "b"}

    assert canary([95, 5]) < canary([80, 20])


def test_the_cookie_brings_back_and_one_that_is_not_ours_is_drawn_anew():
    marks = [mark_of("a"), mark_of("b")]
    choose = split_by_cookie(WAYS, [0, 1], "variant", marks)
    back = split_by_cookie(WAYS, [999_999, 1], "variant", marks)

    assert {choose(an_exchange(Cookie="variant=x")).name for _ in range(20)} == {"b"}
    assert {choose(an_exchange(Cookie=f"variant={marks[0]}")).name for _ in range(20)} == {"b"}
    cookie = f"other=1; variant={marks[1]}; z=2"
    assert {back(an_exchange(Cookie=cookie)).name for _ in range(20)} == {"b"}


@pytest.mark.parametrize(
    ("scheme", "seconds", "end"),
    [("http", None, ""), ("https", 3600, "; Max-Age=3600; Secure")],
)
def test_the_cookie_is_set_for_who_does_not_have_it(scheme, seconds, end):
    sticky = StickyCookie("variant", mark_of("b"), seconds)
    fresh, known = Response(200), Response(200)

    sticky.response(an_exchange(scheme=scheme), fresh)
    sticky.response(an_exchange(Cookie=f"variant={mark_of('b')}"), known)

    expected = f"variant={mark_of('b')}; Path=/; HttpOnly; SameSite=Lax{end}"
    assert fresh.headers.get_all(b"Set-Cookie") == [expected.encode()]
    assert known.headers.get_all(b"Set-Cookie") == []


def test_cookies_are_found_by_their_whole_name():
    exchange = an_exchange(Cookie="xa=1; a=2;a=3; b=a=4")

    assert cookie_values(exchange, b"a") == [b"2", b"3"]
    assert cookie_values(exchange, b"c") == []
