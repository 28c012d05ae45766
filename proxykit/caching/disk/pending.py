"""What was changed and is not in the index yet: this process sees it at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import define

from ..stored import StoredResponse
from .changes import Purge, Put, Remove, Update


@define(slots=True, eq=False)
class Pending:
    """What will be under a key when the clerk has done what it was given.

    :ivar heard: the last purge by others that was judged when it was changed.
    :ivar left: how many changes it has not done yet.
    """

    responses: tuple[StoredResponse, ...]
    heard: int
    left: int = 0


class PendingChanges:
    """The keys of which changes are under way.

    :ivar by_key: what is pending, for every lookup to see first.
    """

    __slots__ = ("_done", "_give", "by_key")

    def __init__(
        self,
        give: Callable[[Any, Callable[[Any], None]], None],
        done: Callable[[bytes, tuple[StoredResponse, ...], bytes | None], None],
    ) -> None:
        """Begin with none.

        :param give: hands a change to the clerk, with what is called with its result.
        :param done: called when nothing of a key is pending any more, with the key, what was, and
            what the index's ``keys`` holds now.
        """
        self._give = give
        self._done = done
        self.by_key: dict[bytes, Pending] = {}

    def __len__(self) -> int:
        return len(self.by_key)

    def add(
        self,
        key: bytes,
        responses: tuple[StoredResponse, ...],
        change: Put | Update | Remove,
        heard: int,
        done: Callable[[bytes | None], None] | None = None,
    ) -> None:
        """Have a key changed.

        :param responses: what is under it from now on, as this process sees it.
        :param heard: see ``Pending``.
        :param done: called with what the index's ``keys`` holds when this change is done.
        """
        pending = self.by_key.get(key)
        if pending is None:
            pending = self.by_key[key] = Pending(responses, heard)
        pending.responses = responses
        pending.heard = heard
        pending.left += 1
        self._give(change, partial(self._changed, key, pending, done))

    def _changed(
        self,
        key: bytes,
        pending: Pending,
        done: Callable[[bytes | None], None] | None,
        value: bytes | None,
    ) -> None:
        if done is not None:
            done(value)
        pending.left -= 1
        if pending.left or self.by_key.get(key) is not pending:
            return
        del self.by_key[key]
        self._done(key, pending.responses, value)

    def forget(self, purge: Purge) -> None:
        """Forget what a purge may take: from now on the index says what is there."""
        for key in [key for key in self.by_key if purge.concerns(key)]:
            del self.by_key[key]
