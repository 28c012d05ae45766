"""Asks a server now and then how much memory it uses."""

from __future__ import annotations

from time import monotonic
from typing import Any

from .client import RedisAway, RedisClient, RedisRefused

_MEASURE_SECONDS = 5.0
_USED_MEMORY = b"used_memory:"


class ServerMemory:
    """The memory of a server, whoever else uses that."""

    __slots__ = ("_client", "_is_full", "_limit", "_measured")

    def __init__(self, client: RedisClient, limit: int | None) -> None:
        """Ask nothing yet.

        :param limit: with more in use it is full, in bytes; ``None`` for never.
        """
        self._client = client
        self._limit = limit
        self._is_full = False
        self._measured = -_MEASURE_SECONDS

    def is_full(self) -> bool:
        """Say whether it was full when that was asked last, and ask again if that is a while."""
        if self._limit is None:
            return False
        if monotonic() - self._measured >= _MEASURE_SECONDS:
            self._measured = monotonic()
            asked = self._client.send(b"INFO", b"memory")
            asked.addCallbacks(self._take, lambda failure: failure.trap(RedisAway, RedisRefused))
        return self._is_full

    def _take(self, answer: Any) -> None:
        for line in answer.splitlines() if type(answer) is bytes else ():
            if line.startswith(_USED_MEMORY):
                self._is_full = int(line[len(_USED_MEMORY) :]) > (self._limit or 0)
