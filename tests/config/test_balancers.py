"""A pool's balancer and sticky sessions, as a configuration says them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxykit.command import main
from proxykit.config.load import ConfigurationErrors, parse

BASE = """
[pool.app]
servers = ["http://127.0.0.1:9001", { url = "http://127.0.0.1:9002", backup = true, weight = 0 }]
slow_start = "30s"
BALANCE
[reverse.site]
listen = "127.0.0.1:8080"
[[reverse.site.routes]]
pool = "app"
"""


def read(line):
    return parse(BASE.replace("BALANCE", line), Path("."), "f.toml").pool["app"]


def errors_of(line, text=BASE):
    with pytest.raises(ConfigurationErrors) as caught:
        parse(text.replace("BALANCE", line), Path("."), "f.toml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "name",
    [
        "round-robin",
        "least-connections",
        "random-two",
        "ewma",
        "hash-client",
        "hash-uri",
        "first",
    ],
)
@pytest.mark.parametrize("form", ['"{}"', '{{ use = "{}" }}'])
def test_a_balancer_is_named_alone_or_with_options(name, form):
    pool = read("balance = " + form.format(name))

    balance = pool.balance
    assert balance.factory.name == name
    assert hasattr(balance.factory.build(balance.options), "pick")


def test_round_robin_is_the_default():
    assert read("").balance.factory.name == "round-robin"


@pytest.mark.parametrize("key", ["client", "uri", "header:X-User", "cookie:SID"])
def test_hash_says_by_what(key):
    pool = read(f'balance = {{ use = "hash", key = "{key}", load_factor = 1.5 }}')

    assert pool.balance.options.key == key
    assert pool.balance.options.load_factor == 1.5


def test_a_load_factor_may_be_none():
    options = read('balance = { use = "hash-uri", load_factor = "none" }').balance.options
    assert options.load_factor is None


def test_a_server_may_be_a_backup_and_weigh_nothing():
    second = read("").servers[1]
    assert (second.backup, second.weight) == (True, 0)


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ('balance = "least-conections"', "pool.app.balance", "did you mean 'least-connections'?"),
        ('balance = { use = "ewm" }', "pool.app.balance", "did you mean 'ewma'?"),
        ('balance = "hash"', "pool.app.balance.key", "is missing"),
        ('balance = { use = "hash", kee = "uri", key = "uri" }', "balance.kee", "'key'?"),
        ('balance = { use = "hash", key = "user" }', "balance.key", 'expected "client", "uri"'),
        ('balance = { use = "ewma", key = "uri" }', "balance.key", "unknown key"),
        ('balance = { use = "hash-uri", load_factor = 0.5 }', "balance.load_factor", "than"),
        ("sticky = { }", "pool.app.sticky", "either cookie or learn"),
        ('sticky = { cookie = "a", learn = "b" }', "pool.app.sticky", "either cookie or learn"),
        ('sticky = { cookie = "a b" }', "pool.app.sticky.cookie", "pattern"),
        ('sticky = { learn = "a", max_age = "1h" }', "pool.app.sticky", "does not go with learn"),
        ('sticky = { cookie = "a", sessions = 5 }', "pool.app.sticky", "does not go with cookie"),
        ('sticky = { coookie = "a" }', "pool.app.sticky.coookie", "did you mean 'cookie'?"),
        ('sticky = { cookie = "a", path = "/a;b" }', "pool.app.sticky.path", "pattern"),
    ],
)
def test_an_error_has_its_place_and_says_what_is_known(line, place, message):
    problems = errors_of(line)

    assert any(place in each and message in each for each in problems), problems
    assert all(each.startswith("f.toml:5: ") for each in problems)


def test_balancers_are_checked_when_something_else_is_wrong_too():
    problems = errors_of('balance = "ewm"', BASE.replace("slow_start", "slow_strat"))

    assert len(problems) == 2
    assert "did you mean 'ewma'?" in problems[1]


def test_a_server_that_is_there_twice_is_an_error():
    problems = errors_of("", BASE.replace("9002", "9001"))
    assert "give it a weight instead" in problems[0]


def test_the_schema_knows_balancers_by_name_and_by_options(capsys):
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    names, *kinds = schema["$defs"]["BalancerEntry"]["anyOf"]

    assert "ewma" in names["enum"]
    assert "hash" not in names["enum"]
    assert {"$ref": "#/$defs/balancer.hash"} in kinds
    assert schema["$defs"]["balancer.hash"]["required"] == ["use", "key"]


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), ("short", "less than")])
def test_a_secret_that_cannot_be_used_is_an_error(tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "secret").write_text(content)
    file = tmp_path / "f.toml"
    file.write_text(BASE.replace("BALANCE", 'sticky = { cookie = "srv", secret_file = "secret" }'))

    assert main(["check", str(file)]) == 1
    error = capsys.readouterr().err
    assert "pool.app.sticky.secret_file" in error
    assert message in error
