"""Password hashes: those of the programs that people use, and those that are not taken."""

from __future__ import annotations

import re
import subprocess

import argon2
import bcrypt
import pytest
from passlib.hash import sha256_crypt

from proxykit.authentication.passwords import (
    NOBODYS_HASH,
    UnusableHash,
    check_hash,
    hash_password,
    like,
    verify_password,
)


def of_openssl(kind):
    command = ["openssl", "passwd", kind, "-salt", "saltsalt", "secret"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def of_bcrypt(prefix):
    return bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode().replace("$2b$", prefix)


def of_argon2(kind):
    return argon2.PasswordHasher(1, 1024, 1, type=kind).hash("secret")


HASHES = [
    of_bcrypt("$2a$"),
    of_bcrypt("$2b$"),
    of_bcrypt("$2y$"),
    of_openssl("-5"),
    of_openssl("-6"),
    sha256_crypt.using(rounds=1000).hash("secret"),
    of_argon2(argon2.Type.ID),
    of_argon2(argon2.Type.I),
    of_argon2(argon2.Type.D),
]


@pytest.mark.parametrize("text", HASHES, ids=lambda text: text[:4])
def test_hashes_of_other_programs_are_verified(text):
    check_hash(text)

    assert verify_password(text, b"secret")
    assert not verify_password(text, b"Secret")
    assert not verify_password(text, b"")


@pytest.mark.parametrize("text", HASHES, ids=lambda text: text[:4])
def test_nobodys_hash_is_of_the_same_kind_and_no_password_fits(text):
    nobodys = like(text)

    check_hash(nobodys)
    assert nobodys != text
    cost = re.compile(r"\$(?:2[aby]\$..|(?:5|6)\$(?:rounds=[0-9]+)?|argon2[id]+\$v=19\$[^$]+)")
    assert cost.match(nobodys)[0][3:] == cost.match(text)[0][3:]
    assert not verify_password(nobodys, b"secret")


def test_without_any_hash_there_is_one_for_nobody():
    check_hash(NOBODYS_HASH)
    assert not verify_password(NOBODYS_HASH, b"")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$apr1$salt$abcdefghijklmnopqrstuv", "MD5"),
        ("$1$salt$abcdefghijklmnopqrstuv", "MD5"),
        ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "SHA-1"),
        ("rl.3StKT.4T8M", "neither"),
        ("secret", "neither"),
        ("", "neither"),
        ("$2b$31$" + "a" * 53, "cost"),
        ("$2b$03$" + "a" * 53, "cost"),
        ("$2x$10$" + "a" * 53, "neither"),
        ("$2b$10$" + "a" * 52, "neither"),
        ("$6$rounds=999999999$salt$" + "a" * 86, "rounds"),
        ("$6$salt$" + "a" * 43, "short"),
        ("$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$" + "a" * 43, "argon2"),
    ],
)
def test_weak_and_unbearable_hashes_are_not_taken_and_not_quoted(text, why):
    with pytest.raises(UnusableHash, match=why) as caught:
        check_hash(text)
    assert not text or text not in str(caught.value)


def test_bcrypt_sees_72_bytes_as_everywhere_else():
    text = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()

    assert verify_password(text, b"x" * 80)
    assert not verify_password(text, b"x" * 71)


@pytest.mark.parametrize("text", HASHES, ids=lambda text: text[:4])
@pytest.mark.parametrize("length", [513, 4097, 40_000])
def test_a_password_of_any_length_is_wrong_and_no_error(text, length):
    assert not verify_password(text, b"x" * length)
    assert not verify_password(like(text), b"x" * length)


def test_what_a_sha_2_crypt_password_costs_does_not_grow_with_what_is_sent():
    text = sha256_crypt.using(rounds=1000).hash("x" * 512)

    assert verify_password(text, b"x" * 512)
    assert not verify_password(text, b"x" * 513)


def test_a_new_hash_is_bcrypt_and_of_what_bcrypt_can_tell_apart():
    text = hash_password("pässword".encode())

    assert text.startswith("$2b$12$")
    assert verify_password(text, "pässword".encode())
    for password in (b"", b"x" * 73):
        with pytest.raises(ValueError, match="password"):
            hash_password(password)
