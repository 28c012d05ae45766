"""Parents and what goes with them in a configuration: what is wrong is said, no secret is."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxykit.config.load import ConfigurationErrors, parse
from proxykit.service.options import ForwardOptions

FORWARD = '[forward.a]\nlisten = "127.0.0.1:3128"\n'


def problems_of(text):
    with pytest.raises(ConfigurationErrors) as caught:
        parse(FORWARD + text, Path("."), "f.toml")
    return "\n".join(map(str, caught.value.problems))


@pytest.mark.parametrize(
    "url",
    [
        "http://p:3128", "https://ada:pw@[2001:db8::1]:1", "socks5h://p", "socks4a://ada@p",
        "socks5://a%40b:p%3Aw@p:1080/",
    ],
)  # fmt: skip
def test_parents_are_read_and_keep_their_secrets(url):
    configuration = parse(FORWARD + f'parents = "{url}"', Path("."), "f.toml")

    parent = configuration.forward["a"].parents[0].url
    assert parent.scheme in ("http", "https", "socks4", "socks5")
    assert "pw" not in repr(configuration)
    assert "p:w" not in repr(configuration) + str(parent)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('parents = "ftp://ada:s3cret@p"', "expected a parent"),
        ('parents = "socks5://ada:s3cret@p:99999"', "expected a parent"),
        ('parents = "http://ada:s3cret@"', "expected a parent"),
        ('parents = "http://ada:s3cret@p/path"', "expected a parent"),
        ('parents = "http://a%3Ab:s3cret@p"', "cannot hold a colon"),
        ('parents = "http://:s3cret@p"', "a password needs a user"),
        ('parents = "socks4://ada:s3cret@p"', "SOCKS4 has no password"),
        ('parents = "socks5://ada:s3cret%0d%0a@p"', "holds a control character"),
        ('parents = [{ url = "http://p", fro = "a" }]', "did you mean 'for'?"),
        ('parents = [{ url = "http://p", for = "a b" }]', "expected a domain"),
        ('parents = [{ url = "http://p", password_file = "x" }]', "goes with a user"),
        ('parents = [{ url = "http://p", tls = {} }]', "tls is for an https:// parent"),
        ("direct = true", "there are no parents"),
        ('siblings = "http://ada:s3cret@p"', "siblings are asked for what the cache does not hold"),
        ('siblings = "socks5://ada:s3cret@p"', "a sibling is an http:// or https:// proxy"),
        ('siblings = [{ url = "http://p", send_proxy = "v1" }]', "siblings"),
        ('siblings = [{ url = "http://p", timeout = "soon" }]', "timeout"),
        (f"siblings = {['http://p'] * 17}", "takes at most 16"),
        ('outgoing = [{ address = "example.com" }]', "expected an IP address of this machine"),
        ("proxy_protocol = true", "proxy_protocol needs trust_proxy"),
        ('socks = "127.0.0.1:3128"', "is also what forward.a.listen listens on"),
    ],
)
def test_what_is_wrong_is_said_and_no_secret_is(text, message):
    said = problems_of(text)

    assert message in said
    assert "s3cret" not in said


def test_a_listener_may_speak_socks_only():
    configuration = parse('[forward.a]\nsocks = ":1080"', Path("."), "f.toml")

    assert configuration.forward["a"].listen == []


def test_the_command_line_stands_for_a_configuration():
    options = ForwardOptions()
    options.parseOptions(
        ["--socks", ":1080", "--parent", "http://p:1", "--parent", "socks5://q",
         "--trust-proxy", "10.0.0.0/8", "--proxy-protocol"]
    )  # fmt: skip

    forward = options.configuration().forward["main"]

    assert forward.socks == ["tcp:1080"]
    assert [parent.url.name for parent in forward.parents] == ["http://p:1", "socks5://q:1080"]
    assert forward.proxy_protocol
