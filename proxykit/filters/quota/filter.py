"""The ``quota`` filter: refuses who has used up a day's or a month's share, and cuts what runs."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from twisted.plugin import IPlugin
from zope.interface import implementer

from ...engine.answers import refusal
from ...engine.exchange import Exchange
from ...engine.keys import KEYS
from ...engine.pacing import Pacing
from ...errors import ConfigurationError, ProxykitError, QuotaUsedUp
from ...interfaces import IBackground, IFilterFactory, IPacer, IRequestFilter
from ...message.response import Response
from ...options import BuildContext
from .ledger import Account, Ledger
from .options import Quota, QuotaOptions
from .store import Store


class CompiledQuota:
    """One quota, as exchanges are judged by it."""

    def __init__(self, options: Quota, ledger: Ledger) -> None:
        """Compile the options."""
        self._kind = options.key
        self._keys = KEYS[options.key]
        self._period = options.period
        self._volume = options.volume
        self._direction = options.direction
        # A minute that has begun may be used to its end.
        self._minutes = None if options.time is None else ceil(options.time / 60)
        self._ledger = ledger

    def accounts(self, exchange: Exchange) -> list[Account]:
        """Give the accounts that an exchange is on: one, or one for each group."""
        ledger = self._ledger
        return [ledger.account(self._kind, key, self._period) for key in self._keys(exchange)]

    def judge(self, account: Account) -> QuotaUsedUp | None:
        """Say whether an account has used up its quota, and what its owner is told then."""
        if self._volume is not None and self._used(account) >= self._volume:
            return self._error("volume")
        if self._minutes is not None and account.minutes >= self._minutes:
            if account.minutes > self._minutes or not account.has_counted(self._ledger.minute()):
                return self._error("time")
        return None

    def _used(self, account: Account) -> int:
        if self._direction == "both":
            return account.received + account.sent
        return account.sent if self._direction == "download" else account.received

    def _error(self, what: str) -> QuotaUsedUp:
        return QuotaUsedUp(
            f"the {what} that is allowed in a {self._period} is used up",
            self._ledger.seconds_left(self._period),
        )


class QuotaMeter:
    """Counts one exchange on its accounts; see ``engine.pacing.Meter``."""

    __slots__ = ("_counts_on", "_cut", "_exchange", "_judges", "_ledger")

    def __init__(
        self, exchange: Exchange, judges: list[tuple[CompiledQuota, Account]], ledger: Ledger
    ) -> None:
        """Begin with nothing counted."""
        self._exchange = exchange
        self._judges = judges
        self._ledger = ledger
        self._counts_on: list[Account] = []
        self._cut: Callable[[ProxykitError], None] | None = None

    def begin(self, cut: Callable[[ProxykitError], None]) -> None:
        """See ``Meter``."""
        self._cut = cut
        minute = self._ledger.minute()
        for _, account in self._judges:
            account.under_way[self] = self._look
            # Several quotas, of several filters even, may be about one account: it counts once.
            if self._exchange not in account.exchanges:
                account.exchanges.add(self._exchange)
                account.count_minute(minute)
                self._counts_on.append(account)

    def received(self, size: int) -> ProxykitError | None:
        """See ``Meter``."""
        return self._passes(size, 0)

    def sent(self, size: int) -> ProxykitError | None:
        """See ``Meter``."""
        return self._passes(0, size)

    def ended(self) -> None:
        """See ``Meter``."""
        self._cut = None
        for _, account in self._judges:
            account.under_way.pop(self, None)
        for account in self._counts_on:
            account.exchanges.discard(self._exchange)
        self._counts_on = []

    def _passes(self, received: int, sent: int) -> ProxykitError | None:
        error = self._judge()
        if error is None:
            for account in self._counts_on:
                account.count(received, sent)
        return error

    def _judge(self) -> QuotaUsedUp | None:
        for quota, account in self._judges:
            if (error := quota.judge(account)) is not None:
                return error
        return None

    def _look(self) -> None:
        """End the exchange when there is nothing left, also when nothing passes."""
        if self._cut is not None and (error := self._judge()) is not None:
            cut, self._cut = self._cut, None
            cut(error)


@implementer(IRequestFilter, IPacer, IBackground)
class QuotaFilter:
    """Answers 429 to who has used up its quota, and counts all others."""

    def __init__(self, quotas: list[Quota], ledger: Ledger) -> None:
        """Compile the quotas."""
        self._quotas = tuple(CompiledQuota(quota, ledger) for quota in quotas)
        self._ledger = ledger
        self.start = ledger.start
        self.stop = ledger.stop

    def request(self, exchange: Exchange) -> Response | None:
        """See ``IRequestFilter``."""
        for quota in self._quotas:
            for account in quota.accounts(exchange):
                if (error := quota.judge(account)) is not None:
                    return refusal(exchange, error)
        return None

    def pace(self, exchange: Exchange) -> Pacing | None:
        """See ``IPacer``."""
        judges = [
            (quota, account) for quota in self._quotas for account in quota.accounts(exchange)
        ]
        return Pacing(meter=QuotaMeter(exchange, judges, self._ledger)) if judges else None


@implementer(IPlugin, IFilterFactory)
class QuotaFactory:
    """Makes ``quota`` filters."""

    name = "quota"
    description = "limits bytes and time a day and a month by client, user, group and destination"
    options = QuotaOptions

    def build(self, options: QuotaOptions, context: BuildContext) -> QuotaFilter:
        """See ``IFilterFactory``.

        :raises ConfigurationError: when the file can be in no folder.
        """
        path = (context.directory / options.file).absolute()
        if not path.parent.is_dir():
            raise ConfigurationError(f"quota: there is no folder {path.parent} for its file")
        ledger = context.share((self.name, str(path)), lambda: Ledger(Store(path), context.reactor))
        return QuotaFilter(options.all_quotas(), ledger)
