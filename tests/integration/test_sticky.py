"""Sticky sessions in a running proxy: over reloads and restarts, with TLS, and when servers go."""

from __future__ import annotations

import ssl
import urllib.request

import pytest

from tests.integration.several import Pooled, ask, named, named_origins, who_answers
from tests.scripted import ScriptedOrigin, reply

COOKIE = 'sticky = { cookie = "srv" }'
SECRET = 'sticky = { cookie = "srv", secret_file = "secret" }'
LEARN = 'sticky = { learn = "JSESSIONID", timeout = "10m" }'


@pytest.fixture(scope="module")
def origins():
    with named_origins("abc") as running:
        yield running


def first_visit(pooled):
    """Ask as somebody new; give who answered and the cookie as a browser returns it."""
    with pooled.client() as client:
        name, set_cookie = ask(client)
    return name, set_cookie.split(";")[0]


def test_every_client_stays_with_the_server_that_it_came_to(tmp_path, origins):
    with Pooled(tmp_path).write(origins, COOKIE) as pooled:
        visits = [first_visit(pooled) for _ in range(6)]
        for name, cookie in visits:
            assert who_answers(pooled, 5, Cookie=f"theme=dark; {cookie}") == {name: 5}

    assert {name for name, _ in visits} == {"a", "b", "c"}
    assert len({cookie for _, cookie in visits}) == 3


def test_the_cookie_is_set_once_and_names_no_address(tmp_path, origins):
    with Pooled(tmp_path).write(origins, COOKIE) as pooled, pooled.client() as client:
        _, set_cookie = ask(client)
        _, again = ask(client, Cookie=set_cookie.split(";")[0])

    assert again is None
    assert "127.0.0.1" not in set_cookie
    assert not any(str(origin.port) in set_cookie for origin in origins)
    assert set_cookie.endswith("; Path=/; HttpOnly; SameSite=Lax")


def test_a_pool_without_sticky_sets_nothing(tmp_path, origins):
    with Pooled(tmp_path).write(origins) as pooled, pooled.client() as client:
        assert ask(client)[1] is None


def test_a_forged_cookie_is_as_good_as_none(tmp_path, origins):
    with Pooled(tmp_path).write(origins, COOKIE) as pooled:
        with pooled.client() as client:
            _, set_cookie = ask(client, Cookie="srv=AAAAAAAAAAAAAAAAAAAAAAAA")
        assert set_cookie.startswith("srv=")
        assert set(who_answers(pooled, 9, Cookie="srv=AAAAAAAAAAAAAAAAAAAAAAAA")) == set("abc")


def test_a_client_whose_server_is_gone_gets_another_and_its_cookie(tmp_path, origins):
    with Pooled(tmp_path).write(origins, COOKIE) as pooled:
        name, cookie = first_visit(pooled)
        left = [each for each, n in zip(origins, "abc", strict=True) if n != name]
        pooled.reload(left, COOKIE)
        with pooled.client() as client:
            other, set_cookie = ask(client, Cookie=cookie)
        assert other != name
        new = set_cookie.split(";")[0]
        assert new != cookie
        assert who_answers(pooled, 6, Cookie=new) == {other: 6}


def test_a_drained_server_keeps_its_clients(tmp_path, origins):
    with Pooled(tmp_path).write(origins, COOKIE) as pooled:
        name, cookie = first_visit(pooled)
        servers = [
            f'{{ url = "{each.url}", weight = 0 }}' if n == name else each
            for each, n in zip(origins, "abc", strict=True)
        ]
        pooled.reload(servers, COOKIE)
        assert who_answers(pooled, 6, Cookie=cookie) == {name: 6}
        assert name not in who_answers(pooled, 6)


def test_a_reload_keeps_clients_with_their_servers(tmp_path, origins):
    with Pooled(tmp_path).write(origins, COOKIE) as pooled:
        name, cookie = first_visit(pooled)
        pooled.reload(origins[::-1], COOKIE)
        assert who_answers(pooled, 6, Cookie=cookie) == {name: 6}


@pytest.mark.parametrize("keys", [COOKIE, SECRET])
def test_with_a_secret_of_its_own_a_restart_keeps_them_too(tmp_path, origins, keys):
    (tmp_path / "secret").write_text("a secret that only the operator knows\n")
    with Pooled(tmp_path).write(origins, keys) as pooled:
        visits = [first_visit(pooled) for _ in range(3)]
    kept = []
    with Pooled(tmp_path).write(origins, keys) as pooled:
        for name, cookie in visits:
            kept.append(who_answers(pooled, 6, Cookie=cookie) == {name: 6})

    assert kept == [keys is SECRET] * 3


def test_over_https_the_cookie_is_secure(tmp_path, origins, certificate):
    pair = f'certificate = "{certificate.certificate}", key = "{certificate.key}"'
    pooled = Pooled(
        tmp_path,
        lambda port: f'tls = {{ listen = ["127.0.0.1:{port}"], certificates = [ {{ {pair} }} ] }}',
    )
    with pooled.write(origins, COOKIE):
        context: ssl.SSLContext = certificate.client_context()
        with urllib.request.urlopen(
            f"https://127.0.0.1:{pooled.port}/", context=context, timeout=5
        ) as response:
            assert response.headers["Set-Cookie"].endswith("; HttpOnly; SameSite=Lax; Secure")


def test_an_answer_of_the_proxys_own_sets_no_cookie(tmp_path):
    with (
        ScriptedOrigin(reply(b"nonsense\r\n\r\n")) as bad,
        Pooled(tmp_path).write([bad], COOKIE) as pooled,
        pooled.client() as client,
    ):
        client.request("GET", "/")
        response = client.getresponse()
        response.read()

    assert response.status == 502
    assert response.getheader("Set-Cookie") is None


# --- learnt -----------------------------------------------------------------------------------


@pytest.fixture
def applications():
    """Servers that begin a session at /login, each with ids of its own."""

    def application(name):
        count = iter(range(1000))

        def script(connection, head):
            login = head.startswith(b"GET /login ")
            fields = b"Set-Cookie: JSESSIONID=%s%d; Path=/; HttpOnly\r\n" % (name, next(count))
            named(name, fields if login else b"")(connection, head)

        return script

    with (
        ScriptedOrigin(application(b"a")) as a,
        ScriptedOrigin(application(b"b")) as b,
        ScriptedOrigin(application(b"c")) as c,
    ):
        yield a, b, c


def login(pooled):
    with pooled.client() as client:
        name, set_cookie = ask(client, "/login")
    assert set_cookie.count("=") == 2, "the proxy adds no cookie of its own"
    return name, set_cookie.split(";")[0]


def test_a_session_that_a_server_began_goes_to_that_server(tmp_path, applications):
    with Pooled(tmp_path).write(applications, LEARN) as pooled:
        visits = [login(pooled) for _ in range(6)]
        for name, cookie in visits:
            assert who_answers(pooled, 6, Cookie=cookie) == {name: 6}
        assert set(who_answers(pooled, 6, Cookie="JSESSIONID=unknown")) == {"a", "b", "c"}

    assert {name for name, _ in visits} == {"a", "b", "c"}


def test_learnt_sessions_outlive_a_reload(tmp_path, applications):
    with Pooled(tmp_path).write(applications, LEARN) as pooled:
        name, cookie = login(pooled)
        pooled.reload(applications[::-1], LEARN)
        assert who_answers(pooled, 6, Cookie=cookie) == {name: 6}


def test_only_so_many_sessions_are_remembered(tmp_path, applications):
    with Pooled(tmp_path).write(applications, LEARN.replace(" }", ", sessions = 2 }")) as pooled:
        visits = [login(pooled) for _ in range(3)]
        assert set(who_answers(pooled, 6, Cookie=visits[0][1])) == {"a", "b", "c"}
        for name, cookie in visits[1:]:
            assert who_answers(pooled, 6, Cookie=cookie) == {name: 6}
