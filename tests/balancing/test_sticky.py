"""Sticky sessions: by a cookie that only the proxy can read and write, or by a learnt one."""

from __future__ import annotations

import re

import pytest

from proxykit.balancing.learnt_sessions import LearntSessions
from proxykit.balancing.sticky import CookieAttributes, StickyCookie, StickyLearnt
from proxykit.message.response import Response
from tests.balancing.servers import make_exchange, make_servers

SERVERS = make_servers(1, 1, 1)


def sticky(secret=b"s" * 32, **attributes):
    return StickyCookie("srv", secret, CookieAttributes(**attributes))


def answered(server, scheme="http", **fields):
    """Give an exchange that a server has answered."""
    exchange = make_exchange(**fields)
    exchange.scheme = scheme
    exchange.upstream = server.name
    exchange.responded = 1.0
    return exchange


def cookie_set(one, exchange):
    response = Response(200)
    one.response(exchange, response)
    value = response.headers.get(b"set-cookie")
    return None if value is None else value.decode()


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_who_returns_the_cookie_is_bound_to_the_server_that_answered(server):
    set_cookie = cookie_set(sticky(), answered(server))
    name_and_value = set_cookie.split(";")[0]

    assert sticky().bound(SERVERS, make_exchange(cookie=f"a=b; {name_and_value}")) is server


def test_the_cookie_has_the_attributes_of_a_cookie_that_is_nobodys_business():
    set_cookie = cookie_set(sticky(), answered(SERVERS[0]))

    assert re.fullmatch(r"srv=[A-Za-z0-9_-]{24}; Path=/; HttpOnly; SameSite=Lax", set_cookie)
    assert cookie_set(sticky(), answered(SERVERS[0], "https")).endswith("; Secure")


def test_the_cookie_may_last_and_be_for_a_domain_and_a_path():
    one = sticky(max_age=3600.0, domain="example.com", path="/app")

    assert cookie_set(one, answered(SERVERS[0])).endswith(
        "; Path=/app; Domain=example.com; Max-Age=3600; HttpOnly; SameSite=Lax"
    )


def test_a_cookie_that_is_right_is_not_set_again():
    set_cookie = cookie_set(sticky(), answered(SERVERS[0]))
    value = set_cookie.split(";")[0]

    assert cookie_set(sticky(), answered(SERVERS[0], cookie=value)) is None
    assert cookie_set(sticky(), answered(SERVERS[1], cookie=value)) not in (None, set_cookie)


@pytest.mark.parametrize(
    "value", ["", "a", "127.0.0.1:9001", "A" * 24, "A" * 5000, "../..", "\xff\xfe"]
)
def test_a_cookie_that_was_not_made_here_binds_nobody(value):
    one = sticky()
    exchange = make_exchange(cookie="srv=" + value)

    assert one.bound(SERVERS, exchange) is None


def test_a_cookie_made_with_another_secret_binds_nobody():
    value = cookie_set(sticky(b"t" * 32), answered(SERVERS[0])).split(";")[0]

    assert sticky().bound(SERVERS, make_exchange(cookie=value)) is None


def test_a_server_that_is_gone_is_nobodys():
    value = cookie_set(sticky(), answered(SERVERS[0])).split(";")[0]
    one = sticky()

    assert one.bound(SERVERS, make_exchange(cookie=value)) is SERVERS[0]
    assert one.bound(SERVERS[1:], make_exchange(cookie=value)) is None


def test_answers_of_the_proxys_own_bind_nobody():
    exchange = answered(SERVERS[0])
    exchange.error_type = "connection_refused"
    assert cookie_set(sticky(), exchange) is None

    exchange = answered(SERVERS[0])
    exchange.responded = None
    assert cookie_set(sticky(), exchange) is None


# --- learnt -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "set_cookie",
    [
        b"JSESSIONID=abc; Path=/; HttpOnly",
        b"JSESSIONID=abc",
        b" JSESSIONID = abc ;Secure",
    ],
)
def test_what_a_server_sets_its_cookie_to_is_learnt(set_cookie):
    one = StickyLearnt("JSESSIONID", LearntSessions(), 60, 10)
    response = Response(200, [(b"Set-Cookie", b"x=y"), (b"Set-Cookie", set_cookie.strip())])
    one.response(answered(SERVERS[1]), response)

    assert one.bound(SERVERS, make_exchange(cookie="x=y; JSESSIONID=abc")) is SERVERS[1]
    assert one.bound(SERVERS, make_exchange(cookie="JSESSIONID=abcd")) is None
    assert one.bound(SERVERS, make_exchange()) is None
    assert one.bound(SERVERS[:1], make_exchange(cookie="JSESSIONID=abc")) is None


def test_nothing_is_learnt_of_other_cookies_or_from_clients():
    sessions = LearntSessions()
    one = StickyLearnt("JSESSIONID", sessions, 60, 10)
    for value in (b"jsessionid=abc", b"JSESSIONID=; Max-Age=0", b"JSESSIONID"):
        one.response(answered(SERVERS[1]), Response(200, [(b"Set-Cookie", value)]))
    one.bound(SERVERS, make_exchange(cookie="JSESSIONID=abc"))

    assert len(sessions) == 0
