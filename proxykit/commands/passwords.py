"""``proxykit hash-password``: makes a line of an htpasswd file."""

from __future__ import annotations

import getpass
import sys
import unicodedata
from typing import Any

from ..authentication.passwords import hash_password


def add_to(commands: Any) -> None:
    """Add the command; see ``commands.configurations``."""
    hashing = commands.add_parser("hash-password", help="make a line of an htpasswd file")
    hashing.add_argument("user", nargs="?", help="the line's user; without one, the hash alone")
    hashing.set_defaults(run=lambda chosen: _hash_password(chosen.user))


def _hash_password(user: str | None) -> int:
    try:
        name = None if user is None else _without_controls(user, "the user's name")
        if name is not None and (not name or ":" in name or name != name.strip() or name[0] == "#"):
            raise ValueError("a user's name has no colon, no spaces at its ends and no # before it")
        password = _without_controls(_read_password(), "the password")
        text = hash_password(password.encode("utf-8"))
    except (ValueError, EOFError) as error:
        print(f"proxykit hash-password: {error}", file=sys.stderr)
        return 1
    print(text if name is None else f"{name}:{text}")
    return 0


def _read_password() -> str:
    """Read a password: twice from a terminal, where a slip is not seen; else a line of input.

    :raises ValueError: when the two differ, or the input is not UTF-8.
    """
    if not sys.stdin.isatty():
        return sys.stdin.buffer.readline().rstrip(b"\r\n").decode("utf-8")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise ValueError("the two passwords differ")
    return password


def _without_controls(text: str, what: str) -> str:
    """Give a text as clients are to send it (RFC 7617 section 2.1).

    :raises ValueError: when it holds control characters, which they may not send.
    """
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in text):
        raise ValueError(f"{what} holds control characters")
    return unicodedata.normalize("NFC", text)
