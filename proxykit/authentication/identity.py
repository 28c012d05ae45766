"""Who somebody is, once that was verified: what a checker's avatar ID comes to here."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import field, frozen
from twisted.cred.error import UnauthorizedLogin

NO_GROUPS: frozenset[str] = frozenset()
_MOST_GROUPS = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@frozen(slots=True)
class Identity:
    """A user and the groups that the user is in, both fit to stand in a field."""

    name: str
    groups: frozenset[str] = field(default=NO_GROUPS)


def checked_identity(name: str, groups: Iterable[str] = ()) -> Identity:
    """Make an identity of what somebody outside says.

    :param groups: those that no field could hold are left out.
    :raises ValueError: when nobody can have that name: it is empty, or holds control characters
        or spaces at an end. A server that is told of it would see another.
    """
    if not _is_word(name):
        raise ValueError("that is nobody's name")
    kept = [group for group in groups if _is_word(group)]
    return Identity(name, frozenset(kept[:_MOST_GROUPS]))


def identity_of(avatar_id: object) -> Identity:
    """Give the identity that a checker's avatar ID stands for.

    Checkers of our own give an ``Identity``; those of Twisted give the name as bytes.

    :raises UnauthorizedLogin: for what is no name, Twisted's ``ANONYMOUS`` for instance.
    """
    if isinstance(avatar_id, Identity):
        return avatar_id
    try:
        if isinstance(avatar_id, bytes):
            return checked_identity(avatar_id.decode("utf-8"))
    except ValueError:
        pass
    raise UnauthorizedLogin("the checker gives no name")


def _is_word(text: str) -> bool:
    return bool(text) and text == text.strip() and not _CONTROL.search(text)
