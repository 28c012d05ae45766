"""Users in an htpasswd file, and groups in a file beside it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface import implementer

from .fields import BasicCredentials
from .limit import CORES, Limit
from .passwords import NOBODYS_HASH, UnusableHash, check_hash, like, verify_password
from .watched_file import WatchedFile

_MOST_WAITING = 64


@frozen(slots=True)
class Users:
    """What an htpasswd file says.

    :ivar hashes: by the user's name.
    :ivar nobodys: what the passwords of unknown users are compared with, so that an answer takes
        as long for them as for a user of the file.
    """

    hashes: dict[bytes, str]
    nobodys: str

    def __repr__(self) -> str:
        return f"<Users {len(self.hashes)}>"


def parse_users(data: bytes) -> Users:
    """Parse an htpasswd file: ``user:hash`` a line, ``#`` begins a comment.

    :raises ValueError: for all that is wrong in it, by line; hashes are never quoted.
    """
    hashes: dict[bytes, str] = {}
    problems: list[str] = []
    for number, line in _lines(data):
        user, colon, rest = line.partition(":")
        name = user.encode("utf-8")
        if not colon or not user or user != user.strip():
            problems.append(f"line {number}: expected user:hash")
        elif name in hashes:
            problems.append(f"line {number}: the user is there already")
        else:
            text = rest.partition(":")[0]
            try:
                check_hash(text)
            except UnusableHash as error:
                problems.append(f"line {number}: {error}")
            else:
                hashes[name] = text
    if problems:
        raise ValueError("; ".join(problems))
    return Users(hashes, _nobodys(hashes))


def _nobodys(hashes: dict[bytes, str]) -> str:
    """Give a hash that is like most of those in the file."""
    kinds: dict[str, list[str]] = {}
    for text in hashes.values():
        kinds.setdefault(text.rpartition("$")[0][:8], []).append(text)
    most = max(kinds.values(), key=len, default=None)
    return like(most[0]) if most else NOBODYS_HASH


def parse_groups(data: bytes) -> dict[str, frozenset[str]]:
    """Parse a group file as Apache has it: ``group: user user``; a group may have more lines.

    :returns: each user's groups.
    :raises ValueError: for all that is wrong in it, by line.
    """
    groups: dict[str, set[str]] = {}
    problems: list[str] = []
    for number, line in _lines(data):
        group, colon, users = line.partition(":")
        if not colon or not group.strip():
            problems.append(f"line {number}: expected group: user user")
            continue
        for user in users.split():
            groups.setdefault(user, set()).add(group.strip())
    if problems:
        raise ValueError("; ".join(problems))
    return {user: frozenset(names) for user, names in groups.items()}


def _lines(data: bytes) -> list[tuple[int, str]]:
    """Give the numbered lines that say something.

    :raises ValueError: when they are not UTF-8.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    lines = enumerate(unicodedata.normalize("NFC", text).split("\n"), 1)
    return [(n, line.strip()) for n, line in lines if line.strip() and line.strip()[0] != "#"]


@implementer(ICredentialsChecker)
class HtpasswdChecker:
    """Verifies passwords against an htpasswd file, in threads, a few at a time."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, path: Path, reactor: Any, changed: Callable[[], None]) -> None:
        """Read the file.

        :param changed: called when the file says something else.
        :raises ConfigurationError: when it cannot be read or holds what is not taken.
        """
        self._reactor = reactor
        self._file = WatchedFile(path, parse_users, reactor, changed)
        self._limit = Limit(CORES, _MOST_WAITING, "passwords")
        self.look = self._file.look

    def requestAvatarId(self, credentials: BasicCredentials) -> Deferred[Any]:
        """See ``ICredentialsChecker``.

        :raises QueueFull: when too many wait already.
        """
        users = self._file.value
        name = credentials.username
        text = users.hashes.get(name)

        def judge(is_right: bool) -> bytes:
            if not is_right or text is None:
                raise UnauthorizedLogin("the user or the password is wrong")
            return name

        verifying = self._limit.in_thread(
            self._reactor, verify_password, text or users.nobodys, credentials.password
        )
        return verifying.addCallback(judge)
