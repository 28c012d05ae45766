"""Password hashes as htpasswd files hold them: which are taken, how they are verified and made.

The formats are told apart by their prefixes, as crypt(3) does: bcrypt (``$2a$``, ``$2b$``,
``$2y$``), SHA-256 and SHA-512 crypt (``$5$``, ``$6$``), argon2 (``$argon2id$`` and its sisters).
Every function here that verifies or makes a hash is slow on purpose and belongs into a thread.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

import argon2
import argon2.low_level
import bcrypt
from argon2.exceptions import InvalidHashError, VerificationError
from passlib.hash import sha256_crypt, sha512_crypt

BCRYPT_BYTES = 72
"""What bcrypt sees of a password; it ignores the rest."""

# SHA-2 crypt takes time by the length of what is sent. libxcrypt, which makes these hashes, takes
# no longer passwords either, and passlib raises at 4 KiB.
_SHA_CRYPT_BYTES = 512

# OWASP's password storage cheat sheet asks for 10 at least; 12 takes about 0.25 s.
_BCRYPT_COST = 12

_BCRYPT = re.compile(
    r"\$2[aby]\$(?P<cost>[0-9]{2})\$(?P<salt>[./A-Za-z0-9]{22})[./A-Za-z0-9]{31}\Z"
)
_SHA_CRYPT = re.compile(
    r"\$(?P<kind>[56])\$(?:rounds=(?P<rounds>[0-9]{4,9})\$)?(?P<salt>[^$:\n]{0,16})\$"
    r"(?P<digest>[./A-Za-z0-9]{43}|[./A-Za-z0-9]{86})\Z"
)
_ARGON2 = re.compile(
    r"(?P<head>\$argon2(?:id|i|d)\$v=19\$m=(?P<memory>[0-9]{1,8}),t=(?P<time>[0-9]{1,4}),"
    r"p=(?P<lanes>[0-9]{1,3})\$[A-Za-z0-9+/]{11,64}\$)(?P<digest>[A-Za-z0-9+/]{16,88})\Z"
)
_CRYPT64 = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

# One password must not keep a thread for minutes or take the machine's memory. The limits leave
# room for 16 times the work that is usual today.
_MOST_BCRYPT_COST = 16
_MOST_SHA_ROUNDS = 1_000_000
_MOST_ARGON2_KIB = 1024 * 1024
_MOST_ARGON2_TIME = 64


class UnusableHash(ValueError):
    """A hash that is not taken; the message says why and does not quote it."""


def check_hash(text: str) -> None:
    """Check that a hash is of a kind that is taken, with a bearable cost.

    :raises UnusableHash: when it is not.
    """
    if match := _BCRYPT.match(text):
        if not 4 <= int(match["cost"]) <= _MOST_BCRYPT_COST:
            raise UnusableHash(f"a bcrypt cost is 4 to {_MOST_BCRYPT_COST}")
    elif match := _SHA_CRYPT.match(text):
        if len(match["digest"]) != (43 if match["kind"] == "5" else 86):
            raise UnusableHash("the SHA-2 crypt hash is cut short")
        if not 1000 <= int(match["rounds"] or 5000) <= _MOST_SHA_ROUNDS:
            raise UnusableHash(f"SHA-2 crypt rounds are 1000 to {_MOST_SHA_ROUNDS}")
    elif match := _ARGON2.match(text):
        if int(match["memory"]) > _MOST_ARGON2_KIB or int(match["time"]) > _MOST_ARGON2_TIME:
            raise UnusableHash(
                f"argon2 takes at most m={_MOST_ARGON2_KIB} (KiB) and t={_MOST_ARGON2_TIME}"
            )
    else:
        raise UnusableHash(_why_not(text))


def _why_not(text: str) -> str:
    for prefix, kind in (("$apr1$", "MD5"), ("$1$", "MD5"), ("{SHA}", "unsalted SHA-1")):
        if text.startswith(prefix):
            return (
                f"{kind} hashes are not safe and not taken; make a new one with "
                f"`proxykit hash-password`"
            )
    return (
        "neither bcrypt, SHA-2 crypt nor argon2 (plain passwords and DES crypt are not taken); "
        "make a hash with `proxykit hash-password`"
    )


def verify_password(text: str, password: bytes) -> bool:
    """Say whether a password is the one of a hash. Slow; every comparison takes constant time.

    :param text: a hash that passed ``check_hash``.
    """
    if text.startswith("$2"):
        # bcrypt 5 refuses what older releases, Apache and nginx cut off.
        return bcrypt.checkpw(password[:BCRYPT_BYTES], text.encode("ascii"))
    if text.startswith("$argon2"):
        kind = argon2.extract_parameters(text).type
        try:
            return argon2.low_level.verify_secret(text.encode("ascii"), password, kind)
        except (VerificationError, InvalidHashError):
            return False
    scheme: Any = sha256_crypt if text.startswith("$5$") else sha512_crypt
    is_right = bool(scheme.verify(password[:_SHA_CRYPT_BYTES], text))
    return is_right and len(password) <= _SHA_CRYPT_BYTES


def like(text: str) -> str:
    """Give a hash that takes as long to verify as another and that no password fits.

    :param text: a hash that passed ``check_hash``.
    """
    if match := _BCRYPT.match(text):
        # The last character of a bcrypt salt holds four bits; "." is 0 in all of them.
        return f"$2b${match['cost']}${_random(_CRYPT64, 21)}.{_random(_CRYPT64, 31)}"
    if match := _SHA_CRYPT.match(text):
        rounds = f"rounds={match['rounds']}$" if match["rounds"] else ""
        digest = _random(_CRYPT64, len(match["digest"]) - 1) + "."
        return f"${match['kind']}${rounds}{_random(_CRYPT64, 16)}${digest}"
    match = _ARGON2.match(text)
    assert match is not None
    return match["head"] + _random(_CRYPT64.replace(".", "+"), len(match["digest"]) - 1) + "A"


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


NOBODYS_HASH = like(f"$2b${10:02d}$" + "." * 53)
"""What the password of an unknown user is compared with where no other hash says how long."""


def hash_password(password: bytes) -> str:
    """Make a bcrypt hash. Slow.

    :param password: UTF-8.
    :raises ValueError: when it is empty, or longer than bcrypt can tell apart.
    """
    if not password:
        raise ValueError("the password is empty")
    if len(password) > BCRYPT_BYTES:
        raise ValueError(f"the password is longer than {BCRYPT_BYTES} bytes, all that bcrypt sees")
    return bcrypt.hashpw(password, bcrypt.gensalt(_BCRYPT_COST)).decode("ascii")
