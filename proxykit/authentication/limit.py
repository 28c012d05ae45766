"""How much may be done at a time, and how much may wait for that."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.threads import deferToThreadPool

from ..errors import QueueFull

CORES = min(os.cpu_count() or 1, 4)
"""How many hashes at a time make sense; the reactor's threads are needed for names too."""


class Limit:
    """So many at a time, so many in a queue, nothing beyond."""

    def __init__(self, running: int, waiting: int, what: str) -> None:
        """Begin with nothing under way.

        :param what: what it is that is limited, for the message.
        """
        self._semaphore = DeferredSemaphore(running)
        self._waiting = waiting
        self._what = what

    def run(self, call: Callable[[], Any]) -> Deferred[Any]:
        """Call something as soon as it may.

        :returns: its result, or fails as it does.
        :raises QueueFull: when too many wait already.
        """
        if len(self._semaphore.waiting) >= self._waiting:
            raise QueueFull(f"too many {self._what} wait already")
        return self._semaphore.run(call)

    def in_thread(self, reactor: Any, call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Call something that blocks, in one of the reactor's threads, as soon as it may.

        :raises QueueFull: when too many wait already.
        """
        threads = reactor.getThreadPool()
        return self.run(lambda: deferToThreadPool(reactor, threads, call, *arguments))

    def __repr__(self) -> str:
        semaphore = self._semaphore
        return f"<Limit {semaphore.limit - semaphore.tokens} run, {len(semaphore.waiting)} wait>"
