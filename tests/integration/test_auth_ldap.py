"""Users of a real directory."""

from __future__ import annotations

import json
import time
from base64 import b64encode

import pytest

from demo.certificates import make_certificate
from demo.proxies import free_port
from tests.integration.directory import SEARCHER, SEARCHER_PASSWORD, SUFFIX, Directory
from tests.scripted import ScriptedOrigin, exchange, reply

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PEOPLE = f"ou=people,{SUFFIX}"


@pytest.fixture(scope="module")
def directory(tmp_path_factory, certificate):
    with Directory(tmp_path_factory.mktemp("slapd"), certificate) as running:
        yield running


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


@pytest.fixture
def serve(configured, tmp_path, origin):
    """Start a proxy whose users are in a directory."""

    def start(options, more=""):
        (tmp_path / "searcher").write_text(SEARCHER_PASSWORD + "\n")
        values = ", ".join(f"{name} = {json.dumps(value)}" for name, value in options.items())
        return configured(
            lambda port: (
                f'[pool.a]\nservers = ["{origin.url}"]\n'
                f'[reverse.a]\nlisten = ["127.0.0.1:{port}"]\n'
                f'[[reverse.a.filters]]\nuse = "auth"\nldap = {{ {values} }}\n'
                f'user_header = "X-User"\ngroups_header = "X-Groups"\n{more}\n'
                '[[reverse.a.routes]]\npool = "a"\n'
            )
        )

    return start


def searching(directory, **more):
    return {
        "url": directory.url,
        "base": PEOPLE,
        "bind_dn": SEARCHER,
        "bind_password_file": "searcher",
    } | more


def status(proxy, user, password):
    return ask(proxy, user, password)[9:12]


def ask(proxy, user, password):
    credentials = b64encode(f"{user}:{password}".encode())
    return exchange(
        proxy.address,
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Basic %s\r\n\r\n"
        % credentials,
    )


def told(origin):
    """Give what the origin was last told of the user and the groups."""
    fields = [line.partition(b": ")[::2] for line in bytes(origin.received[-1]).split(b"\r\n")]
    values = {name: value.decode() for name, value in fields}
    return values.get(b"X-User"), values.get(b"X-Groups")


def test_a_user_is_searched_and_the_password_is_verified_by_binding(directory, serve, origin):
    proxy = serve(searching(directory))

    assert status(proxy, "alice", "alices-password") == b"200"
    assert told(origin) == ("alice", "staff")
    assert status(proxy, "jürgen", "jürgens-password") == b"200"
    assert told(origin) == ("jürgen", "staff")
    assert status(proxy, "alice", "jürgens-password") == b"401"
    assert status(proxy, "nobody", "alices-password") == b"401"


def test_a_users_dn_may_be_written_down(directory, serve, origin):
    proxy = serve({"url": directory.url, "user_dn": f"uid={{user}},{PEOPLE}"})

    assert status(proxy, "alice", "alices-password") == b"200"
    assert told(origin) == ("alice", "staff")
    assert status(proxy, "alice", "wrong") == b"401"
    assert status(proxy, "nobody", "x") == b"401"


def test_an_empty_password_is_nobodys(directory, serve):
    """A directory takes a bind without a password for no authentication, and says yes."""
    for options in (
        searching(directory),
        {"url": directory.url, "user_dn": f"uid={{user}},{PEOPLE}"},
    ):
        assert status(serve(options), "alice", "") == b"401"


@pytest.mark.parametrize(
    "user", ["*", "ali*", "alice)(uid=*", "*)(uid=alice", "alice\\", "alice,ou=people", "\\61lice"]
)
def test_a_name_is_data_and_no_filter_and_no_dn(directory, serve, user):
    proxy = serve(searching(directory))
    assert status(proxy, user, "alices-password") == b"401"

    proxy = serve({"url": directory.url, "user_dn": f"uid={{user}},{PEOPLE}"})
    assert status(proxy, user, "alices-password") == b"401"


def test_a_name_with_characters_that_mean_something_elsewhere_is_found(directory, serve, origin):
    odd = "a*(b)\\,c"

    assert status(serve(searching(directory)), odd, "odd-password") == b"200"
    assert told(origin)[0] == odd
    proxy = serve({"url": directory.url, "user_dn": f"uid={{user}},{PEOPLE}"})
    assert status(proxy, odd, "odd-password") == b"200"
    assert told(origin)[0] == odd


@pytest.mark.parametrize("user", ["ALICE", " alice", "Alice "])
def test_a_user_is_called_what_the_directory_says(directory, serve, origin, user):
    """Or a rule about alice would not be one about ALICE, who is let in with her password."""
    proxy = serve(searching(directory))
    assert status(proxy, user, "alices-password") == b"200"
    assert told(origin)[0] == "alice"

    proxy = serve({"url": directory.url, "user_dn": f"uid={{user}},{PEOPLE}"})
    if status(proxy, user, "alices-password") == b"200":
        assert told(origin)[0] == "alice"


def test_groups_are_searched_too(directory, serve, origin):
    proxy = serve(searching(directory, groups_attribute="", groups_base=f"ou=groups,{SUFFIX}"))

    assert status(proxy, "alice", "alices-password") == b"200"
    assert told(origin) == ("alice", "posix, staff")
    assert status(proxy, "jürgen", "jürgens-password") == b"200"
    assert told(origin) == ("jürgen", "staff")


@pytest.mark.parametrize("way", ["ldaps", "start_tls"])
def test_a_directory_with_tls_is_verified(directory, serve, certificate, tmp_path, way):
    other = make_certificate(tmp_path, "localhost", "127.0.0.1")
    if way == "ldaps":
        options = searching(directory, url=directory.tls_url)
    else:
        options = searching(directory, start_tls=True)

    trusted = serve(options | {"ca": str(certificate.authority)})
    assert status(trusted, "alice", "alices-password") == b"200"
    for untrusted in (options | {"ca": str(other.authority)}, options):
        assert status(serve(untrusted), "alice", "alices-password") == b"502"


def test_a_directory_that_fails_is_a_502_and_no_wrong_password(directory, serve):
    proxy = serve(searching(directory, url=f"ldap://127.0.0.1:{free_port()}"))
    for _ in range(15):  # more than there are attempts
        answer = ask(proxy, "alice", "alices-password")
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"WWW-Authenticate" not in answer


def test_a_searcher_that_is_not_let_in_is_a_502(directory, serve, tmp_path):
    (tmp_path / "wrong").write_text("wrong\n")
    proxy = serve(searching(directory, bind_password_file="wrong"))

    assert status(proxy, "alice", "alices-password") == b"502"


def test_a_directory_that_says_nothing_is_a_504(serve):
    with ScriptedOrigin(lambda connection, head: None) as silent:
        url = silent.url.replace("http:", "ldap:")
        proxy = serve({"url": url, "user_dn": "uid={user},dc=x", "timeout": "300ms"})
        begun = time.monotonic()
        answer = status(proxy, "alice", "x")

    assert answer == b"504"
    assert time.monotonic() - begun < 5


def test_a_directory_that_was_started_anew_is_asked_again(tmp_path, certificate, serve):
    home = tmp_path / "slapd"
    home.mkdir()
    with Directory(home, certificate) as directory:
        proxy = serve(searching(directory), 'remember = "0s"')
        assert status(proxy, "alice", "alices-password") == b"200"
        directory.stop()
        assert status(proxy, "alice", "alices-password") == b"502"
        directory.start()

        assert status(proxy, "alice", "alices-password") == b"200"


def test_no_password_is_written_anywhere(directory, serve):
    proxy = serve(searching(directory))
    status(proxy, "alice", "alices-password")
    status(proxy, "alice", "a-wrong-password")
    proxy.stop()

    written = proxy.output.read_text() + proxy.access_log.read_text()
    for secret in ("alices-password", "a-wrong-password", SEARCHER_PASSWORD):
        assert secret not in written
    assert '"user":"alice"' in written
