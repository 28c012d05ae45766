"""A configuration is read whole: everything that is wrong is said at once, with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxykit.command import main
from proxykit.config.endpoints import endpoint_description
from proxykit.config.load import ConfigurationErrors, parse
from proxykit.config.schema import configuration_schema

GOOD = """
[pool.app]
servers = ["http://127.0.0.1:9001", { url = "unix:/run/app.sock", weight = 3 }]
connect_timeout = "250ms"

[forward.office]
listen = "127.0.0.1:3128"

[[forward.office.filters]]
use = "access"
allow = ["127.0.0.0/8"]

[reverse.site]
listen = ["127.0.0.1:8080"]

[[reverse.site.routes]]
host = ["example.com", "*.example.com"]
path = "/api/"
pool = "app"
strip_prefix = "/api"

[[reverse.site.routes]]
redirect = { to = "https://example.com{uri}", status = 308 }
"""


def errors_of(text):
    with pytest.raises(ConfigurationErrors) as caught:
        parse(text, Path("."), "f.toml")
    return [str(problem) for problem in caught.value.problems]


def test_a_good_configuration_is_read():
    configuration = parse(GOOD, Path("."), "f.toml")

    assert configuration.pool["app"].connect_timeout == 0.25
    assert [server.weight for server in configuration.pool["app"].servers] == [1, 3]


def test_all_errors_are_reported_at_once_with_their_lines():
    text = GOOD.replace("connect_timeout", "conect_timeout").replace('"access"', '"acess"')
    text = text.replace('path = "/api/"', 'path = "api"')

    problems = errors_of(text)

    assert [problem.split(": ")[0] for problem in problems] == [
        "f.toml:4",
        "f.toml:10",
        "f.toml:18",
    ]
    assert "did you mean 'connect_timeout'?" in problems[0]
    assert "did you mean 'access'?" in problems[1]
    assert "reverse.site.routes[0].path" in problems[2]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('pool = "app"', 'pool = "ap"', "did you mean 'app'?"),
        ('allow = ["127.0.0.0/8"]', 'allow = ["127.0.0.0/33"]', "expected a network"),
        ('allow = ["127', 'alow = ["127', "did you mean 'allow'?"),
        ("weight = 3", "wieght = 3", "did you mean 'weight'?"),
        ('"250ms"', '"250"', "expected a duration"),
        ('"127.0.0.1:8080"', '"127.0.0.1:3128"', "is also what forward.office.listen listens on"),
        ('"127.0.0.1:8080"', '"nonsense"', "expected an endpoint"),
        ("http://127.0.0.1:9001", "ftp://127.0.0.1", "expected a server"),
        ("[pool.app]", "[pool.app", "is not TOML"),
        ("status = 308", "status = 200", "301"),
    ],
)
def test_an_error_says_what_is_wrong(old, new, message):
    problems = errors_of(GOOD.replace(old, new))

    assert len(problems) == 1
    assert message in problems[0]


@pytest.mark.parametrize(
    ("text", "description"),
    [
        (":8080", "tcp:8080"),
        ("127.0.0.1:8080", "tcp:8080:interface=127.0.0.1"),
        ("[::1]:8080", "tcp:8080:interface=\\:\\:1"),
        ("unix:/run/a.sock", "unix:address=/run/a.sock"),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
    ],
)
def test_an_endpoint_is_a_host_and_port_a_path_or_twisteds_own(text, description):
    assert endpoint_description(text) == description


def test_the_command_checks_a_file(tmp_path, capsys):
    file = tmp_path / "f.toml"
    file.write_text(GOOD)
    assert main(["check", str(file)]) == 0
    file.write_text(GOOD.replace("[[forward", "[[forwad"))
    assert main(["check", str(file)]) == 1
    assert "did you mean 'forward'?" in capsys.readouterr().err


def test_a_filter_that_has_nothing_to_say_adds_no_line(tmp_path, capsys):
    file = tmp_path / "f.toml"
    file.write_text(
        '[forward.a]\nlisten = "127.0.0.1:3128"\n[[forward.a.filters]]\nuse = "access"\n'
    )

    main(["check", str(file)])

    assert capsys.readouterr().out == f"{file}: fine, 1 listener, 0 pools\n"


def test_every_sample_configuration_is_good(capsys):
    samples = sorted((Path(__file__).parents[2] / "etc").glob("*.toml"))
    assert samples
    for sample in samples:
        assert main(["check", str(sample)]) == 0


def test_the_schema_names_the_filters_options(capsys):
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "rules" in schema["$defs"]["filter.access"]["properties"]


def test_the_schema_lets_one_value_stand_for_a_list_of_one():
    listener = configuration_schema()["$defs"]["ReverseListener"]
    text = {"type": "string"}
    wanted = [text, {"type": "array", "items": text}]
    assert listener["properties"]["listen"]["anyOf"] == wanted


def test_one_value_of_any_kind_stands_for_a_list_of_one():
    table = "rewrite = { match = '^/a', to = '/b' }"
    text = GOOD.replace('strip_prefix = "/api"', f'methods = "GET"\n{table}')

    route = parse(text, Path("."), "f.toml").reverse["site"].routes[0]

    assert route.methods == ["GET"]
    assert [rule.to for rule in route.rewrite] == ["/b"]
    for servers in ('"http://a"', '{ url = "http://a" }'):
        one = parse(POOL.format(f"servers = {servers}"), Path("."), "f.toml")
        assert [server.url for server in one.pool["a"].servers] == ["http://a"]


POOL = '[pool.a]\n{}\n[reverse.r]\nlisten = ":1"\n[[reverse.r.routes]]\npool = "a"\n'


@pytest.mark.parametrize(
    ("pool", "problem"),
    [
        ("", "pool.a: a pool needs either servers or source"),
        ('servers = ["http://a"]\nsource = { file = "x" }', "either servers or source"),
        ('servers = ["http://a", "http://a"]', "http://a is there twice"),
        ("source = {}", "pool.a.source: a source is one of dns, srv and file"),
        ('source = { dns = "unix:/a" }', "dns needs a name"),
        ('source = { file = "x", min_ttl = "1h" }', "at most max_ttl"),
        ('source = { srv = "x", nameservers = "a.example" }', "pool.a.source.nameservers[0]"),
        (
            'servers = ["http://a"]\nhealth = { type = "tcp", path = "/" }',
            "path is for http checks",
        ),
        ('servers = ["unix:/a"]\nhealth = { type = "tls" }', "UNIX sockets"),
        ('servers = ["http://a"]\nhealth = { status = "2x" }', 'a status such as 200, "200-399"'),
        ('servers = ["http://a"]\nhealth = { body = "~ [" }', "is no regular expression"),
        ('servers = ["http://a"]\nhealth = { interval = "1ms" }', 'at least "50ms"'),
        ('servers = ["http://a"]\nhealth = { fal = 3 }', "unknown key; did you mean 'fall'?"),
        ('servers = ["http://a"]\noutlier = { most_ejected = 2 }', "pool.a.outlier.most_ejected"),
        ('servers = ["http://a"]\nbreaker = { trials = 0 }', "pool.a.breaker.trials"),
        ('servers = ["http://a"]\nhedge = { after = "p5" }', 'a percentile such as "p95"'),
        ('servers = ["http://a"]\ndeadline = {}', "a deadline needs a timeout or a header"),
        ('servers = ["http://a"]\nretry = { statuses = [200] }', "pool.a.retry.statuses[0]"),
        ('servers = ["http://a"]\nwhen_unusable = "try"', "pool.a.when_unusable"),
    ],
)
def test_what_a_pool_cannot_mean_is_said(pool, problem):
    (said,) = errors_of(POOL.format(pool))
    assert problem in said


def test_a_pool_finds_failing_servers_by_itself_unless_told_not_to():
    def pool(text):
        text = POOL.format('servers = ["http://a"]\n' + text)
        return parse(text, Path("."), "f.toml").pool["a"]

    assert pool("").outlier.errors == 5
    assert pool("").breaker is None
    assert pool("outlier = false").outlier is None
    assert pool("breaker = true").breaker.failures == 5
    assert pool('health = { status = ["2xx", 404] }').health.status == [(200, 299), (404, 404)]


def test_names_of_nothing_are_said_beside_whatever_else_is_wrong():
    text = GOOD.replace('pool = "app"', 'pool = "ap"\ncache = "main"').replace(
        "connect_timeout", "conect_timeout"
    )

    assert [problem.partition(": ")[2] for problem in errors_of(text)] == [
        "pool.app.conect_timeout: unknown key; did you mean 'connect_timeout'?",
        "reverse.site.routes[0].pool: there is no pool 'ap'; did you mean 'app'?",
        "reverse.site.routes[0].cache: there is no cache 'main'",
    ]


def test_a_pool_without_servers_is_told_in_plain_words():
    problems = errors_of(GOOD.replace('servers = ["http', 'servers = []\n# "http'))

    assert problems == ["f.toml:3: pool.app.servers: needs at least 1"]


def test_a_text_that_ends_too_soon_is_told_with_its_last_line():
    assert errors_of(GOOD + "oops = [") == [
        f"f.toml:{GOOD.count(chr(10)) + 1}: is not TOML: Invalid value"
    ]


def test_the_columns_of_the_plug_ins_are_even(capsys):
    main(["plugins"])

    lines = capsys.readouterr().out.splitlines()
    assert len({line.index(line.split("  ")[-1].strip()) for line in lines}) == 1
