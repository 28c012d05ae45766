"""Credentials as fields hold them: what the grammar takes, and what it never takes."""

from __future__ import annotations

import time
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.authentication.fields import (
    MOST_BYTES,
    BasicCredentials,
    Credentials,
    MalformedCredentials,
    parse_basic,
    parse_credentials,
    quoted,
)

TOKENS = st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", fullmatch=True)
TOKEN68 = st.from_regex(rb"[A-Za-z0-9._~+/-]{1,40}={0,3}", fullmatch=True)
TEXTS = st.from_regex(rb"[\t -~\x80-\xff]{0,20}", fullmatch=True)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20)


@pytest.mark.parametrize(
    ("value", "credentials"),
    [
        (b"Basic YTpi", Credentials("basic", b"YTpi")),
        (b"bEARER   abc.def-_~+/==", Credentials("bearer", b"abc.def-_~+/==")),
        (b"Negotiate", Credentials("negotiate")),
        (b"X a=", Credentials("x", b"a=")),
        (b'X a="b"', Credentials("x", b"", {b"a": b"b"})),
        (b"X a = b , C=d", Credentials("x", b"", {b"a": b"b", b"c": b"d"})),
        (b'X a="q\\"\\\\x, y=z",, b=c,', Credentials("x", b"", {b"a": b'q"\\x, y=z', b"b": b"c"})),
    ],
)
def test_what_the_grammar_takes(value, credentials):
    assert parse_credentials(value) == credentials


@pytest.mark.parametrize(
    "value",
    [
        b"", b"Basic YT=pi=", b" Basic YTpi", b"Basic\tYTpi", b"Basic YTpi x", b"Basic YTpi, Basic YTpj",
        b'X a="b', b'X a="b"c', b"X a=b c=d", b"X a=b,a=c", b"X =b", b"X a=b;c=d",
        b"\xc3\xa4 YTpi", b"Basic YTpi\xff", b"X a=\"\x00\"",
        b"X " + b",".join(b"a%d=b" % n for n in range(33)), b"X " + b"a" * MOST_BYTES,
    ],
)  # fmt: skip
def test_what_breaks_the_grammar_is_refused(value):
    with pytest.raises(MalformedCredentials):
        parse_credentials(value)


@given(TOKENS, TOKEN68)
def test_a_token68_comes_out_as_it_went_in(scheme, token68):
    assert parse_credentials(scheme + b" " + token68) == Credentials(
        scheme.decode().lower(), token68
    )


@given(TOKENS, st.dictionaries(TOKENS.map(bytes.lower), TEXTS, min_size=1, max_size=8))
def test_parameters_come_out_as_they_went_in(scheme, parameters):
    pairs = [
        name + b'="' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        for name, value in parameters.items()
    ]

    assert parse_credentials(scheme + b" " + b", ".join(pairs)).parameters == parameters


@given(st.binary(max_size=200) | st.from_regex(rb"[ab]+ [ab=\", \\]*", fullmatch=True))
def test_any_bytes_are_credentials_or_malformed_and_nothing_else(value):
    try:
        assert parse_credentials(value).scheme
    except MalformedCredentials:
        pass


@pytest.mark.parametrize("piece", [b'a="', b"a=b,", b"a=", b'"\\', b", ", b"\t"])
def test_hostile_repetition_takes_no_time(piece):
    value = (b"X " + piece * MOST_BYTES)[:MOST_BYTES]
    begun = time.perf_counter()
    try:
        parse_credentials(value)
    except MalformedCredentials:
        pass

    assert time.perf_counter() - begun < 0.1


def basic(text, charset="utf-8"):
    return b64encode(text.encode(charset))


@given(WORDS.filter(lambda word: ":" not in word), WORDS)
def test_a_name_and_a_password_come_out_as_they_went_in(user, password):
    import unicodedata

    credentials = parse_basic(basic(f"{user}:{password}"))

    assert credentials.user == unicodedata.normalize("NFC", user)
    assert credentials.password.decode() == unicodedata.normalize("NFC", password)


def test_the_first_colon_ends_the_name():
    assert parse_basic(basic("a:b:c")) == BasicCredentials(b"a", b"b:c")


def test_a_client_that_knows_no_utf_8_is_understood():
    assert parse_basic(basic("jürgen:ß", "latin-1")).user == "jürgen"


def test_characters_are_composed_before_they_are_compared():
    assert parse_basic(basic("ju\u0308rgen:x")).user == "jürgen"


@pytest.mark.parametrize(
    "token68", [b"", b"YQ==", b"YTpi=", b"YT-i", b"YTp", basic("a\x00:b"), basic("a:b\n")]
)
def test_what_is_no_name_and_password_is_refused(token68):
    with pytest.raises(MalformedCredentials):
        parse_basic(token68)


def test_a_password_is_not_in_a_repr():
    credentials = parse_basic(basic("alice:secret"))

    assert "secret" not in repr(credentials)
    assert "YWxp" not in repr(parse_credentials(b"Basic YWxpY2U6c2VjcmV0"))
    assert credentials.checkPassword(b"secret")
    assert not credentials.checkPassword(b"secreT")


def test_a_realm_is_quoted():
    assert quoted('a "b" \\') == b'"a \\"b\\" \\\\"'
