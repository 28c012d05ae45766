"""What may be wrong with a route, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxykit.command import main
from proxykit.config.load import ConfigurationErrors, parse

HEAD = '[pool.app]\nservers = ["http://127.0.0.1:1"]\n[reverse.a]\nlisten = ":1"\n'
ROUTE = "[[reverse.a.routes]]\n"


def problems_of(route):
    try:
        parse(HEAD + ROUTE + route, Path("."), "f.toml")
    except ConfigurationErrors as errors:
        return [str(problem) for problem in errors.problems]
    return []


@pytest.mark.parametrize(
    "route",
    [
        'pool = "app"',
        'split = { pools = { app = 1 }, sticky = "client" }',
        'split = { pools = { app = 1 }, sticky = { cookie = "v", ttl = "1h" } }',
        'redirect = { to = "/x" }',
        'path = "~ ^/(?P<a>.)(b)"\nredirect = { to = "/{a}/{2}{uri}{path}{query}{host}{scheme}" }',
        "respond = { status = 204 }",
        'static = { root = "." }',
        'host = ["*", "*.a.example", "[::1]", "~ ^a"]\npool = "app"',
        'headers = { A = true, B = "x", C = ["~ y", "z"] }\nquery = { d = false }\npool = "app"',
        'rewrite = [{ match = "^/a", to = "/b" }, { match = "^/c", to = "/d" }]\npool = "app"',
        'pool = "app"\nlimits = { body_size = "none" }',
        'pool = "app"\n[[reverse.a.routes.filters]]\nuse = "mirror"\npool = "app"',
    ],
)
def test_a_good_route(route):
    assert problems_of(route) == []


@pytest.mark.parametrize(
    ("route", "place", "message"),
    [
        ("", "f.toml:5: reverse.a.routes[0]", "a route needs one of pool, split, redirect"),
        ('pool = "app"\nredirect = { to = "/" }', "routes[0]", "a route needs one of"),
        ('pool = "ap"', "f.toml:6: reverse.a.routes[0].pool", "did you mean 'app'?"),
        ("split = { pools = { ap = 1 } }", "routes[0].split.pools.ap", "did you mean 'app'?"),
        ("split = { pools = { app = 0 } }", "routes[0].split", "no pool has a share"),
        ("split = { pools = { app = -1 } }", "split.pools.app", "greater than or equal to 0"),
        ("split = { pools = {} }", "split.pools", "at least 1"),
        ('split = { pools = { app = 1 }, stiky = "client" }', "split.stiky", "'sticky'"),
        ('split = { pools = { app = 1 }, sticky = "clinet" }', "split.sticky", 'expected "client"'),
        ('split = { pools = { app = 1 }, sticky = { cokie = "v" } }', "sticky.cokie", "'cookie'"),
        ('split = { pools = { app = 1 }, sticky = { ttl = "1h" } }', "split.sticky", "no cookie"),
        ('redirect = { to = "/{1}" }', "routes[0]", "there is no {1} here"),
        ('path = "~ ^/(a)"\nredirect = { to = "/{2}" }', "routes[0]", "there is no {2} here"),
        ('redirect = { to = "/a b" }', "redirect.to", ""),
        ('respond = { status = 204, body = "x" }', "routes[0].respond", "has no content"),
        ("respond = { status = 101 }", "respond.status", "greater than or equal to 200"),
        ('respond = { headers = { Via = "x" } }', "respond.headers", "by the proxy itself"),
        ('respond = { headers = { A = "b\\r\\nC: d" } }', "respond.headers", "not a field value"),
        ('respond = { content_type = "a\\r\\nb: c" }', "respond.content_type", ""),
        ('host = "a.example:80"\npool = "app"', "routes[0].host", "has no port"),
        ('host = "~ ("\npool = "app"', "routes[0].host", "no regular expression"),
        ('host = "a.*"\npool = "app"', "routes[0].host", "expected a host"),
        ('path = "~ ^/(?!a)"\npool = "app"', "routes[0].path", "look-around"),
        ('host = "~ (a)b++"\npool = "app"', "routes[0].host", "a possessive quantifier"),
        ('headers = { A = "~ [" }\npool = "app"', "headers.A", "no regular expression"),
        ('headers = { "A:" = "x" }\npool = "app"', "headers", "not a field name"),
        ("query = { a = 1 }\npool = 'app'", "query.a", "expected a text"),
        ('client = "10.0.0.0/40"\npool = "app"', "routes[0].client", "expected a network"),
        ('rewrite = { match = "(", to = "/" }\npool = "app"', "rewrite", "no regular expression"),
        (
            "rewrite = { match = '(a)\\1', to = '/' }\npool = 'app'",
            "routes[0].rewrite[0]",
            "a back-reference",
        ),
        ('rewrite = { match = "^/", to = "x" }\npool = "app"', "rewrite", "expected a path"),
        ('error_pages = { "200" = "x" }\npool = "app"', "error_pages", ""),
        ('intercept_errors = true\npool = "app"', "routes[0]", "has no error_pages"),
        ('strip_prefix = "x"\npool = "app"', "routes[0].strip_prefix", ""),
        (
            'pool = "app"\n[[reverse.a.routes.filters]]\nuse = "mirror"\npool = "apq"',
            "f.toml:9: reverse.a.routes[0].filters[0].pool",
            "did you mean 'app'?",
        ),
    ],
)  # fmt: skip
def test_a_bad_route_is_one_problem_that_says_what_is_wrong(route, place, message):
    problems = problems_of(route)

    assert len(problems) == 1, problems
    assert place in problems[0]
    assert message in problems[0]


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ('static = { root = "none" }', "is no folder"),
        ('error_pages = { "404" = "none.html" }\npool = "app"', "cannot be read"),
    ],
)
def test_what_is_not_there_is_found_when_the_configuration_is_checked(
    tmp_path, capsys, route, message
):
    file = tmp_path / "f.toml"
    file.write_text(HEAD + ROUTE + route)

    assert main(["check", str(file)]) == 1
    assert message in capsys.readouterr().err
