"""A server as a member of its pool: why it may be unusable, and who watches it."""

from __future__ import annotations

import enum

from attrs import define, frozen

from ..balancing.breaker import Breaker
from ..balancing.health import HealthWatch
from ..balancing.outliers import OutlierRecord
from ..balancing.sources import FoundServer
from ..upstream.server import Judge, Server


class Fault(enum.Flag):
    """Why a server is not used; several at a time are possible."""

    NONE = 0
    DOWN = enum.auto()  # health checks
    EJECTED = enum.auto()  # outlier detection
    OPEN = enum.auto()  # its circuit breaker
    DRAINED = enum.auto()  # an operator

    def words(self) -> str:
        """Name them, for people."""
        return ", ".join(str(each.name).lower() for each in self) or "usable"


@define(slots=True, eq=False)
class Member:
    """A server of a pool.

    :ivar found: as its source describes it.
    :ivar faults: why it is not used; ``Fault.NONE`` when it is.
    :ivar watch: its health checks, ``None`` when there are none.
    :ivar outlier: what outlier detection knows of it, ``None`` when that is off.
    :ivar breaker: its circuit breaker, ``None`` when it has none.
    """

    found: FoundServer
    server: Server
    faults: Fault = Fault.NONE
    watch: HealthWatch | None = None
    outlier: OutlierRecord | None = None
    breaker: Breaker | None = None

    def __repr__(self) -> str:
        health = f" {self.watch.state.health.value}" if self.watch is not None else ""
        breaker = f" breaker {self.breaker.state.value}" if self.breaker is not None else ""
        return f"<{self.server!r}{health}{breaker} {self.faults.words()}>"

    def judge(self) -> Judge | None:
        """Give who is to be told of the server's exchanges, ``None`` when nobody."""
        judges = [each for each in (self.outlier, self.breaker) if each is not None]
        if self.watch is None and len(judges) < 2:
            return judges[0] if judges else None
        return _Judges(tuple(judges), self.watch)


@frozen(slots=True, eq=False)
class _Judges:
    """Several who are told."""

    judges: tuple[Judge, ...]
    watch: HealthWatch | None

    def answered(self, seconds: float) -> None:
        """See ``upstream.server.Judge``."""
        for judge in self.judges:
            judge.answered(seconds)

    def failed(self) -> None:
        """See ``upstream.server.Judge``."""
        for judge in self.judges:
            judge.failed()
        if self.watch is not None:
            self.watch.hurry()
