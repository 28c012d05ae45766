"""Threads of their own for filtering: a page that takes long must not hold what resolves names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

_THREADS = 2
_MOST_WAITING = 64


class Workers:
    """A few threads, begun when there is something to do; RE2 runs without Python's lock."""

    def __init__(self, reactor: Any) -> None:
        """Take the reactor; nothing runs yet."""
        self._reactor = reactor
        self._pool: ThreadPool | None = None
        self._under_way = 0

    @property
    def are_busy(self) -> bool:
        """Whether so much waits for them that more had better not."""
        return self._under_way >= _MOST_WAITING + _THREADS

    def run(self, work: Callable[[], bytes]) -> Deferred[bytes]:
        """Do something in one of them."""
        if self._pool is None:
            self._pool = ThreadPool(0, _THREADS, "proxykit-content")
            self._pool.start()
            self._reactor.addSystemEventTrigger("during", "shutdown", self._pool.stop)
        self._under_way += 1
        return deferToThreadPool(self._reactor, self._pool, work).addBoth(self._done)

    def _done(self, result: Any) -> Any:
        self._under_way -= 1
        return result


_workers: WeakKeyDictionary[Any, Workers] = WeakKeyDictionary()


def workers_of(reactor: Any) -> Workers:
    """Give a reactor's workers: the same for every configuration that is loaded."""
    found = _workers.get(reactor)
    if found is None:
        found = _workers[reactor] = Workers(reactor)
    return found
