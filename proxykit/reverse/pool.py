"""A pool: servers that do the same, and a balancer that picks one of those that are usable.

What makes a server unusable is decided elsewhere, by health checks, outlier detection, circuit
breakers and operators. They all end in ``Member.faults``, and only when these change does the pool
work out anew which servers are usable: choosing one for an exchange looks at a tuple that is ready.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from math import isfinite
from typing import Any

from attrs import frozen
from twisted.logger import Logger

from ..balancing.breaker import Breaker, BreakerSettings, BreakerState
from ..balancing.health import Health, HealthSettings, HealthWatch
from ..balancing.outliers import Outliers, OutlierSettings
from ..balancing.slow_start import SlowStart
from ..balancing.sources import FoundServer, ListSource
from ..balancing.sticky import Sticky
from ..engine.exchange import Exchange
from ..errors import Unavailable
from ..upstream.retries import RetryPolicy
from ..upstream.server import Server
from .member import Fault, Member

_log = Logger()


@frozen(slots=True, eq=False)
class PoolSettings:
    """How a pool finds out which of its servers are usable; ``None`` turns a means off.

    :ivar health: active checks.
    :ivar make_check: gives an ``IHealthCheck`` for a server.
    :ivar outliers: outlier detection.
    :ivar breaker: a circuit breaker for each server.
    :ivar try_all: whether all servers count as usable when none is.
    """

    health: HealthSettings | None = None
    make_check: Callable[[FoundServer], Any] | None = None
    outliers: OutlierSettings | None = None
    breaker: BreakerSettings | None = None
    try_all: bool = False


class Pool:
    """Servers behind one name.

    :ivar name: as the configuration calls it.
    :ivar policy: what is done about a server that fails an exchange.
    :ivar requests: how many exchanges were given to it.
    :ivar sticky: what binds clients to servers, ``None`` for nothing.
    """

    sticky: Sticky | None = None

    def __init__(
        self,
        name: str,
        make_server: Callable[[FoundServer], Server],
        balancer: Any,
        *,
        source: Any = None,
        settings: PoolSettings | None = None,
        clock: Any = None,
        slow_start: SlowStart | None = None,
    ) -> None:
        """Make a pool that does not run yet: it has no server before ``start``.

        :param make_server: makes what connects to a server that was found.
        :param balancer: an ``IBalancer``.
        :param source: an ``IServerSource``. The servers of a ``ListSource`` are there at once.
        :param clock: an ``IReactorTime``; needed by whatever ``settings`` turns on.
        :param slow_start: for servers that become usable later; ``None`` for none.
        """
        self.name = name
        self.policy = RetryPolicy()
        self.requests = 0
        self._make_server = make_server
        self._settings = settings or PoolSettings()
        self._clock = clock
        self._source = source if source is not None else ListSource(())
        self._members: dict[str, Member] = {}
        self._usable: tuple[Server, ...] = ()  # a client may be bound to any of these
        self._serving: tuple[Server, ...] = ()  # of these the balancer picks
        self._weights: list[float] = []  # theirs
        self._has_healthy = False
        self._slow_start = slow_start
        if slow_start is not None:
            slow_start.watch(self.refresh)
        self._pick = balancer.pick
        self._is_running = False
        self._outliers: Outliers | None = None
        if self._settings.outliers is not None:
            self._outliers = Outliers(self._settings.outliers, clock, self._ejected)
        if isinstance(self._source, ListSource):
            self.servers_found(self._source.servers)

    def __repr__(self) -> str:
        return f"<Pool {self.name} {list(self._members.values())} {self.policy.budget}>"

    @property
    def members(self) -> Collection[Member]:
        """Every server with its state, in the order in which they were found."""
        return self._members.values()

    # --- choosing -----------------------------------------------------------------------------

    def choose(self, exchange: Exchange) -> Server:
        """Choose a server for an exchange.

        :raises Unavailable: when none is usable.
        """
        self.requests += 1
        servers = self._serving
        if not servers:
            raise Unavailable(f"the pool {self.name} has no usable server")
        server: Server = self._pick(servers, exchange)
        if server.active >= server.limit:
            # Another may have a connection to spare; else the wait is shortest where fewest wait.
            free = [server for server in servers if server.active < server.limit]
            return min(free or servers, key=_load)
        return server

    def another(self, exchange: Exchange, tried: Sequence[Server]) -> Server | None:
        """See ``engine.pipeline.Upstream``.

        The balancer is not asked: its pick may be the one that has just failed. Those are
        preferred that have not failed lately, then those with the least to do.
        """
        servers: Sequence[Server] = [each for each in self._serving if each not in tried]
        servers = servers or [each for each in self._usable if each not in tried]
        if not servers and self._settings.try_all:
            servers = self._untried(tried)
        return min(servers or self._serving, key=_for_another_attempt, default=None)

    def _untried(self, tried: Sequence[Server]) -> list[Server]:
        """Give servers that are not usable and were not tried: those, if any, that are not down."""
        members = [
            each
            for each in self._members.values()
            if not each.faults & Fault.DRAINED and each.server not in tried
        ]
        likely = [each for each in members if not each.faults & Fault.DOWN]
        return [each.server for each in likely or members]

    # --- running ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look for servers and to check them."""
        self._is_running = True
        if self._outliers is not None:
            self._outliers.start()
        for member in self._members.values():
            if member.watch is not None:
                member.watch.start()
        if not isinstance(self._source, ListSource):
            self._source.start(self.servers_found)

    def retire(self) -> None:
        """Look and check no more, close what is idle; exchanges under way are finished."""
        self._is_running = False
        self._source.stop()
        if self._slow_start is not None:
            self._slow_start.stop()
        if self._outliers is not None:
            self._outliers.stop()
        for member in self._members.values():
            self._release(member)

    def inherit(self, before: Pool) -> None:
        """Take over what a pool of the same name knew under the configuration before this one.

        A server that is in both stays up, down, left out or open as it was; one that is found by a
        source is there before the source has found it again.
        """
        if not isinstance(self._source, ListSource) and not self._members:
            if type(self._source) is type(before._source):
                self.servers_found([member.found for member in before.members])
        for url, member in self._members.items():
            old = before._members.get(url)
            if old is None:
                continue
            if member.watch is not None and old.watch is not None:
                member.watch.state.inherit(old.watch.state)
                if old.faults & Fault.DOWN:
                    member.faults |= Fault.DOWN
            if member.outlier is not None and old.outlier is not None:
                member.outlier.owner.inherit(member.outlier, old.outlier)
            if member.breaker is not None and old.breaker is not None:
                member.breaker.inherit(old.breaker)
            member.faults |= old.faults & Fault.DRAINED
            member.server.latency = old.server.latency
            member.server.latency_at = old.server.latency_at
        self.refresh()

    def servers_found(self, found: Sequence[FoundServer]) -> None:
        """Take all servers that there are now: others are added, those that went are drained."""
        wanted = {each.url: each for each in found}
        for url in [url for url in self._members if url not in wanted]:
            member = self._members.pop(url)
            self._release(member)
            self._say(member.server, "is no longer in the pool; what it has is finished")
        for url, each in wanted.items():
            known = self._members.get(url)
            if known is None:
                self._add(each)
            elif known.found != each:
                known.found = each
                known.server.weight = each.weight
                known.server.backup = each.backup
        # The order is the source's, so that hash balancers see the same ring everywhere.
        self._members = {url: self._members[url] for url in wanted}
        self.refresh()

    def _add(self, found: FoundServer) -> None:
        settings = self._settings
        server = self._make_server(found)
        member = Member(found, server)
        if self._outliers is not None:
            member.outlier = self._outliers.add(server)
        if settings.breaker is not None:
            member.breaker = Breaker(
                settings.breaker, self._clock, lambda breaker: self._breaker_moved(member, breaker)
            )
        if settings.health is not None and settings.make_check is not None:
            member.watch = HealthWatch(
                settings.health,
                settings.make_check(found).check,
                self._clock,
                lambda health, why: self._checked(member, health, why),
                lambda good: self._one_check(member, good),
            )
        server.judge = member.judge()
        self._members[found.url] = member
        if self._is_running:
            self._say(server, "is in the pool")
            if member.watch is not None:
                member.watch.start()

    def _release(self, member: Member) -> None:
        """Let a server go: it gets nothing new, finishes what it has, and is watched no more."""
        if member.watch is not None:
            member.watch.stop()
        if member.breaker is not None:
            member.breaker.stop()
        if member.outlier is not None:
            member.outlier.owner.remove(member.outlier)
        member.server.judge = member.server.trial = None
        member.server.retire()

    # --- who is usable ------------------------------------------------------------------------

    def drain(self, name: str, *, drained: bool = True) -> bool:
        """Give a server nothing new, or give it its share again.

        :param name: the server's.
        :returns: whether there is such a server.
        """
        for member in self._members.values():
            if member.server.name == name:
                self._set(member, Fault.DRAINED, drained)
                self._say(member.server, "is drained" if drained else "is used again")
                return True
        return False

    def _checked(self, member: Member, health: Health, why: str) -> None:
        self._say(member.server, f"is {health.value}: {why}")
        self._set(member, Fault.DOWN, health is Health.DOWN)
        if health is Health.UP and member.outlier is not None:
            # It was down, which is why it failed, and is not any more.
            member.outlier.owner.readmit(member.outlier, "it was down and is not any more")

    def _one_check(self, member: Member, good: bool) -> None:
        if good:
            member.server.failures = 0
        if member.outlier is not None and self._settings.health is not None:
            member.outlier.owner.checked(member.outlier, self._settings.health.rise, good=good)

    def _ejected(self, server: Server, is_ejected: bool, why: str) -> None:
        for member in self._members.values():
            if member.server is server:
                self._say(server, f"is {'an outlier' if is_ejected else 'used again'}: {why}")
                self._set(member, Fault.EJECTED, is_ejected)

    def _breaker_moved(self, member: Member, breaker: Breaker) -> None:
        half_open = breaker.state is BreakerState.HALF_OPEN
        is_trial_over = half_open and member.server.trial is not None
        member.server.trial = breaker if half_open else None
        if not is_trial_over:
            self._say(member.server, f"has its circuit breaker {breaker.state.value}")
        self._set(member, Fault.OPEN, not breaker.admits)

    def _set(self, member: Member, fault: Fault, is_set: bool) -> None:
        faults = member.faults | fault if is_set else member.faults & ~fault
        if faults == member.faults:
            return
        member.faults = faults
        self.refresh()
        is_half_open = fault is Fault.OPEN and member.server.trial is not None
        if is_set and not is_half_open and self._usable and member.server not in self._usable:
            # Who waits for a connection there has not sent anything: others may have one.
            member.server.send_away()

    def _not_drained(self) -> list[Server]:
        members = self._members.values()
        return [each.server for each in members if not each.faults & Fault.DRAINED]

    def set_weight(self, name: str, weight: float) -> None:
        """Change a server's weight; balancers see it at once.

        :param name: the server's.
        :param weight: 0 drains it: it gets no new clients, but those that are bound to it stay.
        :raises LookupError: when there is no such server.
        :raises ValueError: when that is no weight.
        """
        if not isfinite(weight) or weight < 0:
            raise ValueError(f"{weight} is not a weight")
        for member in self._members.values():
            if member.server.name == name:
                member.server.weight = weight
                self.refresh()
                return
        raise LookupError(f"the pool {self.name} has no server {name}")

    def refresh(self) -> None:
        """Work out which servers exchanges may go to, and what each weighs.

        Backups serve when no other server does. Where nothing has changed, balancers are given
        the tuple that they know.
        """
        healthy = [each.server for each in self._members.values() if not each.faults]
        # A half-open breaker may have no trial to spare for now; that is not the end.
        has_healthy = bool(healthy) or any(each.server.trial for each in self._members.values())
        if has_healthy != self._has_healthy:
            self._has_healthy = has_healthy
            if self._is_running:
                what = "usable servers again" if has_healthy else "no usable server any more"
                _log.info("the pool {pool} has {what}", pool=self.name, what=what)
        for member in self._members.values():
            if member.watch is not None:
                member.watch.press(2 * len(healthy) < len(self._members))
        usable = tuple(healthy)
        if not usable and self._settings.try_all:
            usable = tuple(self._not_drained())
        if usable != self._usable:
            self._usable = usable
        weighted = [each for each in usable if each.weight > 0]
        if self._slow_start is not None:
            self._slow_start.usable(weighted)
        serving = tuple(weighted)
        if healthy:
            serving = tuple([each for each in weighted if not each.backup]) or serving
        weights = [each.effective_weight for each in serving]
        if serving != self._serving or weights != self._weights:
            self._serving = serving
            self._weights = weights

    def _say(self, server: Server, what: str) -> None:
        if self._is_running:
            _log.info(
                "server {server} of the pool {pool} {what}",
                server=server.name,
                pool=self.name,
                what=what,
            )


class StickyPool(Pool):
    """A pool that binds clients to servers; the route's chain has what binds them."""

    def bind(self, sticky: Sticky) -> None:
        """Say what binds clients to servers; call it before the pool is used."""
        self.sticky = sticky
        self._bound = sticky.bound

    def choose(self, exchange: Exchange) -> Server:
        """Choose the server that the client is bound to, a drained one and a backup too.

        :raises Unavailable: when that is not usable and the pool has no other.
        """
        server: Server | None = self._bound(self._usable, exchange)
        if server is None:
            return super().choose(exchange)
        self.requests += 1
        return server


def _load(server: Server) -> float:
    return server.active / (server.weight or 1)


def _for_another_attempt(server: Server) -> tuple[bool, int, float]:
    return not server.weight, server.failures, _load(server)
