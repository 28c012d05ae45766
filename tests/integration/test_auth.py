"""Names and passwords, both ways, with the clients that people use; and where they never go."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from base64 import b64encode

import bcrypt
import pytest
import requests

from demo.origins import PAGE
from demo.proxies import Proxy, free_port
from proxykit.command import main
from tests.scripted import ScriptedOrigin, exchange, read_until, reply
from tests.waiting import eventually

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECRET = "pässwörd-nobody-may-see"
COST = 4


def line(user, password, cost=COST):
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()}\n"


def basic(user, password=SECRET):
    return b64encode(f"{user}:{password}".encode())


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    file = tmp_path_factory.mktemp("users") / "htpasswd"
    file.write_text(line("alice", SECRET) + line("jürgen", SECRET))
    return file


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


@pytest.fixture(scope="module")
def server():
    """What stands behind the reverse proxy of this module, and behind no other."""
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


@pytest.fixture(scope="module")
def target():
    """What the forward proxy of this module is asked for, and no other."""
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


@pytest.fixture(scope="module")
def forward(start, origins, target, users):
    ports = ",".join(str(port) for port in (origins.https_port, target.port))
    return start(
        "forward", "--allow-private", "--connect-ports", ports, "--users", str(users),
        "--log-format", "json",
    )  # fmt: skip


def serve(directory, filters, kind="reverse", origin=None, routes=""):
    """Start a proxy of either kind with some filters."""
    port = free_port()
    access = directory / f"access-{port}.log"
    text = f'[log]\naccess = "{access}"\nformat = "json"\n'
    if kind == "forward":
        text += f'[forward.a]\nlisten = ["127.0.0.1:{port}"]\nallow_private = true\n{filters}\n'
    else:
        text += (
            f'[pool.a]\nservers = ["{origin.url}"]\n'
            f'[reverse.a]\nlisten = ["127.0.0.1:{port}"]\n{filters}\n'
            f'{routes}[[reverse.a.routes]]\npool = "a"\n'
        )
    proxy = Proxy.serving(directory, text, port)
    proxy.access_log = access
    return proxy


def auth(options, kind="reverse"):
    return f'[[{kind}.a.filters]]\nuse = "auth"\n{options}\n'


@pytest.fixture(scope="module")
def reverse(tmp_path_factory, server, users):
    options = (
        f'users = "{users}"\nrealm = "Office"\nuser_header = "X-User"\n'
        'groups_header = "X-Groups"\ngroups = "groups"'
    )
    directory = tmp_path_factory.mktemp("reverse")
    (directory / "groups").write_text("staff: alice bob\nA,B: alice\n")
    with serve(directory, auth(options), origin=server) as proxy:
        yield proxy


def ask(target, host, credentials=None, field=b"Proxy-Authorization", method=b"GET", more=b""):
    head = b"%s %s HTTP/1.1\r\nHost: %s\r\n%s" % (method, target, host, more)
    if credentials is not None:
        head += field + b": Basic " + credentials + b"\r\n"
    return head + b"Connection: close\r\n\r\n"


def ask_server(credentials=None, more=b""):
    return ask(b"/", b"a", credentials, b"Authorization", more=more)


def through(proxy, origin, credentials=None):
    authority = origin.url[7:].encode()
    return exchange(proxy.address, ask(b"http://%s/" % authority, authority, credentials))


def curl(*options):
    return subprocess.run(
        ["curl", "-sS", "--noproxy", "", "--max-time", "20", *options],
        capture_output=True, text=True, timeout=25,
    )  # fmt: skip


# --- forward ----------------------------------------------------------------------------------


def test_who_says_nothing_is_asked_with_407(forward, target):
    answer = through(forward, target)

    assert answer.startswith(b"HTTP/1.1 407 ")
    assert b'\r\nProxy-Authenticate: Basic realm="Proxykit", charset="UTF-8"\r\n' in answer
    assert b"error=http_request_denied" in answer
    assert b"WWW-Authenticate" not in answer


@pytest.mark.parametrize("user", ["alice", "jürgen"])
def test_the_right_password_is_let_through_and_goes_no_further(forward, target, user):
    assert through(forward, target, basic(user)).endswith(b"ok")

    seen = bytes(target.received[-1])
    assert b"authorization" not in seen.lower()
    assert basic(user) not in seen


@pytest.mark.parametrize(
    "credentials", [basic("alice", "wrong"), basic("mallory"), b"", b"????", b64encode(b"alice")]
)
def test_what_is_not_right_is_asked_for_again(forward, target, credentials):
    before = len(target.received)

    assert through(forward, target, credentials).startswith(b"HTTP/1.1 407 ")
    assert len(target.received) == before


def test_credentials_for_an_origin_are_its_own_and_go_there(forward, target):
    authority = target.url[7:].encode()
    more = b"Authorization: Basic b3JpZ2luOnM=\r\n"
    answer = exchange(
        forward.address, ask(b"http://%s/" % authority, authority, basic("alice"), more=more)
    )

    assert answer.endswith(b"ok")
    assert b"Authorization: Basic b3JpZ2luOnM=\r\n" in bytes(target.received[-1])


def test_a_tunnel_is_asked_for_with_407_and_again_on_the_same_connection(forward, target):
    authority = target.url[7:].encode()
    head = b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n" % (authority, authority)
    with socket.create_connection(forward.address, timeout=5) as client:
        client.sendall(head + b"\r\n")
        challenge = read_until(client, b"\n")
        assert challenge.startswith(b"HTTP/1.1 407 ")
        assert b"Proxy-Authenticate: Basic " in challenge
        assert b"Connection: close" not in challenge
        while not challenge.split(b"\r\n\r\n", 1)[1].count(b"\n") >= 2:
            challenge += client.recv(65536)

        client.sendall(head + b"Proxy-Authorization: Basic " + basic("alice") + b"\r\n\r\n")
        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        client.sendall(b"GET /inside HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_until(client, b"ok").endswith(b"ok")

    assert basic("alice") not in bytes(target.received[-1])


def test_curl_through_the_proxy_and_through_a_tunnel_with_tls_inside(forward, origins):
    user = ("--proxy", forward.url, "--proxy-user", f"alice:{SECRET}")
    assert curl(*user, origins.url + "/").stdout == PAGE
    assert curl(*user, "-k", origins.https_url + "/").stdout == PAGE
    once = curl(*user, "--proxy-anyauth", "-k", "-w", "%{num_connects}", origins.https_url + "/")
    assert once.stdout == PAGE + "1"

    for target in (origins.url, origins.https_url):
        refused = curl("--proxy", forward.url, "--proxy-user", "alice:x", "-k", "-i", target + "/")
        assert "407 Proxy Authentication Required" in refused.stdout
        assert PAGE not in refused.stdout


def test_requests_through_the_proxy(forward, origins, certificate):
    with requests.Session() as session:
        session.trust_env = False
        proxies = {
            scheme: f"http://alice:{requests.utils.quote(SECRET)}@127.0.0.1:{forward.port}"
            for scheme in ("http", "https")
        }
        echo = session.get(origins.url + "/echo", proxies=proxies, timeout=5).json()
        assert not {"authorization", "proxy-authorization"} & {n.lower() for n, _ in echo["fields"]}
        trusted = str(certificate.authority)
        page = session.get(origins.https_url + "/", proxies=proxies, verify=trusted, timeout=5)
        assert page.text == PAGE
        bare = session.get(origins.url + "/", proxies={"http": forward.url}, timeout=5)
        assert bare.status_code == 407


# --- reverse ----------------------------------------------------------------------------------


def test_a_servers_client_is_asked_with_401(reverse):
    answer = exchange(reverse.address, ask_server())

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'\r\nWWW-Authenticate: Basic realm="Office", charset="UTF-8"\r\n' in answer
    assert b"Proxy-Authenticate" not in answer


def test_servers_are_told_the_user_and_not_the_password(reverse, server):
    forged = b"X-User: root\r\nx-groups: admins\r\n"
    assert exchange(reverse.address, ask_server(basic("alice"), forged)).endswith(b"ok")

    seen = bytes(server.received[-1])
    assert b"\r\nX-User: alice\r\n" in seen
    assert b"\r\nX-Groups: A%2CB, staff\r\n" in seen
    assert b"uthorization" not in seen
    assert b"root" not in seen
    assert b"admins" not in seen


def test_a_client_cannot_have_the_telling_dropped(reverse, server):
    """Connection names fields that concern one connection; ours are not the client's to name."""
    more = b"X-User: alice\r\nConnection: X-User, X-Groups, X-Own, keep-alive\r\nX-Own: 1\r\n"
    head = b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic %s\r\n%s\r\n"
    with socket.create_connection(reverse.address, timeout=5) as client:
        client.sendall(head % (basic("alice"), more))
        assert read_until(client, b"ok").endswith(b"ok")

    seen = bytes(server.received[-1]).rpartition(b"GET / ")[2]
    assert b"\r\nX-User: alice\r\n" in seen
    assert b"\r\nX-Groups: A%2CB, staff\r\n" in seen
    assert b"X-Own" not in seen


def test_a_user_without_groups_has_none_whatever_the_client_says(reverse, server):
    exchange(reverse.address, ask_server(basic("jürgen"), b"X-Groups: admins\r\n"))

    seen = bytes(server.received[-1])
    assert "\r\nX-User: jürgen\r\n".encode() in seen
    assert b"admins" not in seen


def test_credentials_for_a_proxy_are_none_for_a_server(reverse):
    answer = exchange(reverse.address, ask(b"/", b"a", basic("alice")))

    assert answer.startswith(b"HTTP/1.1 401 ")


def test_servers_may_see_the_credentials_where_that_is_asked_for(tmp_path, origin, users):
    options = auth(f'users = "{users}"\npass_credentials = true')
    with serve(tmp_path, options, origin=origin) as proxy:
        exchange(proxy.address, ask_server(basic("alice")))

    assert b"Authorization: Basic " + basic("alice") in bytes(origin.received[-1])


def test_curl_and_requests_to_a_server(reverse):
    assert curl("--user", f"alice:{SECRET}", reverse.url).stdout == "ok"
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(reverse.url, timeout=5).status_code == 401
        good = session.get(reverse.url, auth=("alice", SECRET.encode()), timeout=5)
        assert good.text == "ok"


def test_a_post_is_asked_for_and_sent_again(reverse, server):
    sent = curl("--user", f"alice:{SECRET}", "--anyauth", "-d", "content", reverse.url)

    assert sent.stdout == "ok"
    assert bytes(server.received[-1]).endswith(b"content")


# --- what is written about it -----------------------------------------------------------------


def test_logs_name_the_user_and_hold_no_password(tmp_path, origin, users):
    with serve(tmp_path, auth(f'users = "{users}"'), origin=origin) as proxy:
        exchange(proxy.address, ask_server(basic("alice")))
        exchange(proxy.address, ask_server(basic("alice", "guess-" + SECRET)))
        exchange(proxy.address, ask_server(b64encode(SECRET.encode())))
        # As a part of the target it is refused before anything.
        exchange(proxy.address, ask(f"http://alice:{SECRET}@a/".encode("latin-1"), b"a"))
        users_line = users.read_text().split(":")[1]
    lines = [json.loads(each) for each in proxy.log_lines()]

    assert [each["user"] for each in lines][:2] == ["alice", ""]
    assert [each["status"] for each in lines] == [200, 401, 401, 400]
    assert lines[1]["detail"] == "the user or the password is wrong"
    written = "\n".join(proxy.log_lines()) + proxy.output.read_text()
    for secret in (SECRET, basic("alice").decode(), b64encode(SECRET.encode()).decode()):
        assert secret not in written
    assert users_line.strip() not in written


# --- the file, and how long an answer is good for ---------------------------------------------


def rewrite(file, text):
    """Replace a file at once, as editors do."""
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)


def test_a_changed_file_is_seen_and_a_bad_one_changes_nothing(tmp_path, origin):
    file = tmp_path / "htpasswd"
    file.write_text(line("alice", "old"))

    def status(password):
        return exchange(proxy.address, ask_server(basic("alice", password)))[9:12]

    with serve(tmp_path, auth(f'users = "{file}"'), origin=origin) as proxy:
        assert status("old") == b"200"
        rewrite(file, line("alice", "new"))
        eventually(lambda: status("new") == b"200")
        assert status("old") == b"401"

        rewrite(file, line("alice", "newer") + "bob:$apr1$x$y\n")
        eventually(lambda: "line 2" in proxy.output.read_text() or status("new") != b"200")
        assert status("new") == b"200"
        assert "stays as it was" in proxy.output.read_text()


def test_a_hit_costs_no_hash(tmp_path, origin):
    """The hash takes a quarter of a second; a hundred requests with it would take 25."""
    file = tmp_path / "htpasswd"
    file.write_text(line("alice", SECRET, cost=12))
    with serve(tmp_path, auth(f'users = "{file}"'), origin=origin) as proxy:
        assert exchange(proxy.address, ask_server(basic("alice"))).endswith(b"ok")
        begun = time.monotonic()
        for _ in range(100):
            assert exchange(proxy.address, ask_server(basic("alice"))).endswith(b"ok")

    assert time.monotonic() - begun < 5


def test_other_clients_are_served_while_passwords_are_verified(tmp_path, origin):
    file = tmp_path / "htpasswd"
    file.write_text(line("alice", SECRET, cost=12))
    routes = '[[reverse.a.routes]]\npath = "/free"\npool = "a"\n'
    guarded = (
        '[[reverse.a.routes]]\npath = "/guarded"\npool = "a"\n'
        f'[[reverse.a.routes.filters]]\nuse = "auth"\nusers = "{file}"\n'
    )
    with serve(tmp_path, "", origin=origin, routes=routes + guarded) as proxy:
        waiting = [socket.create_connection(proxy.address, timeout=20) for _ in range(8)]
        for number, client in enumerate(waiting):
            client.sendall(
                ask(b"/guarded", b"a", basic("alice", f"wrong {number}"), b"Authorization")
            )
        assert exchange(proxy.address, ask(b"/free", b"a")).endswith(b"ok")
        answered, _, _ = select.select(waiting, [], [], 0)
        for client in waiting:
            assert read_until(client, b"\r\n").startswith(b"HTTP/1.1 401 ")
            client.close()

    assert len(answered) < len(waiting)


def test_an_unknown_user_takes_as_long_as_a_known_one(tmp_path, origin):
    file = tmp_path / "htpasswd"
    file.write_text(line("alice", SECRET, cost=10))
    options = f'users = "{file}"\nremember = "0s"\nbrute_force = {{ attempts = 100 }}'

    def seconds(user, number):
        begun = time.perf_counter()
        answer = exchange(proxy.address, ask_server(basic(user, f"wrong {number}")))
        assert answer.startswith(b"HTTP/1.1 401 ")
        return time.perf_counter() - begun

    with serve(tmp_path, auth(options), origin=origin) as proxy:
        known = min(seconds("alice", number) for number in range(5))
        unknown = min(seconds("nobody", number) for number in range(5))

    assert 0.5 < unknown / known < 2


# --- guessing ---------------------------------------------------------------------------------


def from_address(proxy, address, credentials):
    with socket.create_connection(proxy.address, timeout=5, source_address=(address, 0)) as client:
        client.sendall(ask_server(credentials))
        return read_until(client, b"\r\n\r\n")


def test_guessing_is_answered_429_and_the_owner_gets_in_from_elsewhere(tmp_path, origin, users):
    options = f'users = "{users}"\nbrute_force = {{ attempts = 3, window = "60s" }}'
    with serve(tmp_path, auth(options), origin=origin) as proxy:
        for number in range(3):
            answer = from_address(proxy, "127.0.0.2", basic("alice", f"guess {number}"))
            assert answer.startswith(b"HTTP/1.1 401 ")
        for credentials in (basic("alice", "guess 4"), basic("alice")):
            blocked = from_address(proxy, "127.0.0.2", credentials)
            assert blocked.startswith(b"HTTP/1.1 429 ")
            assert b"\r\nRetry-After: " in blocked

        assert from_address(proxy, "127.0.0.3", basic("alice")).startswith(b"HTTP/1.1 200 ")
        assert from_address(proxy, "127.0.0.2", basic("jürgen")).startswith(b"HTTP/1.1 200 ")


def test_an_old_password_that_is_sent_for_ever_blocks_nobody(tmp_path, origin, users):
    options = f'users = "{users}"\nbrute_force = {{ attempts = 3 }}'
    with serve(tmp_path, auth(options), origin=origin) as proxy:
        for _ in range(20):
            answer = exchange(proxy.address, ask_server(basic("alice", "old")))
            assert answer.startswith(b"HTTP/1.1 401 ")
        assert exchange(proxy.address, ask_server(basic("alice"))).endswith(b"ok")


def test_many_guesses_at_once_are_not_more_than_there_may_be(tmp_path, origin, users):
    options = f'users = "{users}"\nbrute_force = {{ attempts = 3 }}'
    with serve(tmp_path, auth(options), origin=origin) as proxy:
        clients = [socket.create_connection(proxy.address, timeout=10) for _ in range(20)]
        for number, client in enumerate(clients):
            client.sendall(ask_server(basic("alice", f"guess {number}")))
        statuses = [read_until(client, b"\r\n")[9:12] for client in clients]
        for client in clients:
            client.close()

    assert sorted(statuses) == [b"401"] * 3 + [b"429"] * 17


# --- configuration ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("", "one of users, ldap, service and checker"),
        ('users = "htpasswd"\nchecker = "x"', "one of users, ldap, service and checker"),
        ('users = "nowhere"', "No such file"),
        ('users = "weak"', "MD5 hashes are not safe"),
        ('users = "htpasswd"\nrealm = "Büro"', "ASCII"),
        ('users = "htpasswd"\nuser_header = "Host"', "written by the proxy"),
        ('users = "htpasswd"\nuser_header = "a b"', "field name"),
        ('checker = "unheard-of"', "no twisted.cred checker"),
        ('checker = "anonymous"', "names and passwords"),
        ('service = { url = "ftp://a" }', "expected a URL"),
        ('service = { url = "http://u:p@a/" }', "neither a user"),
        ('ldap = { url = "http://a" }', "ldap.url"),
        ('ldap = { url = "ldap://a" }', "either user_dn or base"),
        ('ldap = { url = "ldap://a", user_dn = "uid=x" }', "no {user}"),
        ('ldap = { url = "ldaps://a", base = "dc=x", start_tls = true }', "TLS already"),
        ('ldap = { url = "ldap://a", base = "dc=x", bind_dn = "cn=x" }', "go together"),
    ],
)
def test_what_makes_no_sense_is_said_when_it_is_loaded(tmp_path, capsys, options, why):
    (tmp_path / "htpasswd").write_text(line("alice", "x"))
    (tmp_path / "weak").write_text("alice:$apr1$x$y\n")
    file = tmp_path / "proxykit.toml"
    file.write_text(f'[forward.a]\nlisten = [":0"]\n{auth(options, "forward")}')

    assert main(["check", str(file)]) == 1
    assert why in capsys.readouterr().err


def test_a_checker_of_twisted_is_used_by_its_name(tmp_path, origin):
    (tmp_path / "passwords").write_text("alice:secret\n")
    options = auth(f'checker = "file:{tmp_path / "passwords"}"')
    with serve(tmp_path, options, origin=origin) as proxy:
        assert exchange(proxy.address, ask_server(basic("alice", "secret"))).endswith(b"ok")
        assert exchange(proxy.address, ask_server(basic("alice"))).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("arguments", [(), ("bob",)])
def test_a_hash_is_made_by_a_command_and_taken_by_the_proxy(tmp_path, origin, arguments):
    made = subprocess.run(
        [sys.executable, "-m", "proxykit.command", "hash-password", *arguments],
        input="new secret\n", capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    file = tmp_path / "htpasswd"
    file.write_text(made.stdout if arguments else "bob:" + made.stdout)
    assert made.stdout.startswith("bob:$2b$12$" if arguments else "$2b$12$")
    with serve(tmp_path, auth(f'users = "{file}"'), origin=origin) as proxy:
        assert exchange(proxy.address, ask_server(basic("bob", "new secret"))).endswith(b"ok")


def test_a_password_that_cannot_be_one_is_refused_by_the_command():
    for password in ("", "x" * 73, "a\tb"):
        made = subprocess.run(
            [sys.executable, "-m", "proxykit.command", "hash-password", "bob"],
            input=password + "\n", capture_output=True, text=True, timeout=20,
        )  # fmt: skip
        assert made.returncode == 1
        assert made.stdout == ""
