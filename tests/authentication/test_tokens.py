"""Tokens: what is taken, and every way in which one is not."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from proxykit.authentication.http_client import Reply
from proxykit.authentication.keys import RemoteKeys, VerificationKey, parse_keys
from proxykit.authentication.tokens import Expectations, UnknownKey, WrongToken, verify_token
from proxykit.errors import ResponseTimeout, Unavailable

RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def pem(private):
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def jwk(private, **more):
    algorithm = {RSA: "RS256", OTHER_RSA: "RS256", EC: "ES256", ED: "EdDSA"}[private]
    text = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key())
    member = json.loads(text) | more
    member.pop("key_ops", None)
    return member


def jwks(*members):
    return json.dumps({"keys": members}).encode()


def claims(**more):
    now = time.time()
    return {"sub": "alice", "iat": now, "exp": now + 60} | more


def token(key=RSA, algorithm="RS256", headers=None, **more):
    return jwt.encode(claims(**more), key, algorithm, headers).encode()


def expected(*algorithms, issuer=(), audience=(), leeway=0.0, user="sub", groups="groups"):
    return Expectations(
        frozenset(algorithms or ["RS256"]), tuple(issuer), tuple(audience), leeway, user, groups
    )


PEM_KEYS = parse_keys(pem(RSA))


def test_keys_that_only_begin_are_found_out_at_once():
    started = time.perf_counter()

    with pytest.raises(ValueError, match="no public key"):
        parse_keys(b"-----BEGIN A-----" * 15_000)

    assert time.perf_counter() - started < 1.0


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "EdDSA")],
)
def test_a_token_is_its_users(key, algorithm):
    until = time.time() + 60
    identity, seconds = verify_token(
        token(key, algorithm, groups=["staff", "admins"]), parse_keys(pem(key)), expected(algorithm)
    )

    assert identity.name == "alice"
    assert identity.groups == {"staff", "admins"}
    assert abs(seconds - until) < 5


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: token(exp=time.time() - 1), "expired"),
        (lambda: token(nbf=time.time() + 60), "not hold yet"),
        (lambda: token(OTHER_RSA), "signature"),
        (lambda: token()[:-4] + b"AAAA", "signature"),
        (lambda: token(RSA, "RS512"), "algorithm"),
        (lambda: token(headers={"crit": ["exp"]}), "malformed"),
        (lambda: part({"alg": "RS256", "b64": False, "crit": ["b64"]}) + b"..", "extension"),
        (lambda: token(sub=""), "names no user"),
        (lambda: token(sub="a\nb"), "names no user"),
        (lambda: token(sub=" a"), "names no user"),
        (lambda: token(aud="them"), "audience"),
        (lambda: jwt.encode({"sub": "alice"}, RSA, "RS256").encode(), "lacks the claim exp"),
        (lambda: part({"alg": "none"}) + b"." + part(claims()) + b".", "algorithm"),
        (lambda: part({"alg": "RS256"}) + b"." + part(claims()) + b".", "signature"),
        (lambda: b"a.b.c", "malformed"),
        (lambda: b"a.b.c.d.e", "malformed"),
        (lambda: b"abc", "malformed"),
        (lambda: part("[") + b".." + b"", "malformed"),
    ],
)
def test_what_is_wrong_with_a_token_is_said(made, why):
    with pytest.raises(WrongToken, match=why):
        verify_token(made(), PEM_KEYS, expected())


def test_a_public_key_is_no_shared_secret():
    """RFC 8725 section 2.1: HS256 with the public key's text as the secret."""
    public = pem(RSA)
    head = part({"alg": "HS256"}) + b"." + part(claims())
    import hashlib
    import hmac

    signature = base64.urlsafe_b64encode(hmac.digest(public, head, hashlib.sha256)).rstrip(b"=")
    forged = head + b"." + signature
    for algorithms in (["RS256"], ["RS256", "HS256"]):
        with pytest.raises(WrongToken):
            verify_token(forged, PEM_KEYS, expected(*algorithms))


def test_what_a_token_says_of_its_key_is_not_looked_at():
    mine = jwk(OTHER_RSA)
    for header in ({"jwk": mine}, {"jku": "http://127.0.0.1/"}, {"x5u": "http://127.0.0.1/"}):
        with pytest.raises(WrongToken, match="signature"):
            verify_token(token(OTHER_RSA, headers=header), PEM_KEYS, expected())


def test_issuer_audience_and_leeway():
    wanted = expected(issuer=["us", "them"], audience=["proxy"], leeway=10.0)
    good = {"iss": "us", "aud": ["other", "proxy"]}

    assert verify_token(token(**good, exp=time.time() - 5), PEM_KEYS, wanted)
    for wrong in ({"iss": "x"}, {"aud": "x"}, {"exp": time.time() - 11}, {"aud": None}):
        with pytest.raises(WrongToken):
            verify_token(token(**(good | wrong)), PEM_KEYS, wanted)
    for missing in good:
        lacking = {name: value for name, value in good.items() if name != missing}
        with pytest.raises(WrongToken, match="lacks"):
            verify_token(token(**lacking), PEM_KEYS, wanted)


@pytest.mark.parametrize(
    ("given", "path", "groups"),
    [
        ({"groups": ["a", 1, "b", "c\n"]}, "groups", {"a", "b"}),
        ({"scope": "read write"}, "scope", {"read", "write"}),
        ({"realm_access": {"roles": ["x"]}}, "realm_access.roles", {"x"}),
        ({"https://a.example/groups": ["x"]}, "https://a.example/groups", {"x"}),
        ({"groups": {"a": 1}}, "groups", set()),
        ({"groups": 5}, "groups.a.b", set()),
        ({}, "groups", set()),
        ({"groups": ["a"]}, "", set()),
    ],
)
def test_groups_are_found_where_they_are_said_to_be(given, path, groups):
    identity, _ = verify_token(token(**given), PEM_KEYS, expected(groups=path))

    assert identity.groups == groups


@given(st.binary(max_size=100) | st.from_regex(rb"[\w-]{0,20}\.[\w-]{0,20}\.[\w-]{0,20}"))
def test_any_bytes_are_a_wrong_token(data):
    with pytest.raises(WrongToken):
        verify_token(data, PEM_KEYS, expected())


@given(st.recursive(st.none() | st.floats() | st.text() | st.integers(), st.lists, max_leaves=5))
def test_any_claim_that_was_signed_is_taken_or_is_wrong(value):
    for name in ("exp", "nbf", "iat", "sub", "aud", "groups"):
        signed = jwt.api_jws.encode(json.dumps(claims() | {name: value}).encode(), RSA, "RS256")
        try:
            verify_token(signed.encode(), PEM_KEYS, expected())
        except WrongToken:
            pass


# --- keys -------------------------------------------------------------------------------------


def test_a_set_says_which_key_is_a_tokens():
    keys = parse_keys(jwks(jwk(RSA, kid="1"), jwk(OTHER_RSA, kid="2"), jwk(EC, kid="3")))

    assert verify_token(token(OTHER_RSA, headers={"kid": "2"}), keys, expected())
    assert verify_token(token(OTHER_RSA), keys, expected())
    with pytest.raises(WrongToken, match="signature"):
        verify_token(token(OTHER_RSA, headers={"kid": "1"}), keys, expected())
    with pytest.raises(UnknownKey):
        verify_token(token(headers={"kid": "4"}), keys, expected())
    with pytest.raises(UnknownKey):
        verify_token(token(headers={"kid": "3"}), keys, expected())


@pytest.mark.parametrize(
    "member",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        jwk(RSA, use="enc"),
        jwk(RSA) | {"key_ops": ["encrypt"]},
        jwk(RSA, alg="RSA-OAEP"),
        jwk(RSA, alg=["RS256"]),
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "unheard-of"},
        "text",
        None,
    ],
)
def test_a_member_of_a_set_that_is_no_key_for_signatures_is_passed_over(member):
    keys = parse_keys(jwks(member, jwk(EC)))

    assert [key.algorithms for key in keys] == [{"ES256"}]
    with pytest.raises(ValueError, match="no public key"):
        parse_keys(jwks(member))


def test_an_algorithm_of_a_key_is_the_only_one_it_is_used_for():
    keys = parse_keys(jwks(jwk(RSA, alg="RS256")))

    with pytest.raises(UnknownKey):
        verify_token(token(RSA, "PS256"), keys, expected("RS256", "PS256"))


@pytest.mark.parametrize("data", [b"{", b"{}", b'{"keys": 1}', b'{"keys": [', b"", b"text"])
def test_what_holds_no_keys_is_refused(data):
    with pytest.raises(ValueError):
        parse_keys(data)


def test_a_private_key_and_a_small_one_are_refused():
    private = RSA.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(ValueError, match="private"):
        parse_keys(private)
    with pytest.raises(ValueError, match="2048"):
        parse_keys(pem(rsa.generate_private_key(65537, 1024)))


def test_a_secret_is_for_the_algorithms_that_it_is_long_enough_for():
    keys = (VerificationKey(b"s" * 32, "", frozenset({"HS256"})),)

    assert verify_token(token(b"s" * 32, "HS256"), keys, expected("HS256"))
    assert "ssss" not in repr(keys)


class Client:
    """Answers when a test says so."""

    def __init__(self):
        self.asked = []

    def get(self, fields=()):
        self.asked.append(Deferred())
        return self.asked[-1]


def test_keys_of_a_url_are_asked_for_once_and_renewed_behind_the_scenes():
    clock, client, changes = Clock(), Client(), []
    remote = RemoteKeys(client, 600.0, lambda: changes.append(1), clock.seconds)
    assert remote.keys() is None
    first, second = remote.newer_keys(), remote.newer_keys()
    assert len(client.asked) == 1
    client.asked[0].callback(Reply(200, (), jwks(jwk(RSA, kid="1"))))
    results = []
    first.addCallback(results.append)
    second.addCallback(results.append)
    assert [keys[0].key_id for keys in results] == ["1", "1"]

    clock.advance(601)
    assert remote.keys()[0].key_id == "1"
    assert remote.keys()[0].key_id == "1"
    assert len(client.asked) == 2
    client.asked[1].callback(Reply(200, (), jwks(jwk(RSA, kid="2"))))
    assert remote.keys()[0].key_id == "2"
    assert changes == [1, 1]


def test_tokens_of_unknown_keys_do_not_make_a_flood_of_questions():
    clock, client = Clock(), Client()
    remote = RemoteKeys(client, 600.0, lambda: None, clock.seconds)
    remote.newer_keys()
    client.asked[0].callback(Reply(200, (), jwks(jwk(RSA, kid="1"))))
    for _ in range(100):
        clock.advance(0.1)
        assert remote.newer_keys().called
    assert len(client.asked) == 1

    clock.advance(30)
    assert not remote.newer_keys().called
    assert len(client.asked) == 2


def test_old_keys_are_used_while_the_url_fails_but_not_for_ever():
    clock, client = Clock(), Client()
    remote = RemoteKeys(client, 600.0, lambda: None, clock.seconds)
    remote.newer_keys()
    client.asked[0].callback(Reply(200, (), jwks(jwk(RSA))))
    clock.advance(700)
    assert remote.keys()
    client.asked[1].callback(Reply(500, (), b""))
    assert remote.keys()
    clock.advance(24 * 3600)

    assert remote.keys() is None


def test_without_keys_nobody_is_let_in():
    clock, client = Clock(), Client()
    remote = RemoteKeys(client, 600.0, lambda: None, clock.seconds)
    failures = []
    remote.newer_keys().addErrback(lambda failure: failures.append(failure.value))
    client.asked[0].errback(ResponseTimeout("late"))

    assert isinstance(failures[0], Unavailable)
    with pytest.raises(Unavailable):
        remote.newer_keys()
