"""The one thread of a process that writes to a store on disk.

Everything that changes what is stored goes through one queue, in order. What has gathered while
one transaction was written goes into the next, so a busy proxy writes few large ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Any

import lmdb
from attrs import define, field
from twisted.logger import Logger
from twisted.python.failure import Failure

from .burial import bury_the_dead, give_back
from .changes import Change, Purge, Put, Reserve
from .complaint import Complaint
from .files import WrittenFile
from .index import Broken, Index
from .layout import Layout
from .transaction import Limits, Transaction, candidates

_log = Logger()

_GATHER_SECONDS = 0.02
_MOST_AT_ONCE = 512
_PURGED_AT_ONCE = 500
_BURY_SECONDS = 30.0
_LEAST_FREE = 4 * 1024 * 1024  # what the index may need to forget things, in bytes
_PASSING = (OSError, lmdb.DiskError, lmdb.MapFullError, lmdb.ReadersFullError, lmdb.LockError)


@define(slots=True, eq=False)
class Order:
    """Something for the clerk to do.

    :ivar change: a change of the index, ``Append`` or ``Discard``.
    :ivar done: called in the reactor's thread with its result, ``None`` where it failed.
    """

    change: Any
    done: Callable[[Any], None] | None = None


@define(slots=True, eq=False)
class Append:
    """Write pieces to a file."""

    written: WrittenFile
    content: list[bytes] = field(factory=list)


@define(slots=True, eq=False)
class Discard:
    """Remove a file of which there will be no entry."""

    written: WrittenFile


@define(slots=True, eq=False)
class Stop:
    """Write what is in the queue, and end."""


class Clerk:
    """See above.

    :ivar index: the index, ``None`` until it is open and where it cannot be.
    :ivar layout: the directory, likewise.
    :ivar is_full: whether the file system has less room left than it should.
    """

    def __init__(
        self,
        reactor: Any,
        path: Path,
        limits: Limits,
        min_free: int,
        predecessor: Thread | None = None,
    ) -> None:
        """Make one; ``start`` has it open the directory.

        :param min_free: what is left free of the file system, in bytes.
        :param predecessor: the thread of another one that is about to close the same directory.
        """
        self.index: Index | None = None
        self.layout: Layout | None = None
        self.is_full = False
        self.limits = limits
        self.min_free = min_free
        self._reactor = reactor
        self._path = path
        self._predecessor = predecessor
        self._closing = Event()
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._removed: list[int] = []
        self._buried = 0.0
        self._complaint = Complaint(
            f"the cache in {path} cannot be written, and something is not stored"
        )
        self.thread = Thread(target=self._run, name="proxykit-cache-disk", daemon=True)

    def start(self, opened: Callable[[int | None], None]) -> None:
        """Open the directory, then work.

        :param opened: called in the reactor's thread with the first number of a range that is
            reserved, ``None`` when the directory cannot be used.
        """
        self._opened = opened
        self.thread.start()

    def close(self) -> None:
        """Close the directory, once what was given before is done; nobody reads it any more."""
        self._closing.set()
        self.thread.join()

    def give(self, change: Any, done: Callable[[Any], None] | None = None) -> None:
        """Put something into the queue."""
        self._orders.put(Order(change, done))

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        if self._predecessor is not None:
            self._predecessor.join()
        first: int | None = None
        try:
            self._open()
            first = self._apply([Reserve()])[0]
        except (Broken, OSError, lmdb.Error) as error:
            _log.error(
                "the cache in {path} cannot be used, and nothing is cached there: {error}",
                path=str(self._path),
                error=str(error),
            )
        self._reactor.callFromThread(self._opened, first)
        if first is not None:
            self._bury()
        while first is not None:
            try:
                if not self._work():
                    break
            except Exception:
                _log.failure("the cache on disk failed", Failure())
        self._closing.wait()
        if self.index is not None and self.layout is not None:
            self.index.close()
            self.layout.close()

    def _open(self) -> None:
        started = monotonic()
        layout = Layout(self._path)
        try:
            index = Index(layout.index)
            if index.is_new and layout.has_bodies():
                index.close()
                raise Broken("the index is lost")
        except Broken as error:
            _log.warn("{path}: {error}; it begins empty", path=str(self._path), error=str(error))
            if not layout.start_anew():
                layout.close()
                raise
            index = Index(layout.index)
        self.layout, self.index = layout, index
        # It may be a million files, and nothing waits for it.
        Thread(target=layout.remove_discarded, name="proxykit-cache-discard", daemon=True).start()
        _log.info(
            "the cache in {path} is open after {seconds} s: {size} bytes of index",
            path=str(self._path),
            seconds=f"{monotonic() - started:.3f}",
            size=index.file_bytes(),
        )

    def _work(self) -> bool:
        """Do what is in the queue; give whether to go on."""
        try:
            first = self._orders.get(timeout=_BURY_SECONDS / 3)
        except Empty:
            self._bury()
            return True
        batch: list[Order] = []
        results: list[tuple[Order, Any]] = []
        until = monotonic() + _GATHER_SECONDS
        order: Order | None = first
        stopping = False
        while order is not None:
            change = order.change
            if isinstance(change, Stop):
                stopping = True
                results.append((order, True))
                break
            if isinstance(change, Append):
                results.append((order, self._append(change)))
                self._report(results)
            elif isinstance(change, Discard):
                results.append((order, self._discard(change)))
            elif isinstance(change, Purge) and change.by != "key":
                # What was put before it must be there for it; what comes behind is not its.
                self._commit(batch, results)
                results.append((order, self._purge(change)))
                self._report(results)
            else:
                batch.append(order)
            order = self._next(until, len(batch))
        self._commit(batch, results)
        self._report(results)
        self._bury()
        return not stopping

    def _next(self, until: float, gathered: int) -> Order | None:
        if gathered >= _MOST_AT_ONCE:
            return None
        try:
            left = until - monotonic()
            return self._orders.get(timeout=left) if left > 0 else self._orders.get_nowait()
        except Empty:
            return None

    def _report(self, results: list[tuple[Order, Any]]) -> None:
        """Tell the reactor's thread what was done."""
        done = [(order.done, result) for order, result in results if order.done is not None]
        results.clear()
        if done:
            self._reactor.callFromThread(_tell, done)

    # --- what it does -------------------------------------------------------------------------

    def _append(self, append: Append) -> bool:
        assert self.layout is not None
        try:
            append.written.append(self.layout, append.content)
        except OSError as error:
            self._complain(error)
            return False
        return True

    def _discard(self, discard: Discard) -> bool:
        assert self.layout is not None
        if discard.written.file is not None:
            self.layout.unlink(discard.written.number)
        return True

    def _commit(self, batch: list[Order], results: list[tuple[Order, Any]]) -> None:
        """Apply changes in one transaction; when that fails, each in one of its own."""
        if not batch:
            return
        try:
            applied = self._apply([order.change for order in batch])
        except Exception as error:
            # Whatever it is: everybody who waits is answered.
            self._complain(error)
            applied = [self._apply_alone(order.change) for order in batch]
        results += zip(batch, applied, strict=True)
        batch.clear()
        self._make_room()

    def _apply_alone(self, change: Change) -> Any:
        try:
            return self._apply([change])[0]
        except Exception as error:
            self._complain(error)
            if isinstance(change, Put):
                self._discard(Discard(change.written))
            return None

    def _apply(self, changes: list[Change]) -> list[Any]:
        applied: list[Any] = self._write(lambda work: [work.apply(change) for change in changes])
        return applied

    def _purge(self, purge: Purge) -> int:
        """Purge much, in small transactions: other processes want to write, too."""
        assert self.index is not None
        count = 0
        try:
            # From here on nobody puts what was asked for before: whatever was put is found.
            self._write(partial(Transaction.note, purge=purge))
            with self.index.environment.begin() as reading:
                numbers = candidates(self.index, reading, purge)
            for start in range(0, len(numbers), _PURGED_AT_ONCE):
                some = numbers[start : start + _PURGED_AT_ONCE]
                count += self._write(partial(Transaction.purge, purge=purge, numbers=some))
        except Exception as error:
            self._complain(error)
        return count

    def _make_room(self) -> None:
        """Forget what is to leave first, while there is too much."""
        assert self.index is not None
        assert self.layout is not None
        for _ in range(2):
            try:
                lacking = self._lacking()
                while self._write(partial(Transaction.evict, reserve=lacking)):
                    lacking = self._lacking()
                self._note_full(self._lacking())
            except Exception as error:
                self.is_full = True
                self._complain(error)
            else:
                return
            # Even to forget something the index needs a little room.
            if not give_back(self.index, self.layout, self._lacking()):
                return

    def _write(self, work: Callable[[Transaction], Any]) -> Any:
        """Do something in a transaction, then remove the files that it doomed.

        :raises lmdb.Error: when it was not written.
        :raises OSError: likewise.
        """
        assert self.index is not None
        assert self.layout is not None
        with self.index.environment.begin(write=True) as transaction:
            writing = Transaction(self.index, self.layout, self.limits, transaction)
            writing.begin()
            removed, self._removed = self._removed, []
            writing.forget_removed(removed)
            result = work(writing)
            writing.finish()
        for number in writing.doomed:
            self.layout.unlink(number)
        self._removed = writing.doomed
        return result

    def _note_full(self, lacking: int) -> None:
        """Say when the file system has too little room left, and when it has enough again."""
        if lacking and not self.is_full:
            _log.warn(
                "the cache in {path} stores nothing: the file system lacks {lacking} bytes of"
                " what is to be left free",
                path=str(self._path),
                lacking=lacking,
            )
        elif self.is_full and not lacking:
            _log.info("the cache in {path} stores again", path=str(self._path))
        self.is_full = lacking > 0

    def _lacking(self) -> int:
        """Give how much of the file system must be freed for others, in bytes."""
        found = os.statvfs(self._path)
        return max(0, max(self.min_free, _LEAST_FREE) - found.f_bavail * found.f_frsize)

    def _bury(self) -> None:
        """Look now and then for what killed processes left behind."""
        if monotonic() - self._buried < _BURY_SECONDS and self._buried:
            return
        assert self.index is not None
        assert self.layout is not None
        self._buried = monotonic()
        try:
            count = bury_the_dead(self.index, self.layout)
            self._make_room()
        except Exception as error:
            self._complain(error)
        else:
            if count:
                _log.info("the cache cleared up after a process that was killed")

    def _complain(self, error: Exception) -> None:
        """Say what is wrong with the disk, once in a while."""
        # What the system says of a disk comes as a plain lmdb.Error.
        if type(error) is not lmdb.Error and not isinstance(error, _PASSING):
            # It is not the disk: what is in the index makes no sense.
            _log.failure("the cache's index is damaged", Failure(error))
            assert self.layout is not None
            self.layout.mark_broken()
        self._complaint.say(error)


def _tell(done: list[tuple[Callable[[Any], None], Any]]) -> None:
    for call, result in done:
        try:
            call(result)
        except Exception:
            _log.failure("the cache on disk failed", Failure())
