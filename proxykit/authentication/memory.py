"""What was found out about credentials, remembered for a limited time.

A password's hash takes milliseconds on purpose, and a client sends its credentials with every
request. Remembered are keyed digests, never the credentials; the key lives as long as the memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import blake2b
from time import monotonic
from typing import Any

from attrs import frozen

from .identity import Identity

_MOST = 10_000
# A wrong password that a program sends again and again costs one verification in this time.
_MOST_REFUSED_SECONDS = 10.0


@frozen(slots=True)
class Accepted:
    """Credentials that were right.

    :ivar identity: whose they are.
    :ivar account: the digest of the name that was sent, by which failures are counted.
    :ivar until: on the memory's clock, in seconds.
    """

    identity: Identity
    account: bytes
    until: float


class Memory:
    """Answers by the digest of the credentials they were given for.

    Right and wrong credentials have a table each, so that guesses do not push out what is right.

    :ivar generation: a number that changes whenever everything is forgotten: an answer that was
        asked for before is not to be remembered after.
    """

    def __init__(
        self, seconds: float, most: int = _MOST, clock: Callable[[], float] = monotonic
    ) -> None:
        """Begin with nothing.

        :param seconds: how long right credentials are remembered, 0 for not at all; wrong ones
            never longer.
        :param most: how many of each.
        """
        self._seconds = seconds
        self._refused_seconds = min(seconds, _MOST_REFUSED_SECONDS)
        self._most = most
        self._clock = clock
        self.generation = 0
        self._key = os.urandom(32)
        self._accepted: dict[bytes, Accepted] = {}
        self._refused: dict[bytes, float] = {}

    def digest(self, value: bytes) -> bytes:
        """Give the keyed digest under which something secret is known here."""
        return blake2b(value, digest_size=16, key=self._key).digest()

    def accepted(self, digest: bytes) -> Accepted | None:
        """Give what is remembered of credentials that were right."""
        entry = self._accepted.get(digest)
        if entry is None or entry.until > self._clock():
            return entry
        del self._accepted[digest]
        return None

    def is_refused(self, digest: bytes) -> bool:
        """Say whether these credentials were wrong a moment ago."""
        until = self._refused.get(digest)
        return until is not None and until > self._clock()

    def accept(
        self, digest: bytes, identity: Identity, account: bytes, at_most: float | None = None
    ) -> None:
        """Remember right credentials.

        :param at_most: seconds for which they are right anyway, a token's for instance.
        """
        self._refused.pop(digest, None)
        seconds = self._seconds if at_most is None else min(self._seconds, at_most)
        if seconds > 0:
            _make_room(self._accepted, self._most)
            self._accepted[digest] = Accepted(identity, account, self._clock() + seconds)

    def refuse(self, digest: bytes) -> None:
        """Remember wrong credentials for a moment."""
        if self._refused_seconds > 0:
            _make_room(self._refused, self._most)
            self._refused[digest] = self._clock() + self._refused_seconds

    def forget(self) -> None:
        """Forget everything: what the answers came from has changed."""
        self.generation += 1
        self._accepted.clear()
        self._refused.clear()

    def __repr__(self) -> str:
        return f"<Memory {len(self._accepted)} right, {len(self._refused)} wrong>"


def _make_room(table: dict[bytes, Any], most: int) -> None:
    while len(table) >= most:
        del table[next(iter(table))]
