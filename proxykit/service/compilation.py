"""What the parts of a compilation share: the environment, the plan, filters and pipelines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from hashlib import blake2s
from pathlib import Path
from typing import Any

from attrs import field, frozen

from ..config.models import Configuration
from ..engine.exchange import Exchange
from ..engine.forwarding import Direction, ForwardingRules
from ..engine.pipeline import EMPTY_CHAIN, Chain, Pipeline, Times
from ..errors import ConfigurationError
from ..http1.limits import HeadLimits
from ..net.sweeper import Sweeper
from ..options import BuildContext
from ..reverse.pool import Pool
from ..upstream.resolution import Resolver

# Part of every listener's name in Via, so that two proxies in a row are not taken for a loop.
_THIS_PROCESS = os.urandom(8)


@frozen(slots=True, eq=False)
class Environment:
    """What all that runs shares, for as long as the process lives.

    :ivar reactor: the reactor.
    :ivar sweeper: the time-outs' clock.
    :ivar resolver: names to addresses.
    :ivar secret: what is signed without a secret of the operator's own is signed with this.
    :ivar kept: what a reload must not lose, by what it belongs to; who puts something there takes
        care that it is bounded.
    """

    reactor: Any
    sweeper: Sweeper
    resolver: Resolver
    secret: bytes = field(factory=lambda: os.urandom(32), repr=False)
    kept: dict[tuple[str, ...], Any] = field(factory=dict, repr=False)

    @classmethod
    def of(cls, reactor: Any) -> Environment:
        """Make one on a reactor."""
        return cls(reactor, Sweeper(reactor), Resolver(reactor.nameResolver))


@frozen(slots=True, eq=False)
class ListenerPlan:
    """One endpoint to listen on, and what is served there.

    :ivar endpoint: a Twisted endpoint description.
    :ivar tls: the TLS context, ``None`` for none.
    :ivar intercept: how the network leads clients there that know of no proxy, ``""`` for not.
    """

    endpoint: str
    pipeline: Pipeline
    head_limits: HeadLimits
    connections: int
    connections_per_client: int
    tls: Any = None
    intercept: str = ""


@frozen(slots=True, eq=False)
class Plan:
    """A configuration, compiled.

    :ivar listeners: by their endpoints.
    :ivar filters: every filter with its kind's name.
    :ivar retire: called when another plan has taken this one's place.
    """

    listeners: dict[str, ListenerPlan] = field(factory=dict)
    filters: list[tuple[str, Any]] = field(factory=list)
    retiring: list[Callable[[], None]] = field(factory=list)

    def retire(self) -> None:
        """Let go of idle connections; exchanges under way are finished."""
        for retire in self.retiring:
            retire()


class Compilation:
    """One configuration on its way to a plan.

    :ivar plan: what is ready by now.
    :ivar pools: by name; compiled before the routes that name them.
    :ivar context: what plug-ins are given.
    :ivar head_limits: the limits on every head.
    """

    def __init__(
        self,
        configuration: Configuration,
        environment: Environment,
        observers: tuple[Callable[[Any], None], ...],
    ) -> None:
        """Begin with an empty plan."""
        self.environment = environment
        self.plan = Plan()
        self.pools: dict[str, Pool] = {}
        self._limits = limits = configuration.limits
        self._observers = observers
        self.head_limits = HeadLimits(limits.head_size, limits.target_size, limits.headers)
        self._times = Times(
            head=limits.head_timeout,
            idle=limits.idle_timeout,
            body=limits.body_timeout,
            tunnel=limits.tunnel_timeout,
        )
        self.context = BuildContext(
            directory=Path(configuration.directory),
            reactor=environment.reactor,
            resolve=environment.resolver.resolve,
            pool=self._pool,
        )

    def _pool(self, name: str) -> Pool:
        pool = self.pools.get(name)
        if pool is None:
            raise ConfigurationError(f"there is no pool {name!r}")
        return pool

    def chain(self, entries: Iterable[Any]) -> Chain:
        """Build filters and compile them.

        :param entries: ``config.filter_entry.FilterEntry`` that were resolved.
        """
        entries = list(entries)
        filters = [entry.factory.build(entry.options, self.context) for entry in entries]
        self.plan.filters.extend(zip((entry.use for entry in entries), filters, strict=True))
        return Chain.of(filters) if filters else EMPTY_CHAIN

    def pipeline(
        self,
        name: str,
        direction: Direction,
        trusted: Iterable[Any],
        choose: Callable[[Exchange], Any],
        chain: Chain,
        response_buffer: int,
    ) -> Pipeline:
        """Make a listener's policy.

        :param name: the listener's.
        :param trusted: networks whose forwarding fields are believed.
        :param choose: gives each exchange its route.
        :param chain: the listener's filters.
        :param response_buffer: how many bytes are held for a slow client.
        """
        return Pipeline(
            name,
            choose,
            _rules(direction, name, trusted),
            self.environment.resolver,
            chain,
            self._times,
            self._limits.body_size,
            self._limits.requests_per_connection,
            self._observers,
            response_buffer,
        )

    def listen(
        self,
        endpoints: Iterable[str],
        pipeline: Pipeline,
        tls: Any = None,
        *,
        intercept: str = "",
    ) -> None:
        """Plan to serve endpoints; see ``ListenerPlan``."""
        for endpoint in endpoints:
            self.plan.listeners[endpoint] = ListenerPlan(
                endpoint,
                pipeline,
                self.head_limits,
                self._limits.connections,
                self._limits.connections_per_client,
                tls,
                intercept,
            )


def _rules(direction: Direction, name: str, trusted: Iterable[Any]) -> ForwardingRules:
    digest = blake2s(name.encode("utf-8"), key=_THIS_PROCESS, digest_size=4).hexdigest()
    return ForwardingRules(direction, f"proxykit-{digest}".encode("ascii"), tuple(trusted))
