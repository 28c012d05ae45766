"""What a forward listener's keys take."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxykit.config.load import ConfigurationErrors, from_mapping
from proxykit.config.schema import configuration_schema


def forward(**keys):
    listener = {"listen": "127.0.0.1:1", **keys}
    return from_mapping({"forward": {"a": listener}}, Path(".")).forward["a"]


def problems(**keys):
    with pytest.raises(ConfigurationErrors) as caught:
        forward(**keys)
    return [f"{each.path}: {each.message}" for each in caught.value.problems]


def test_a_pac_file_is_switched_on_or_has_rules():
    assert forward().pac is None
    assert forward(pac=False).pac is None
    assert forward(pac=True).pac.direct == ["localhost", "127.0.0.0/8", "::1"]
    pac = forward(pac={"direct": ["*.LAN"], "proxies": "http://p.lan:3128"}).pac
    assert pac.direct == ["*.lan"]
    assert pac.proxies == ["PROXY p.lan:3128"]


def test_everything_wrong_with_it_is_said_with_its_place():
    said = problems(pac={"direct": ["a b"], "proxies": ["p:3128"], "plain": True})

    assert len(said) == 3
    assert any(each.startswith("forward.a.pac.direct[0]: expected a name") for each in said)
    assert any(each.startswith("forward.a.pac.proxies[0]: expected a proxy") for each in said)
    assert "forward.a.pac.plain: unknown key; did you mean 'plain_names'?" in said


@pytest.mark.parametrize("host", ["a b", "a:80", ".a", "http://a"])
def test_the_pages_name_is_a_name(host):
    assert problems(info_host=host)[0].startswith("forward.a.info_host: ")
    assert forward(info_host="").info_host == ""


@pytest.mark.parametrize("listen", ["unix:/x", "systemd:domain=INET:index=0", "x"])
def test_what_is_intercepted_comes_to_an_address_and_a_port(listen):
    assert problems(intercept=[{"listen": listen}])[0].startswith("forward.a.intercept[0].listen: ")


def test_there_are_two_ways_to_intercept():
    assert problems(intercept=[{"listen": ":1", "mode": "magic"}])
    modes = [{"listen": ":1"}, {"listen": ":2", "mode": "tproxy"}]
    assert [each.mode for each in forward(intercept=modes).intercept] == ["redirect", "tproxy"]


def test_the_schema_knows_both_ways_to_write_pac():
    pac = configuration_schema()["$defs"]["ForwardListener"]["properties"]["pac"]

    assert {"type": "boolean"} in pac["anyOf"]
    assert {"$ref": "#/$defs/Pac"} in pac["anyOf"]
