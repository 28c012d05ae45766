"""A directory that this process uses: one clerk, a few threads that read, the numbers.

LMDB must not be opened twice in a process, so stores with the same directory share this: after a
reload there are two for as long as the old configuration has exchanges.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from .clerk import Clerk, Stop
from .index import Index
from .layout import Layout
from .numbers import Numbers
from .transaction import Limits

_MOST_THREADS = 4
_TRY_AGAIN_SECONDS = 30.0

_opened: dict[Path, OpenedDirectory] = {}
_closing: dict[Path, Thread] = {}


class OpenedDirectory:
    """See above.

    :ivar index: the index, ``None`` while it is not open.
    """

    def __init__(self, reactor: Any, path: Path, limits: Limits, min_free: int) -> None:
        """Make one and have it opened."""
        self.index: Index | None = None
        self.layout: Layout | None = None
        self.failed = False
        self._shutting_down = False
        self._tried_again_from = inf
        self.clerk = Clerk(reactor, path, limits, min_free, _closing.get(path))
        self.numbers = Numbers(self.clerk.give)
        self.path = path
        self.users = 0
        self._reactor = reactor
        self._waiting: list[Deferred[None]] = []
        self._pool = ThreadPool(0, _MOST_THREADS, "proxykit-cache-read")
        self._pool.start()
        self._trigger = reactor.addSystemEventTrigger("during", "shutdown", self._shut_down)
        self.clerk.start(self._is_open)

    @classmethod
    def of(cls, reactor: Any, path: Path, limits: Limits, min_free: int) -> OpenedDirectory:
        """Give the one of a path; the limits that were given last count. Call ``leave`` later."""
        found = _opened.get(path)
        if found is None:
            found = _opened[path] = cls(reactor, path, limits, min_free)
        else:
            found.clerk.limits = limits
            found.clerk.min_free = min_free
        found.users += 1
        return found

    def leave(self) -> None:
        """One user less; the last one closes it."""
        self.users -= 1
        if self.users == 0 and not self._shutting_down:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self.stop()

    def stop(self) -> Deferred[Any]:
        """Write what is to be written, then close."""
        if _opened.get(self.path) is self:
            del _opened[self.path]
        _closing[self.path] = self.clerk.thread
        stopped: Deferred[Any] = Deferred()
        failed, self.failed = self.failed, True
        if failed:
            stopped.callback(None)
        else:
            self.numbers.release()
            self.clerk.give(Stop(), stopped.callback)
        self.index = None
        return stopped.addBoth(self._stop_reading)

    def _shut_down(self) -> None:
        """Write what is to be written before the process ends: nothing is served any more.

        No Deferred, for Twisted does not wait for one in this phase, and the phase before is the
        one in which exchanges are finished.
        """
        self._shutting_down = True
        self.stop()
        self._stop_reading(None)

    def _stop_reading(self, result: Any) -> None:
        # Threads that read must be done before LMDB is closed under them.
        if not self._pool.joined:
            self._pool.stop()
        self.clerk.close()

    def _is_open(self, first: int | None) -> None:
        stopped, self.failed = self.failed, self.failed or first is None
        if first is None:
            self._tried_again_from = monotonic() + _TRY_AGAIN_SECONDS
        if first is not None and not stopped:
            self.index, self.layout = self.clerk.index, self.clerk.layout
            self.numbers.add(first)
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    @property
    def may_be_tried_again(self) -> bool:
        """Whether it could not be opened, and that was a while ago."""
        return monotonic() > self._tried_again_from and not self._shutting_down

    def when_open(self) -> Deferred[None] | None:
        """Give what fires once it is open, or known not to open; ``None`` when that is known."""
        if self.failed or self.index is not None:
            return None
        deferred: Deferred[None] = Deferred()
        self._waiting.append(deferred)
        return deferred

    def in_thread(self, call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Call something in a thread that reads."""
        return deferToThreadPool(self._reactor, self._pool, call, *arguments)
