"""Services that decide over HTTP, and tokens: in running proxies, both ways."""

from __future__ import annotations

import json
import socket
import time
from base64 import b64encode

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from demo.certificates import make_certificate
from demo.proxies import free_port
from proxykit.command import main
from tests.scripted import ScriptedOrigin, exchange, read_until, reply
from tests.waiting import eventually

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]


class Service(ScriptedOrigin):
    """A service whose answer a test chooses, and that remembers what it was asked."""

    def __init__(self):
        self.answer = FINE
        self.asked = []
        super().__init__(self._reply)

    def _reply(self, connection, head):
        self.asked.append(head.split(b"\r\n"))
        if self.answer:
            connection.sendall(self.answer)


@pytest.fixture
def service():
    with Service() as running:
        yield running


@pytest.fixture
def origin():
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


@pytest.fixture
def serve(configured, origin):
    """Start a proxy with a filter."""

    def start(use, options, kind="reverse", listener="", more=""):
        def configuration(port):
            text = f'[{kind}.a]\nlisten = ["127.0.0.1:{port}"]\n{listener}\n'
            if kind == "forward":
                text += f"allow_private = true\nconnect_ports = [{origin.port}]\n"
            text += f'[[{kind}.a.filters]]\nuse = "{use}"\n{options}\n{more}'
            if kind == "reverse":
                text += f'[[reverse.a.routes]]\npool = "a"\n[pool.a]\nservers = ["{origin.url}"]\n'
            return text

        return configured(configuration)

    return start


def answering(status, *fields, body=b""):
    head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n" % (status, len(body))
    return head + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def ask(proxy, *fields, path=b"/p?q=1", method=b"GET"):
    head = b"%s %s HTTP/1.1\r\nHost: a.example\r\n" % (method, path)
    head += b"".join(field + b"\r\n" for field in fields)
    return exchange(proxy.address, head + b"Connection: close\r\n\r\n")


def status(answer):
    return int(answer[9:12])


def basic(user, password="secret"):
    return b"Authorization: Basic " + b64encode(f"{user}:{password}".encode())


def seen(origin):
    return b"".join(map(bytes, origin.received))


# --- auth by a service ------------------------------------------------------------------------


def test_a_service_says_who_the_user_is_and_is_asked_once(serve, service, origin):
    service.answer = answering(204, b"X-Name: Alice", b"X-Roles: staff, admins")
    options = (
        f'service = {{ url = "{service.url}/check?x=1", user_header = "X-Name", '
        'groups_header = "X-Roles" }\nuser_header = "X-User"\ngroups_header = "X-Groups"'
    )
    proxy = serve("auth", options)
    for _ in range(3):
        assert ask(proxy, basic("alice")).endswith(b"ok")

    assert [asked[0] for asked in service.asked] == [b"GET /check?x=1 HTTP/1.1"]
    assert basic("alice") in service.asked[0]
    assert b"\r\nX-User: Alice\r\nX-Groups: admins, staff\r\n" in seen(origin)
    assert b"uthorization" not in seen(origin)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (answering(401), 401),
        (answering(403), 401),
        (answering(500), 502),
        (answering(302, b"Location: /"), 502),
        (b"nonsense\r\n\r\n", 502),
        (answering(200, b"X-Name: a\x01b"), 401),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000, 502),
        (b"", 504),
    ],
)
def test_only_a_2xx_lets_in_and_a_fault_is_no_wrong_password(
    serve, service, origin, answer, expected
):
    service.answer = answer
    options = f'service = {{ url = "{service.url}", timeout = "500ms", user_header = "X-Name" }}'

    assert status(ask(serve("auth", options), basic("alice"))) == expected
    assert origin.received == []


def test_a_service_that_cannot_be_reached_is_a_502(serve):
    options = f'service = {{ url = "http://127.0.0.1:{free_port()}/" }}'

    assert status(ask(serve("auth", options), basic("alice"))) == 502


def test_a_services_certificate_is_verified(serve, origins, certificate, tmp_path):
    other = make_certificate(tmp_path, "localhost", "127.0.0.1")
    for authority, expected in ((certificate.authority, 200), (other.authority, 502)):
        for use, key in (("auth", "service"), ("forward-auth", None)):
            options = f'url = "{origins.https_url}/", ca = "{authority}"'
            options = f"{key} = {{ {options} }}" if key else options.replace(", ", "\n")
            assert status(ask(serve(use, options), basic("alice"))) == expected


def test_many_with_the_same_credentials_at_once_are_one_question(serve, service):
    service.answer = b""
    proxy = serve("auth", f'service = {{ url = "{service.url}" }}')
    clients = [socket.create_connection(proxy.address, timeout=5) for _ in range(6)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % basic("alice"))
    eventually(lambda: service.asked)
    service.connections[-1].sendall(answering(200))
    for client in clients:
        assert read_until(client, b"ok").startswith(b"HTTP/1.1 200 ")
        client.close()

    assert len(service.asked) == 1


# --- forward-auth -----------------------------------------------------------------------------


def test_a_service_decides_by_the_head_of_each_request(serve, service, origin):
    proxy = serve("forward-auth", f'url = "{service.url}/decide"')
    fields = (
        b"Cookie: session=1",
        b"X-Forwarded-Uri: /forged",
        b"X-Forwarded-For: 192.0.2.1",
        b"X_Forwarded-Uri: /forged-for-cgi",  # which makes one of the two
        b"X_Forwarded_Method: forged",
        b"X_Real_IP: forged",
        b"Connection: X-Hop",
        b"X-Hop: 1",
        b"Content-Length: 0",
        b"Range: bytes=0-1",
    )
    assert ask(proxy, basic("alice"), *fields, method=b"POST").endswith(b"ok")
    assert ask(proxy, *fields).endswith(b"ok")

    asked = service.asked[0]
    assert asked[0] == b"GET /decide HTTP/1.1"
    for field in (
        b"Cookie: session=1",
        b"X-Forwarded-Method: POST",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: a.example",
        b"X-Forwarded-Uri: /p?q=1",
        b"X-Forwarded-For: 127.0.0.1",
        b"Host: 127.0.0.1:%d" % service.port,
        basic("alice"),
    ):
        assert field.lower() in [line.lower() for line in asked]
    assert b"forged" not in b"".join(asked)
    assert not [line for line in asked if line.lower().startswith((b"x-hop", b"range"))]
    assert len(service.asked) == 2
    assert basic("alice") in seen(origin)


def test_fields_of_the_answer_are_copied_and_forged_ones_dropped(serve, service, origin):
    service.answer = answering(200, b"X-User: alice", b"X-Groups: staff", b"X-Other: no")
    options = (
        f'url = "{service.url}"\ncopy_headers = ["X-User", "X-Level"]\npass_credentials = false\n'
        'user_header = "x-user"\ngroups_header = "x-groups"'
    )
    proxy = serve("forward-auth", options)
    assert ask(proxy, basic("a"), b"X-User: root", b"x-level: 9").endswith(b"ok")
    proxy.stop()

    assert b"\r\nX-User: alice\r\n" in seen(origin)
    for absent in (b"root", b"level: 9", b"X-Other", b"uthorization"):
        assert absent not in seen(origin)
    assert json.loads(proxy.log_lines()[0])["user"] == "alice"


def test_any_other_answer_is_the_clients(serve, service, origin):
    proxy = serve("forward-auth", f'url = "{service.url}"')
    service.answer = answering(
        302,
        b"Location: https://login.example/",
        b"Set-Cookie: s=1",
        b"Keep-Alive: x",
        body=b"log in",
    )
    answer = ask(proxy)
    assert answer.startswith(b"HTTP/1.1 302 Found\r\n")
    assert b"\r\nLocation: https://login.example/\r\n" in answer
    assert b"\r\nSet-Cookie: s=1\r\n" in answer
    assert b"Keep-Alive" not in answer
    assert answer.endswith(b"\r\n\r\nlog in")

    service.answer = answering(401, b'WWW-Authenticate: Bearer realm="x"')
    answer = ask(proxy)
    assert status(answer) == 401
    assert b'\r\nWWW-Authenticate: Bearer realm="x"\r\n' in answer
    assert origin.received == []


@pytest.mark.parametrize(("answer", "expected"), [(b"nonsense\r\n\r\n", 502), (b"", 504)])
def test_no_answer_lets_nobody_in(serve, service, origin, answer, expected):
    service.answer = answer
    proxy = serve("forward-auth", f'url = "{service.url}"\ntimeout = "500ms"')

    assert status(ask(proxy)) == expected
    assert origin.received == []


def test_a_forward_proxys_service_sees_what_is_meant_for_the_proxy(serve, service, origin):
    proxy = serve("forward-auth", f'url = "{service.url}"', "forward")
    authority = origin.url[7:].encode()
    service.answer = answering(401, b'WWW-Authenticate: Basic realm="x"', b"Set-Cookie: s=1")
    head = b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n" % (authority, authority)
    answer = exchange(proxy.address, head + b"Connection: close\r\n\r\n")
    assert status(answer) == 407
    assert b'\r\nProxy-Authenticate: Basic realm="x"\r\n' in answer
    assert b"WWW-Authenticate" not in answer
    assert b"Set-Cookie" not in answer
    assert b"X-Forwarded-Method: CONNECT" in service.asked[0]
    assert b"X-Forwarded-Uri: " + authority in service.asked[0]

    service.answer = FINE
    answer = exchange(
        proxy.address,
        b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n" % (authority, authority)
        + b"Authorization: Basic b3JpZ2lu\r\nProxy-%s\r\n\r\n" % basic("alice"),
    )
    assert answer.endswith(b"ok")
    assert basic("alice") in service.asked[-1]
    assert not [line for line in service.asked[-1] if b"b3JpZ2lu" in line]
    assert b"Authorization: Basic b3JpZ2lu\r\n" in seen(origin)
    assert basic("alice") not in seen(origin)


# --- jwt --------------------------------------------------------------------------------------


def token(key=0, **more):
    claims = {"sub": "alice", "exp": time.time() + 60, "groups": ["staff"]} | more
    return jwt.encode(claims, KEYS[key], "ES256", {"kid": str(key)}).encode()


def bearer(text):
    return b"Authorization: Bearer " + text


def key_set(*numbers):
    members = []
    for number in numbers:
        text = jwt.get_algorithm_by_name("ES256").to_jwk(KEYS[number].public_key())
        members.append(json.loads(text) | {"kid": str(number)})
        members[-1].pop("key_ops", None)
    return json.dumps({"keys": members}).encode()


JWT = 'algorithms = ["ES256"]\nuser_header = "X-User"\ngroups_header = "X-Groups"\n'


def test_a_token_lets_in_and_goes_no_further(serve, origin, tmp_path):
    (tmp_path / "key.pem").write_bytes(
        KEYS[0].public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )  # fmt: skip
    proxy = serve("jwt", JWT + 'keys = "key.pem"\nrealm = "api"')
    good = token()
    for _ in range(3):
        assert ask(proxy, bearer(good), b"X-User: root").endswith(b"ok")
    assert b"\r\nX-User: alice\r\nX-Groups: staff\r\n" in seen(origin)
    assert b"root" not in seen(origin)
    assert b"uthorization" not in seen(origin)

    nothing = ask(proxy)
    assert b'\r\nWWW-Authenticate: Bearer realm="api"\r\n' in nothing
    for wrong in (token(1), token(exp=time.time() - 60), b"abc", good[:-4] + b"AAAA"):
        answer = ask(proxy, bearer(wrong))
        assert status(answer) == 401
        assert b'Bearer realm="api", error="invalid_token", error_description="the token' in answer
    assert status(ask(proxy, basic("alice"))) == 401
    proxy.stop()

    written = "\n".join(proxy.log_lines()) + proxy.output.read_text()
    assert good.decode() not in written
    assert [json.loads(each)["user"] for each in proxy.log_lines()][:3] == ["alice"] * 3


def test_a_remembered_token_ends_when_it_ends(serve, service):
    service.answer = answering(200, body=key_set(0))
    proxy = serve("jwt", JWT + f'url = "{service.url}"\nleeway = "0s"')
    short = token(exp=time.time() + 1.5)
    assert status(ask(proxy, bearer(short))) == 200
    assert status(ask(proxy, bearer(short))) == 200
    eventually(lambda: status(ask(proxy, bearer(short))) != 200)

    assert b"the token has expired" in ask(proxy, bearer(short))


def test_keys_of_a_url_are_asked_for_once_and_unknown_ones_not_again_and_again(serve, service):
    service.answer = answering(200, body=key_set(0))
    proxy = serve("jwt", JWT + f'url = "{service.url}/keys"')
    for number in range(5):
        assert status(ask(proxy, bearer(token(jti=str(number))))) == 200
        assert status(ask(proxy, bearer(token(1, jti=str(number))))) == 401

    assert [asked[0] for asked in service.asked] == [b"GET /keys HTTP/1.1"]


def test_keys_that_cannot_be_had_are_a_503_until_they_can(serve, service):
    service.answer = answering(500)
    proxy = serve("jwt", JWT + f'url = "{service.url}"')
    assert status(ask(proxy, bearer(token()))) == 503

    service.answer = answering(200, body=key_set(0))
    eventually(lambda: status(ask(proxy, bearer(token()))) == 200)


def test_a_file_of_keys_that_changes_ends_what_was_remembered(serve, tmp_path):
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(0))
    proxy = serve("jwt", JWT + 'keys = "keys.json"')
    old = token()
    assert status(ask(proxy, bearer(old))) == 200
    new = tmp_path / "new.json"
    new.write_bytes(key_set(1))
    new.replace(file)
    eventually(lambda: status(ask(proxy, bearer(old))) != 200)

    assert status(ask(proxy, bearer(token(1)))) == 200


def test_a_forward_proxys_token_is_in_a_field_of_its_own(serve, origin, tmp_path):
    (tmp_path / "keys.json").write_bytes(key_set(0))
    proxy = serve("jwt", 'algorithms = ["ES256"]\nkeys = "keys.json"', "forward")
    authority = origin.url[7:].encode()
    head = b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n" % (authority, authority)
    refused = exchange(proxy.address, head + bearer(token()) + b"\r\n\r\n")
    assert status(refused) == 407
    assert b"\r\nProxy-Authenticate: Bearer " in refused
    assert exchange(proxy.address, head + b"Proxy-" + bearer(token()) + b"\r\n\r\n").endswith(b"ok")
    assert b"uthorization" not in seen(origin)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ('algorithms = ["none"]\nkeys = "keys.json"', "algorithms"),
        ('algorithms = []\nkeys = "keys.json"', "algorithms"),
        ('algorithms = ["HS256"]\nkeys = "keys.json"', "secret_file"),
        ('algorithms = ["ES256", "HS256"]\nsecret_file = "secret"', "only"),
        ('algorithms = ["HS256"]\nsecret_file = "short"', "32 bytes"),
        ('algorithms = ["HS512"]\nsecret_file = "secret"', "no key for HS512"),
        ('algorithms = ["RS256"]\nkeys = "keys.json"', "no key for RS256"),
        ('algorithms = ["ES256"]', "one of keys, url and secret_file"),
    ],
)
def test_what_makes_no_sense_is_said_when_it_is_loaded(tmp_path, capsys, options, why):

    (tmp_path / "keys.json").write_bytes(key_set(0))
    (tmp_path / "secret").write_text("s" * 40)
    (tmp_path / "short").write_text("s" * 31)
    file = tmp_path / "proxykit.toml"
    file.write_text(f'[forward.a]\nlisten = [":0"]\n[[forward.a.filters]]\nuse = "jwt"\n{options}')

    assert main(["check", str(file)]) == 1
    assert why in capsys.readouterr().err


def test_a_shared_secret_verifies_tokens(serve, tmp_path):
    (tmp_path / "secret").write_text("s" * 40 + "\n")
    proxy = serve("jwt", 'algorithms = ["HS256"]\nsecret_file = "secret"')
    claims = {"sub": "alice", "exp": time.time() + 60}

    good = jwt.encode(claims, "s" * 40, "HS256").encode()
    assert status(ask(proxy, bearer(good))) == 200
    bad = jwt.encode(claims, "t" * 40, "HS256").encode()
    assert status(ask(proxy, bearer(bad))) == 401
