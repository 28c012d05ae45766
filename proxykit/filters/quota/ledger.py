"""Who has used how much of the day and the month: in memory, and every two seconds in a file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from .periods import Span, span_of
from .store import Change, Key, Store, Used

_log = Logger()

WRITE_SECONDS = 2.0
"""How often what was used is written: what a process that is killed may forget."""

_MOST_ACCOUNTS = 100_000


class Account:
    """What one key has used in one day or month.

    :ivar key: see ``store.Key``.
    :ivar received: bytes from the client.
    :ivar sent: bytes to the client.
    :ivar minutes: minutes in which something was under way.
    :ivar exchanges: those that are under way and counted.
    :ivar under_way: who watches them, with what is called to look whether they may go on.
    """

    __slots__ = (
        "_minute",
        "_new_minutes",
        "_new_received",
        "_new_sent",
        "exchanges",
        "key",
        "minutes",
        "received",
        "sent",
        "under_way",
    )

    def __init__(self, key: Key, used: Used) -> None:
        """Take over what was used before."""
        self.exchanges: set[object] = set()
        self.under_way: dict[object, Callable[[], None]] = {}
        self.begin_again(key, used)

    def begin_again(self, key: Key, used: Used) -> None:
        """Count for another day or month; what is under way stays so."""
        self.key = key
        self.received, self.sent = used.received, used.sent
        self.minutes, self._minute = used.minutes, used.minute
        self._new_received = self._new_sent = 0
        self._new_minutes: list[int] = []

    @property
    def usage(self) -> tuple[int, int]:
        """A measure of how much was used."""
        return self.received + self.sent, self.minutes

    def count(self, received: int, sent: int) -> None:
        """Count bytes."""
        self.received += received
        self.sent += sent
        self._new_received += received
        self._new_sent += sent

    def count_minute(self, minute: int) -> None:
        """Count a minute in which something is under way, if it was not counted yet."""
        if minute > self._minute:
            self._minute = minute
            self.minutes += 1
            self._new_minutes.append(minute)

    def has_counted(self, minute: int) -> bool:
        """Say whether a minute is counted: then it may be used to its end."""
        return minute <= self._minute

    def take_change(self) -> Change | None:
        """Give what is to be written, and begin a new one; ``None`` when there is nothing."""
        if not (self._new_received or self._new_sent or self._new_minutes):
            return None
        change = Change(self.key, self._new_received, self._new_sent, tuple(self._new_minutes))
        self._new_received = self._new_sent = 0
        self._new_minutes = []
        return change

    def learn(self, used: Used) -> None:
        """Take over what is written, which other processes may have added to."""
        self.received = used.received + self._new_received
        self.sent = used.sent + self._new_sent
        self.minutes = used.minutes + len(self._new_minutes)
        self._minute = max(self._minute, used.minute)


class Ledger:
    """All accounts of one file.

    It works from ``start`` to ``stop``, of which there may be several at a time: filters share it.
    Without its file it goes on in memory, says so in the log, and tries again.
    """

    def __init__(
        self,
        store: Store,
        reactor: Any,
        now: Callable[[], float] = time.time,
        most: int = _MOST_ACCOUNTS,
    ) -> None:
        """Make one that knows of nothing yet.

        :param now: the wall clock, in seconds since 1970.
        :param most: accounts that are remembered, besides those with something under way.
        """
        self._store = store
        self._reactor = reactor
        self._now = now
        self._most = most
        self._accounts: dict[Key, Account] = {}
        self._spans: dict[str, Span] = {}
        # What the file could not be told yet, of accounts that may be forgotten by now.
        self._unwritten: list[Change] = []
        self._users = 0
        self._call: IDelayedCall | None = None
        self._writing = False
        self._loaded = False
        self._complained = False

    def __repr__(self) -> str:
        return f"<Ledger {self._store.path} {len(self._accounts)} accounts>"

    # --- its life -----------------------------------------------------------------------------

    def start(self) -> None:
        """Read the file, and begin to write."""
        self._users += 1
        if self._users > 1:
            return
        try:
            self._take_over(self._store.load(self._span_names(), self._most))
        except (OSError, sqlite3.Error) as error:
            self._complain(error)
        self._call = self._reactor.callLater(WRITE_SECONDS, self._beat)

    def stop(self) -> None:
        """Write what is to be written; what is under way is still counted if another starts."""
        self._users -= 1
        if self._users:
            return
        if self._call is not None:
            self._call.cancel()
            self._call = None
        changes = self._collect()
        try:
            if changes:
                self._store.add(changes, self._span_names())
            self._store.close()
        except (OSError, sqlite3.Error) as error:
            self._unwritten = changes
            self._complain(error)
        self._loaded = False

    # --- accounts -----------------------------------------------------------------------------

    def account(self, kind: str, name: str, period: str) -> Account:
        """Give an account.

        :param kind: by what is counted, ``"client"`` for instance.
        :param name: the key.
        :param period: ``"day"`` or ``"month"``.
        """
        key = (self.span(period).name, kind, name)
        account = self._accounts.get(key)
        if account is None:
            if len(self._accounts) >= self._most:
                self._make_room()
            account = self._accounts[key] = Account(key, Used())
        return account

    def span(self, period: str) -> Span:
        """Give the day or month that it is."""
        span = self._spans.get(period)
        now = self._now()
        if span is None or now >= span.ends:
            span = self._turn(period, span, now)
        return span

    def minute(self) -> int:
        """Give the minute that it is, counted from 1970."""
        return int(self._now() // 60)

    def seconds_left(self, period: str) -> float:
        """Give how long the day or month still lasts."""
        return self.span(period).ends - self._now()

    def _turn(self, period: str, old: Span | None, now: float) -> Span:
        """Begin a new day or month: nothing of it is used."""
        span = self._spans[period] = span_of(period, now)
        if old is None or old.name == span.name:
            return span
        accounts: dict[Key, Account] = {}
        for key, account in self._accounts.items():
            if key[0] == old.name:
                if not account.under_way:
                    continue
                key = (span.name, *key[1:])
                account.begin_again(key, Used())
            accounts[key] = account
        self._accounts = accounts
        return span

    def _make_room(self) -> None:
        """Forget those who used least: whoever makes up keys pushes out what it made up."""
        idle = [account for account in self._accounts.values() if not account.under_way]
        idle.sort(key=lambda account: account.usage)
        for account in idle[: max(1, self._most // 4)]:
            del self._accounts[account.key]
            if (change := account.take_change()) is not None:
                self._unwritten.append(change)
        # The file has room for them, but memory has not if it cannot be written.
        del self._unwritten[: -self._most]

    # --- every two seconds --------------------------------------------------------------------

    def _beat(self) -> None:
        self._call = self._reactor.callLater(WRITE_SECONDS, self._beat)
        spans = self._span_names()
        minute = self.minute()
        for account in list(self._accounts.values()):
            if account.under_way:
                for look in list(account.under_way.values()):
                    look()
                if account.under_way:
                    account.count_minute(minute)
        if self._writing:
            return
        changes = self._collect()
        if not changes and self._loaded:
            return
        self._writing = True
        deferToThreadPool(
            self._reactor, self._reactor.getThreadPool(), self._write, changes, spans, self._loaded
        ).addCallbacks(self._written, self._not_written, errbackArgs=(changes,))

    def _write(self, changes: list[Change], spans: list[str], loaded: bool) -> dict[Key, Used]:
        """In a thread: add to the file, and read all of it if that was not done."""
        totals = self._store.add(changes, spans)
        return totals if loaded else self._store.load(spans, self._most) | totals

    def _written(self, totals: dict[Key, Used]) -> None:
        self._writing = False
        self._take_over(totals)

    def _not_written(self, failure: Failure, changes: list[Change]) -> None:
        self._writing = False
        self._unwritten = self._added_up([*changes, *self._unwritten])
        if failure.check(OSError, sqlite3.Error):
            self._complain(failure.value)
        else:
            _log.failure("the quotas could not be written", failure)

    def _take_over(self, totals: dict[Key, Used]) -> None:
        if self._complained:
            self._complained = False
            _log.info("the quotas' file {path} is written again", path=str(self._store.path))
        current = set(self._span_names())
        unwritten = {change.key for change in self._unwritten}
        for key, used in totals.items():
            if key[0] not in current or key in unwritten:
                continue
            account = self._accounts.get(key)
            if account is not None:
                account.learn(used)
            elif len(self._accounts) < self._most and not self._loaded:
                self._accounts[key] = Account(key, used)
        self._loaded = True

    def _collect(self) -> list[Change]:
        changes, self._unwritten = self._unwritten, []
        for account in self._accounts.values():
            if (change := account.take_change()) is not None:
                changes.append(change)
        return changes

    def _added_up(self, changes: list[Change]) -> list[Change]:
        """Make one change of each key's, without the days and months that are over.

        Nobody knows for how long a file cannot be written.
        """
        spans = self._span_names()
        sums: dict[Key, Change] = {}
        for each in changes:
            if each.key[0] in spans:
                before = sums.get(each.key)
                sums[each.key] = each if before is None else before.plus(each)
        return list(sums.values())[-self._most :]

    def _span_names(self) -> list[str]:
        return [self.span("day").name, self.span("month").name]

    def _complain(self, error: BaseException | None) -> None:
        """Say it once: a full disk must not be filled with that."""
        if not self._complained:
            self._complained = True
            _log.error(
                "the quotas' file {path} cannot be used, they are counted in memory: {error}",
                path=str(self._store.path),
                error=str(error),
            )
