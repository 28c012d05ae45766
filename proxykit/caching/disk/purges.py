"""Purges that the clerk has not done yet: who asks for what they may take waits for them."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from .changes import Purge


class Purges:
    """The purges under way."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: dict[Purge, list[Deferred[None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, purge: Purge) -> None:
        """Take one that the clerk was given."""
        self._waiting[purge] = []

    def done(self, purge: Purge) -> None:
        """Let those go on who waited for one."""
        for deferred in self._waiting.pop(purge):
            deferred.callback(None)

    def concern(self, key: bytes) -> bool:
        """Say whether one of them may take what is under a key."""
        return any(purge.concerns(key) for purge in self._waiting)

    def wait(self, key: bytes) -> Deferred[None] | None:
        """Give what fires when one that concerns a key is done, ``None`` when there is none."""
        for purge, waiting in self._waiting.items():
            if purge.concerns(key):
                deferred: Deferred[None] = Deferred()
                waiting.append(deferred)
                return deferred
        return None
