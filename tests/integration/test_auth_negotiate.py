"""Users of a real Kerberos realm, with curl."""

from __future__ import annotations

import json
import re
import subprocess
from base64 import b64encode

import bcrypt
import gssapi
import pytest

from demo.origins import PAGE
from tests.integration.kerberos import REALM, Realm
from tests.scripted import exchange


@pytest.fixture(scope="module")
def realm(tmp_path_factory):
    with Realm(tmp_path_factory.mktemp("realm")) as running:
        yield running


@pytest.fixture
def serve(configured, tmp_path, origins, realm, monkeypatch):
    """Start a forward proxy for a realm's users."""
    for name in ("KRB5_CONFIG", "KRB5RCACHEDIR"):
        monkeypatch.setenv(name, realm.environment[name])

    def start(options, more=""):
        (tmp_path / "groups").write_text(f"staff: alice alice@{REALM}\n")
        return configured(
            lambda port: (
                f'[forward.a]\nlisten = ["127.0.0.1:{port}"]\nallow_private = true\n'
                f"connect_ports = [{origins.https_port}]\n"
                f'[[forward.a.filters]]\nuse = "auth"\ngroups = "groups"\n{more}\n'
                f'groups_header = "X-Groups"\nuser_header = "X-User"\nnegotiate = {{ {options} }}\n'
            )
        )

    return start


def curl(realm, proxy, *options):
    command = ["curl", "-sS", "--noproxy", "", "--proxy", f"http://localhost:{proxy.port}"]
    command += ["--max-time", "20", *options]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=25, env=realm.environment
    ).stdout


TICKET = ("--proxy-negotiate", "--proxy-user", ":")


def test_a_ticket_lets_in_through_the_proxy_and_through_a_tunnel(serve, realm, origins):
    proxy = serve(f'keytab = "{realm.keytab}", local_realms = ["{REALM}"]')
    assert "407" in curl(realm, proxy, "-i", origins.url + "/").split("\r\n")[0]
    echo = json.loads(curl(realm, proxy, *TICKET, origins.url + "/echo"))
    assert ["X-User", "alice"] in echo["fields"]
    assert ["X-Groups", "staff"] in echo["fields"]
    assert "negotiate" not in json.dumps(echo).lower()
    assert curl(realm, proxy, *TICKET, "-k", origins.https_url + "/") == PAGE
    proxy.stop()

    users = [json.loads(line)["user"] for line in proxy.log_lines()]
    assert users[-1] == "alice"
    assert "YII" not in "\n".join(proxy.log_lines()) + proxy.output.read_text()


def test_a_user_of_a_realm_that_is_not_local_is_called_with_it(serve, realm, origins):
    proxy = serve(f'keytab = "{realm.keytab}"')

    echo = json.loads(curl(realm, proxy, *TICKET, origins.url + "/echo"))
    assert ["X-User", f"alice@{REALM}"] in echo["fields"]


def test_a_ticket_for_another_service_is_not_taken(serve, realm, origins):
    proxy = serve(f'keytab = "{realm.other_keytab}"')

    assert "407" in curl(realm, proxy, *TICKET, "-i", origins.url + "/").split("\r\n")[0]


def make_token(realm, monkeypatch):
    for name in ("KRB5_CONFIG", "KRB5CCNAME"):
        monkeypatch.setenv(name, realm.environment[name])
    name = gssapi.Name("HTTP@localhost", gssapi.NameType.hostbased_service)
    context = gssapi.SecurityContext(name=name, usage="initiate")
    return b64encode(context.step())


def ask(proxy, origins, token):
    authority = origins.url[7:].encode()
    return exchange(
        proxy.address,
        b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
        b"Proxy-Authorization: Negotiate %s\r\n\r\n" % (authority, authority, token),
    )


def test_a_token_is_good_for_once(serve, realm, origins, monkeypatch):
    proxy = serve(f'keytab = "{realm.keytab}"')
    token = make_token(realm, monkeypatch)

    assert ask(proxy, origins, token).startswith(b"HTTP/1.1 200 ")
    assert ask(proxy, origins, token).startswith(b"HTTP/1.1 407 ")


@pytest.mark.parametrize(
    "token", [b"", b"????", b64encode(b"NTLMSSP\x00" + b"x" * 20), b64encode(b"\x60\x82" * 20)]
)
def test_what_is_no_ticket_is_not_taken(serve, realm, origins, token):
    answer = ask(serve(f'keytab = "{realm.keytab}"'), origins, token)

    assert answer.startswith(b"HTTP/1.1 407 ")
    assert b"\r\nProxy-Authenticate: Negotiate\r\n" in answer


def test_who_has_no_ticket_may_have_a_password(serve, realm, origins, tmp_path):
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (tmp_path / "htpasswd").write_text(f"bob:{hashed}\n")
    proxy = serve(f'keytab = "{realm.keytab}"', 'users = "htpasswd"')

    challenge = curl(realm, proxy, "-i", origins.url + "/")
    assert re.findall("Proxy-Authenticate: (\\w+)", challenge) == ["Negotiate", "Basic"]
    page = curl(realm, proxy, "--proxy-user", "bob:secret", origins.url + "/")
    assert page == PAGE
    assert curl(realm, proxy, *TICKET, origins.url + "/") == PAGE
