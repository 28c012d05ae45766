"""A list's file: made a table of, and made one again whenever it changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from .compiler import compile_list, compile_list_now
from .table import Table, TableError

_log = Logger()

_LOOK_SECONDS = 1.0

Signature = tuple[int, int, int]


class WatchedList:
    """A list that is read from a file.

    Its users say ``start`` and ``stop``; between the first and the last of them the file is
    watched. While a changed file is read the old table stays; when it cannot be read too.

    :ivar name: what it is called: the file's name.
    :ivar table: the table, ``None`` until the file was read.
    :cvar required: whether nothing can be decided without it.
    """

    required: ClassVar[bool] = True

    def __init__(self, path: Path, kind: str) -> None:
        """Make one that was not read yet.

        :param kind: one of ``compiling.KINDS``.
        """
        self.path = path
        self.kind = kind
        self.name = path.name
        self.table: Table | None = None
        self._reactor: Any = None
        self._users: list[Callable[[], None]] = []
        self._waiting: list[Deferred[None]] = []
        self._tried = False
        self._read: Signature | None = None  # of the file that was read last
        self._seen: Signature | None = None  # of the file when it was looked at last
        self._compiling: Deferred[Table] | None = None
        self._timer: Any = None

    def start(self, reactor: Any, changed: Callable[[], None]) -> None:
        """Begin to use it.

        :param changed: called when there is another table; give the same to ``stop``.
        """
        self._users.append(changed)
        if len(self._users) == 1:
            self._reactor = reactor
            self.look()

    def stop(self, changed: Callable[[], None]) -> None:
        """Cease to use it."""
        self._users.remove(changed)
        if not self._users:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._compiling is not None:
                self._compiling.cancel()

    def tried(self) -> Deferred[None]:
        """Wait until it was tried to read the file for the first time, whatever came of it."""
        if self._tried:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def load_now(self) -> Table:
        """Read the file and wait for it: only where no reactor turns.

        :raises TableError: when it cannot be read.
        """
        if self.table is None:
            self.table = compile_list_now(self.kind, self.path)
            self._tried = True
        return self.table

    def look(self) -> None:
        """Look whether the file has changed, and again in a second."""
        found = self._signature()
        if found is None:
            if self._seen is not None or not self._tried:
                self._missing()
        elif self._compiling is None and found != self._read:
            # Somebody may be writing it: a file is read when it has not changed for a second.
            if found == self._seen or self.table is None:
                self._compile(found)
        self._seen = found
        self._timer = self._reactor.callLater(_LOOK_SECONDS, self.look)

    def _signature(self) -> Signature | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _missing(self) -> None:
        """The file is not there."""
        if self.table is not None:
            _log.error("the list {name} is gone; what was read of it stays", name=self.name)
        else:
            _log.error("the list {name} cannot be read", name=self.name)
            self._was_tried()

    def _compile(self, signature: Signature) -> None:
        self._compiling = compile_list(self._reactor, self.kind, self.path)

        def made(table: Table) -> None:
            self._compiling = None
            self.adopt(table, signature)

        def failed(failure: Failure) -> None:
            self._compiling = None
            if failure.check(CancelledError):
                self._let_go()
                return
            failure.trap(TableError)
            self._read = signature
            _log.error(
                "the list {name} is not read: {error}{stays}",
                name=self.name,
                error=failure.value,
                stays="" if self.table is None else "; what was read before stays",
            )
            self._was_tried()

        self._compiling.addCallbacks(made, failed)

    def adopt(self, table: Table, signature: Signature | None) -> None:
        """Use another table from now on."""
        self.table = table
        self._read = signature
        for line in report_lines(self.name, table):
            _log.info("{line}", line=line)
        for changed in list(self._users):
            changed()
        self._was_tried()

    def _was_tried(self) -> None:
        self._tried = True
        self._let_go()

    def _let_go(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)


_lists: WeakValueDictionary[tuple[Path, str], WatchedList] = WeakValueDictionary()


def watched_list(path: Path, kind: str) -> WatchedList:
    """Give the list of a file; whoever asks for the same file gets the same list.

    A configuration that is reloaded finds its lists read.
    """
    found = _lists.get((path, kind))
    if found is None:
        found = _lists[path, kind] = WatchedList(path, kind)
    return found


def report_lines(name: str, table: Table) -> list[str]:
    """Say what became of a list's lines."""
    report = table.report
    said = f"list {name}: {report['names']} names, {report['rules']} rules"
    if report["exceptions"]:
        said += f", {report['exceptions']} exceptions"
    for reason, count in sorted(report["ignored"].items()):
        said += f", {count} {reason} ignored"
    lines = [said]
    for reason, count in sorted(report["skipped"].items(), key=lambda each: -each[1])[:10]:
        example = next((e for e in report["examples"] if e["reason"].startswith(reason)), None)
        where = f"; line {example['line']}: {example['text']!r}" if example is not None else ""
        lines.append(f"list {name}: skipped {count} for this: {reason}{where}")
    return lines
