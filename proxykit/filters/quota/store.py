"""Keeps what was used in a file. Everything here may block: it is called in a thread, or at the
start and the end of a process.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import frozen

_SCHEMA = """
CREATE TABLE IF NOT EXISTS usage (
    span TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    received INTEGER NOT NULL, sent INTEGER NOT NULL,
    minutes INTEGER NOT NULL, minute INTEGER NOT NULL,
    PRIMARY KEY (span, kind, name)
) WITHOUT ROWID
"""
_ADD = """
INSERT INTO usage VALUES (?, ?, ?, ?, ?, 0, -1) ON CONFLICT DO UPDATE
SET received = received + excluded.received, sent = sent + excluded.sent
"""
# A minute counts once, whichever process saw it first.
_ADD_MINUTE = """
UPDATE usage SET minutes = minutes + 1, minute = ?
WHERE span = ? AND kind = ? AND name = ? AND minute < ?
"""
_TOTAL = """
SELECT received, sent, minutes, minute FROM usage WHERE span = ? AND kind = ? AND name = ?
"""
_LOCKED_SECONDS = 2.0

Key = tuple[str, str, str]
"""The span's name, the kind of key, and the key: whose usage of which day or month."""


@frozen(slots=True)
class Used:
    """What was used.

    :ivar received: bytes from the client.
    :ivar sent: bytes to the client.
    :ivar minutes: minutes in which something was under way.
    :ivar minute: the last of them, counted from 1970.
    """

    received: int = 0
    sent: int = 0
    minutes: int = 0
    minute: int = -1


@frozen(slots=True)
class Change:
    """What was used since the last time, of one key.

    :ivar minutes: those that were counted, in order.
    """

    key: Key
    received: int
    sent: int
    minutes: tuple[int, ...]

    def plus(self, later: Change) -> Change:
        """Give this change and a later one of the same key as one."""
        return Change(
            self.key,
            self.received + later.received,
            self.sent + later.sent,
            self.minutes + later.minutes,
        )


class Store:
    """A SQLite file. Several processes may use one: each adds what it saw and learns the sum."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is opened when it is first needed."""
        self.path = path
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._spans: Sequence[str] = ()  # what else there was is deleted

    def load(self, spans: Sequence[str], most: int) -> dict[Key, Used]:
        """Give what was used in some days and months, and forget all others.

        :param most: keys at most; those that used least are left out.
        :raises OSError, sqlite3.Error: when the file cannot be used.
        """
        with self._lock:
            database = self._opened()
            self._forget_others(database, spans)
            rows = database.execute(
                "SELECT span, kind, name, received, sent, minutes, minute FROM usage "
                "ORDER BY received + sent DESC, minutes DESC LIMIT ?",
                (most,),
            )
            return {(span, kind, name): Used(*rest) for span, kind, name, *rest in rows}

    def add(self, changes: Iterable[Change], spans: Sequence[str]) -> dict[Key, Used]:
        """Add what was used, all of it or nothing.

        :param spans: those that are still wanted; changes of others are not kept.
        :returns: the sums of all processes.
        :raises OSError, sqlite3.Error: when the file cannot be used.
        """
        totals: dict[Key, Used] = {}
        with self._lock:
            database = self._opened()
            self._forget_others(database, spans)
            with database:
                database.execute("BEGIN IMMEDIATE")
                for change in changes:
                    key = change.key
                    if key[0] not in spans:
                        continue
                    database.execute(_ADD, (*key, change.received, change.sent))
                    for minute in change.minutes:
                        database.execute(_ADD_MINUTE, (minute, *key, minute))
                    totals[key] = Used(*database.execute(_TOTAL, key).fetchone())
        return totals

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            database, self._database = self._database, None
            if database is not None:
                database.close()

    def _forget_others(self, database: sqlite3.Connection, spans: Sequence[str]) -> None:
        if spans != self._spans:
            marks = ",".join("?" * len(spans))
            database.execute(f"DELETE FROM usage WHERE span NOT IN ({marks})", spans)  # noqa: S608
            self._spans = spans

    def _opened(self) -> sqlite3.Connection:
        database = self._database
        if database is None:
            # Who used what is nobody else's business.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            database = sqlite3.connect(
                self.path, _LOCKED_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                # What is committed outlives the process however that ends; of what the machine's
                # own end may cost, a second or two are no loss.
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                database.execute(_SCHEMA)
            except BaseException:
                database.close()
                raise
            self._database = database
        return database
