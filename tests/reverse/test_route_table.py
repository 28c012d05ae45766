"""The route table gives what trying one route after the other gives, whatever is asked."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.engine.pipeline import Route
from proxykit.errors import BadRequest, NoRoute, WrongListener
from proxykit.message.path import PathMatch, normalised_path
from proxykit.reverse.conditions import (
    Conditions,
    HostMatch,
    Subject,
    client_condition,
    header_condition,
    method_condition,
    query_condition,
)
from proxykit.reverse.route_table import RouteTable, _whole_segments
from proxykit.reverse.router import ReverseRouter
from proxykit.reverse.split import always
from tests.reverse.requests import an_exchange


def takes(conditions, **request):
    return conditions.hold(Subject(an_exchange(**request)))


def conditions_of(host=(), path=None, methods=(), clients=()):
    others = []
    if methods:
        others.append(method_condition(methods))
    if clients:
        others.append(client_condition([ipaddress.ip_network(each) for each in clients]))
    return Conditions(HostMatch.of(host), PathMatch.of(path) if path else None, tuple(others))


def leads_to_one_place(path):
    try:
        normalised_path(path)
    except BadRequest:
        return False
    return True


# Few names and segments, so that routes overlap and requests hit.
NAMES = st.sampled_from(["a.example", "b.example", "x.a.example", "y.x.a.example", "c.test"])
HOSTS = st.one_of(
    NAMES,
    NAMES.map(lambda name: "*." + name),
    st.sampled_from(["*.example", "*", "~ ^[a-b]\\.", "~ test$", "*.y.x.a.example"]),
)
SEGMENTS = st.sampled_from(["a", "b", "ab", "c", "%2e%2e", ".", "a%2Fb", "", "caf%c3%a9"])
PATHS = (
    st.lists(SEGMENTS, max_size=5)
    .map(lambda parts: "/" + "/".join(parts))
    .filter(leads_to_one_place)
)
EXPRESSIONS = st.sampled_from(
    [
        "^/a/",
        "^/a/b",
        "^/a/b?c",
        "^/ab*/c",
        "/b$",
        "^/(a|b)/",
        "^/a/|^/c",
        "^/a/b/c$",
        "^/a\\.?/",
        "c",
    ]
)
ROUTE_PATHS = st.one_of(
    st.none(),
    PATHS,
    PATHS.map(lambda path: path.rstrip("/") or "/"),
    PATHS.map(lambda path: "= " + path),
    EXPRESSIONS.map(lambda expression: "~ " + expression),
)
ROUTES = st.lists(
    st.builds(
        conditions_of,
        host=st.lists(HOSTS, max_size=3),
        path=ROUTE_PATHS,
        methods=st.sampled_from([(), (), ("GET",), ("POST", "PUT")]),
        clients=st.sampled_from([(), (), ("192.0.2.0/28",), ("10.0.0.0/8", "::1")]),
    ),
    max_size=40,
)
REQUESTS = st.fixed_dictionaries(
    {
        "host": st.one_of(
            NAMES, st.sampled_from(["example", "A.EXAMPLE:81", "a.example.", "[::1]"])
        ),
        "target": PATHS,
        "method": st.sampled_from(["GET", "POST", "HEAD"]),
        "client": st.sampled_from(["192.0.2.1", "192.0.2.99", "10.1.1.1", "::ffff:10.1.1.1", ""]),
    }
)


@settings(max_examples=300)
@given(ROUTES, st.lists(REQUESTS, min_size=1, max_size=10))
def test_the_table_finds_what_trying_each_route_in_order_finds(routes, requests):
    table = RouteTable([(conditions, number) for number, conditions in enumerate(routes)])
    for request in requests:
        subject = Subject(an_exchange(**request))
        naive = next((n for n, each in enumerate(routes) if each.hold(subject)), None)

        assert table.find(subject) == naive


@pytest.mark.parametrize(
    ("expression", "front"),
    [
        ("^/api/v[0-9]+/x", "/api"),
        ("^/api/v1/", "/api/v1"),
        ("\\A/api/x", "/api"),
        ("^/api/a?b", "/api"),
        ("^/api/?", ""),
        ("^/a\\.b/c", "/a.b"),
        ("^/a/|/b", ""),
        ("(?i)^/a/b", ""),
        ("/a/b", ""),
        ("^a/b/", ""),
        ("^/a.b/c", ""),
        ("^/a/\\d", "/a"),
    ],
)
def test_the_whole_segments_in_front_of_an_expression_are_known(expression, front):
    assert _whole_segments(PathMatch.of(f"~ {expression}")) == front


@pytest.mark.parametrize(
    ("host", "asked", "matches"),
    [
        ("a.example", "a.example", True),
        ("a.example", "A.Example:8080", True),
        ("a.example", "a.example.", True),
        ("a.example", "x.a.example", False),
        ("*.a.example", "x.a.example", True),
        ("*.a.example", "y.x.a.example", True),
        ("*.a.example", "a.example", False),
        ("*.a.example", "xa.example", False),
        ("~ ^app[0-9]+\\.", "app12.example", True),
        ("~ ^app[0-9]+\\.", "APP12.example", True),
        ("~ ^app[0-9]+\\.", "app.example", False),
        ("*", "whatever", True),
        ("::1", "[::1]:80", True),
    ],
)
def test_a_host_is_exact_a_wildcard_or_an_expression(host, asked, matches):
    assert takes(conditions_of(host=[host]), host=asked) is matches


@pytest.mark.parametrize(
    ("path", "asked", "matches"),
    [
        ("/api", "/api", True),
        ("/api", "/api/x", True),
        ("/api", "/apix", False),
        ("/api/", "/api", False),
        ("/api/", "/x/../%61pi/y", True),
        ("/api/", "/api%2Fy", True),
        ("/api/", "/api/../secret", False),
        ("/api/", "/api/%2e%2e/secret", False),
        ("/api/", "//api//y", True),
        ("= /x", "/x", True),
        ("= /x", "/x/", False),
        ("~ ^/img/.*\\.png$", "/img/a.png", True),
        ("~ ^/img/.*\\.png$", "/img/a.png?x=.jpg", True),
        ("/café", "/caf%c3%a9/x", True),
        ("= /caf%c3%a9", "/caf%C3%A9", True),
        ("/a b", "/a%20b", True),
    ],
)
def test_a_path_is_matched_by_where_it_leads(path, asked, matches):
    assert takes(conditions_of(path=path), target=asked) is matches


@pytest.mark.parametrize(
    ("wanted", "value", "matches"),
    [
        (True, "x", True),
        (True, None, False),
        (False, None, True),
        (False, "", False),
        ("2", "2", True),
        ("2", "22", False),
        ("~ ^2", "22", True),
        (["1", "~ ^b"], "beta", True),
        (["1", "~ ^b"], None, False),
    ],
)
def test_what_is_asked_of_a_field_and_of_a_parameter(wanted, value, matches):
    fields = {} if value is None else {"X_Version": value}
    query = "" if value is None else f"?a=0&v={value}"

    header = Conditions(others=(header_condition("x-version", wanted),))
    parameter = Conditions(others=(query_condition("v", wanted),))
    assert takes(header, **fields) is matches
    assert takes(parameter, target="/" + query) is matches


def test_a_parameter_is_compared_decoded_and_any_of_its_values_is_enough():
    conditions = Conditions(others=(query_condition("näme", "a b"),))

    assert takes(conditions, target="/?n%C3%A4me=x&n%c3%a4me=a+b")
    assert not takes(conditions, target="/?name=a+b")


def test_a_query_of_thousands_of_parameters_is_read_in_part():
    conditions = Conditions(others=(query_condition("last", True),))

    assert not takes(conditions, target="/?" + "a&" * 3000 + "last=1")


def test_connect_is_not_for_servers_and_no_route_is_an_error():
    router = ReverseRouter([(conditions_of(path="/x"), always(Route("x")))])

    assert router.choose(an_exchange(target="/x")).name == "x"
    with pytest.raises(NoRoute):
        router.choose(an_exchange(target="/y"))
    with pytest.raises(WrongListener):
        router.choose(an_exchange(method="CONNECT", target="a:1"))
