"""Those who watch what is sent to a server, and cannot change it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self

from twisted.logger import Logger

from .exchange import Exchange

_log = Logger()


class Taps:
    """The taps on one request; one that fails is told no more, and breaks nothing."""

    __slots__ = ("_taps",)

    def __init__(self, taps: list[Any]) -> None:
        """Take ``IContentTap`` providers."""
        self._taps = taps

    @classmethod
    def opened_by(
        cls, steps: Iterable[Callable[[Exchange], Any]], exchange: Exchange
    ) -> Self | None:
        """Ask each ``IRequestTap`` for its tap; ``None`` when none has one."""
        taps: list[Any] = []
        for step in steps:
            try:
                tap = step(exchange)
            except Exception:
                _log.failure("a tap failed; the exchange goes on without it")
                continue
            if tap is not None:
                taps.append(tap)
        return cls(taps) if taps else None

    def feed(self, data: bytes) -> None:
        """Content is sent."""
        self._tell("feed", data)

    def ended(self) -> None:
        """The request is complete."""
        self._tell("ended")
        self._taps.clear()

    def abandoned(self) -> None:
        """The exchange is over; taps whose request was complete are not told."""
        self._tell("abandoned")
        self._taps.clear()

    def _tell(self, what: str, *arguments: bytes) -> None:
        for tap in self._taps[:]:
            try:
                getattr(tap, what)(*arguments)
            except Exception:
                _log.failure("a tap failed; the exchange goes on without it")
                self._taps.remove(tap)
