"""Holds one content until it is complete, then has it filtered."""

from __future__ import annotations

from functools import partial
from time import monotonic

from attrs import define
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ...interfaces import IBodyFilter
from .filtering import Filtering
from .substitution import Budget, GaveUp
from .workers import Workers

_log = Logger()

# What is done in the reactor's thread: content so small that it takes no longer than 10 ms even if
# it was made to take long. A thread costs 0.2 ms.
_AT_ONCE_SIZE = 64 * 1024
_AT_ONCE_SECONDS = 0.005
_AT_ONCE_WORK = 1_000_000  # bytes times instructions, at 5 ns

_MOST_WORK = 1_000_000_000
"""For one expression on one content: 5 s at the worst, in a thread."""


@define(slots=True, eq=False)
class Room:
    """How much may be held of all contents together, in bytes."""

    left: int


@define(slots=True, eq=False)
class Limits:
    """What one content may take.

    :ivar size: bytes held, and bytes once decoded.
    :ivar seconds: for all of its rules.
    :ivar room: what is left for all contents together.
    """

    size: int
    seconds: float
    room: Room


@implementer(IBodyFilter)
class HeldContent:
    """One response's content.

    Whatever goes wrong, the content goes on as it came: in its coding, byte for byte.
    """

    __slots__ = ("_filtering", "_held", "_limits", "_room", "_what", "_workers")

    def __init__(self, filtering: Filtering, limits: Limits, workers: Workers, what: str) -> None:
        """Begin to hold.

        :param what: is it, for the log.
        """
        self._filtering = filtering
        self._limits = limits
        self._workers = workers
        self._what = what
        # One piece: a server may send byte by byte, and a list would hold fifty for each.
        self._held: bytearray | None = bytearray()  # None: it is not held any more
        self._room = 0  # what it has taken of the room for all

    def feed(self, chunk: bytes) -> bytes:
        """See ``IBodyFilter``: gives nothing until it holds too much, then all as it came."""
        held = self._held
        if held is None:
            return chunk
        room = self._limits.room
        held += chunk
        size = len(chunk)
        if len(held) <= self._limits.size and size <= room.left:
            self._room += size
            room.left -= size
            return b""
        if len(held) > self._limits.size:
            self._say(f"it is larger than {self._limits.size} bytes")
        else:
            self._say("too much is held of other contents")
        return self._let_go()

    def finish(self) -> bytes | Deferred[bytes]:
        """See ``IBodyFilter``."""
        if self._held is None:
            return b""
        content = bytes(self._held)
        self._held = bytearray()  # and room for it is made when this is forgotten
        if not content:
            return b""
        try:
            at_once = Budget(monotonic() + _AT_ONCE_SECONDS, _AT_ONCE_SIZE, _AT_ONCE_WORK)
            return self._filtering.run(content, _AT_ONCE_SIZE, at_once)
        except GaveUp:
            pass
        if self._workers.are_busy:
            self._say("too many contents wait to be filtered")
            return content
        return self._workers.run(partial(self._run, content)).addErrback(self._failed, content)

    def _run(self, content: bytes) -> bytes:
        limits = self._limits
        budget = Budget(monotonic() + limits.seconds, 2 * limits.size, _MOST_WORK)
        return self._filtering.run(content, limits.size, budget)

    def _failed(self, failure: Failure, content: bytes) -> bytes:
        failure.trap(GaveUp)
        self._say(str(failure.value))
        return content

    def _say(self, why: str) -> None:
        _log.info("content of {what} goes on unfiltered: {why}", what=self._what, why=why)

    def _let_go(self) -> bytes:
        """Give what is held, and make room for others."""
        held, self._held = self._held, None
        self._limits.room.left += self._room
        self._room = 0
        return bytes(held or b"")

    def __del__(self) -> None:
        # An exchange that ends early just forgets its transforms.
        self._let_go()
