"""One content: which characters its bytes are, and what becomes of it."""

from __future__ import annotations

import gzip
from time import monotonic

import brotli
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.filters.content.content_rule import ContentRule, is_anything, is_endless, is_text
from proxykit.filters.content.filtering import Filtering, is_utf8
from proxykit.filters.content.substitution import Budget, GaveUp, Substitution

LIMIT = 100_000


def rule(*pairs):
    made = [Substitution.of_text(source, parts, once=False) for source, *parts in pairs]
    return ContentRule("r", is_anything, tuple(made))


def run(content, *rules, coding="", charset=None):
    budget = Budget(monotonic() + 5, 2 * LIMIT, 10**9)
    return Filtering(rules, coding, charset, {}).run(content, LIMIT, budget)


@pytest.mark.parametrize(
    ("coding", "encode", "decode"),
    [
        ("", bytes, bytes),
        ("gzip", gzip.compress, gzip.decompress),
        ("br", brotli.compress, brotli.decompress),
        ("zstd", zstd.compress, zstd.decompress),
    ],
)
def test_content_is_changed_and_keeps_its_coding(coding, encode, decode):
    new = run(
        encode(b"one cat, two cats"), rule(("cat", "dog")), rule(("dogs", "birds")), coding=coding
    )

    assert decode(new) == b"one dog, two birds"


def test_content_that_stays_the_same_stays_the_same_bytes():
    """A coding can be applied in many ways; who asks for the bytes gets those of the server."""
    content = gzip.compress(b"a cat", 1, mtime=0)

    assert run(content, rule(("horse", "dog")), coding="gzip") is content
    assert run(content, rule(("cat", "cat")), coding="gzip") is content


@pytest.mark.parametrize(
    ("content", "charset", "result"),
    [
        ("größe".encode(), "utf-8", "GRÖSSE".encode()),
        ("größe".encode(), None, "GRÖSSE".encode()),
        ("größe".encode("latin-1"), "iso-8859-1", "GRÖSSE".encode("latin-1")),
        ("größe".encode("latin-1"), None, "GRÖSSE".encode("latin-1")),
        ("größe".encode("latin-1"), "utf-8", "GRÖSSE".encode("latin-1")),  # it is not, whoever says
        ("größe".encode(), "iso-8859-1", "größe".encode()),  # five letters, of which none is ö
    ],
)
def test_letters_are_found_in_utf_8_and_in_latin_1(content, charset, result):
    assert run(content, rule(("größe", "GRÖSSE")), charset=charset) == result


def test_a_letter_that_latin_1_has_not_is_in_no_latin_1_text():
    assert run(b"\xe9 5", rule(("€", "EUR"), ("5", "six")), charset="latin1") == b"\xe9 six"
    assert run("€ 5".encode(), rule(("€", "EUR"))) == b"EUR 5"


def test_a_dot_is_a_character_and_not_a_byte():
    assert run("größe".encode(), rule(("gr.ße", "x"))) == b"x"


@pytest.mark.parametrize(
    ("text", "declared", "expected"),
    [
        (b"plain", None, True),
        ("é".encode(), None, True),
        (b"\xe9", None, False),
        (b"\xe9", "utf-8", False),
        ("é".encode(), "windows-1252", False),
        (b"<meta charset=windows-1252>", None, False),
        (b'<META content="text/html; charset=UTF-8">\xc3\xa9', None, True),
        (b"<meta charset=windows-1252>", "utf-8", True),
        (b"\xef\xbb\xbf" + "é".encode(), "windows-1252", True),
        ("é".encode("utf-16"), None, None),
        (b"a\0b\0", "utf-16le", None),
    ],
)
def test_how_a_text_is_read(text, declared, expected):
    assert is_utf8(text, declared) is expected


def test_utf_16_is_not_changed():
    with pytest.raises(GaveUp, match="UTF-16"):
        run("cat".encode("utf-16"), rule(("c", "d")))


@pytest.mark.parametrize(
    ("content", "coding", "why"),
    [
        (gzip.compress(bytes(LIMIT + 1), mtime=0), "gzip", "larger than"),
        (b"not gzip", "gzip", "not gzip"),
        (gzip.compress(b"text" * 99, mtime=0)[:-9], "gzip", "not gzip"),
        (b"\xff" * 50, "br", "not br"),
        (b"\x28\xb5\x2f\xfd\xff\xff", "zstd", "not zstd"),
    ],
)
def test_what_cannot_be_decoded_is_given_up(content, coding, why):
    with pytest.raises(GaveUp, match=why):
        run(content, rule(("a", "b")), coding=coding)


def test_replacements_of_replacements_cannot_grow_without_end():
    doubling = rule(*[("a", "a" * 100)] * 8)
    with pytest.raises(GaveUp, match="too large"):
        run(b"a" * 10, doubling)


@given(st.text(max_size=200), st.sampled_from(["a", "é", "€", "[^a]", "(?i)é", ".", "x*"]))
@settings(max_examples=200)
def test_utf_8_stays_utf_8(text, source):
    new = run(text.encode("utf-8", "replace"), rule((source, "<€>")), charset="utf-8")

    new.decode("utf-8")


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"text/html; charset=utf-8", True),
        (b"text/css", True),
        (b"text/plain", False),
        (b"text/plain; format=flowed", False),
        (b"application/javascript", True),
        (b"application/xhtml+xml", True),
        (b"image/svg+xml", True),
        (b"application/json", False),
        (b"image/png", False),
        (b"", False),
    ],
)
def test_privoxys_texts(content_type, expected):
    assert is_text(content_type) is expected


def test_streams_that_never_end():
    assert is_endless(b"Text/Event-Stream; charset=utf-8")
    assert is_endless(b"multipart/x-mixed-replace; boundary=x")
    assert not is_endless(b"text/html")
