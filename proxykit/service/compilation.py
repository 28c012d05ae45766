"""What the parts of a compilation share: the environment, the plan, filters and pipelines."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2s
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from attrs import field, frozen

from ..caching.shared import SharedCache
from ..config.listener_tls import ListenerTls
from ..config.models import Configuration
from ..config.places import KeyPath
from ..config.problems import ConfigurationProblem, key_text
from ..engine.exchange import Exchange
from ..engine.forwarding import Direction, Disclosure, ForwardingRules
from ..engine.pipeline import EMPTY_CHAIN, Chain, Pipeline, Times
from ..errors import ConfigurationError
from ..http1.limits import HeadLimits
from ..interfaces import IBackground
from ..net.sweeper import Sweeper
from ..net.tls import server_context
from ..options import BuildContext
from ..reverse.pool import Pool
from ..upstream.names import system_names
from ..upstream.resolution import Resolver

# Part of every listener's name in Via, so that two proxies in a row are not taken for a loop.
_THIS_PROCESS = os.urandom(8)

_Built = TypeVar("_Built")


@frozen(slots=True, eq=False)
class Environment:
    """What all that runs shares, for as long as the process lives.

    :ivar reactor: the reactor.
    :ivar sweeper: the time-outs' clock.
    :ivar resolver: names to addresses.
    :ivar secret: what is signed without a secret of the operator's own is signed with this.
    :ivar kept: what a reload must not lose, by what it belongs to; who puts something there takes
        care that it is bounded.
    :ivar caches: by their definitions: one lives as long as a plan uses it, so that a reload keeps
        what it holds.
    :ivar inherited: the same for what plug-ins have, which is kept for as long as one refers to it.
    """

    reactor: Any
    sweeper: Sweeper
    resolver: Resolver
    secret: bytes = field(factory=lambda: os.urandom(32), repr=False)
    kept: dict[tuple[str, ...], Any] = field(factory=dict, repr=False)
    caches: WeakValueDictionary[str, SharedCache] = field(factory=WeakValueDictionary)
    inherited: WeakValueDictionary[tuple[str, ...], Any] = field(
        factory=WeakValueDictionary, repr=False
    )

    @classmethod
    def of(cls, reactor: Any) -> Environment:
        """Make one on a reactor."""
        return cls(reactor, Sweeper(reactor), Resolver(system_names(reactor)))


@frozen(slots=True, eq=False)
class ListenerPlan:
    """One endpoint to listen on, and what is served there.

    :ivar endpoint: a Twisted endpoint description.
    :ivar tls: the TLS context, ``None`` for none.
    :ivar socks: whether SOCKS is spoken there, and not HTTP.
    :ivar proxied: whether connections begin with a PROXY protocol header.
    :ivar intercept: how the network leads clients there that know of no proxy, ``""`` for not.
    """

    endpoint: str
    pipeline: Pipeline
    head_limits: HeadLimits
    connections: int
    connections_per_client: int
    tls: Any = None
    socks: bool = False
    proxied: bool = False
    intercept: str = ""

    def serves_like(self, other: ListenerPlan) -> bool:
        """Say whether a socket that is open for this plan can serve another one."""
        return (self.tls is None, self.socks, self.proxied, self.intercept) == (
            other.tls is None,
            other.socks,
            other.proxied,
            other.intercept,
        )


@frozen(slots=True, eq=False)
class CachePlan:
    """A cache and what uses it.

    :ivar namespaces: what stands before the URIs in its keys, see ``caching.keys``.
    :ivar listeners: the names of the listeners that use it.
    """

    shared: SharedCache
    namespaces: set[bytes] = field(factory=set)
    listeners: set[str] = field(factory=set)


@frozen(slots=True, eq=False)
class Plan:
    """A configuration, compiled.

    :ivar listeners: by their endpoints.
    :ivar filters: every filter with its kind's name.
    :ivar pools: by their names.
    :ivar caches: by their names.
    :ivar cache_uses: the name of the cache of a listener's route; of a listener and ``""``, that
        of all its routes.
    :ivar retire: called when another plan has taken this one's place.
    """

    listeners: dict[str, ListenerPlan] = field(factory=dict)
    filters: list[tuple[str, Any]] = field(factory=list)
    pools: dict[str, Pool] = field(factory=dict)
    caches: dict[str, CachePlan] = field(factory=dict)
    cache_uses: dict[tuple[str, str], str] = field(factory=dict)
    retiring: list[Callable[[], None]] = field(factory=list)

    def start(self) -> None:
        """Begin what runs by itself: checks of servers, looking for them, what filters do."""
        for pool in self.pools.values():
            pool.start()
        for _, each in self.filters:
            if IBackground.providedBy(each):
                each.start()

    def inherit(self, before: Plan) -> None:
        """Take over what the plan before this one has learnt about servers; call it first."""
        for name, pool in self.pools.items():
            if name in before.pools:
                pool.inherit(before.pools[name])

    def retire(self) -> None:
        """Let go of idle connections; exchanges under way are finished."""
        for _, each in self.filters:
            if IBackground.providedBy(each):
                each.stop()
        for retire in self.retiring:
            retire()


class NotBuilt(ConfigurationError):
    """What is needed could not be built itself; why was said there."""


class Compilation:
    """One configuration on its way to a plan.

    :ivar plan: what is ready by now.
    :ivar problems: what could not be built by now.
    :ivar pools: by name; compiled before the routes that name them.
    :ivar caches: by name, likewise.
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
        self.problems: list[ConfigurationProblem] = []
        self._configuration = configuration
        self.pools: dict[str, Pool] = self.plan.pools
        self.caches: dict[str, CachePlan] = self.plan.caches
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
            pool=self.pool,
            inherit=self._inherit,
            share=self._share,
        )
        self._inheriting: Counter[tuple[str, ...]] = Counter()

    @contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """Note what cannot be built of a key, and go on: all that is wrong is said at once."""
        try:
            yield
        except NotBuilt:
            pass
        except ConfigurationError as error:
            message = str(error).removeprefix(f"{key_text(path)}: ")
            self.problems.append(self._configuration.origin.problem(path, message))

    def pool(self, name: str) -> Pool:
        """Give a pool.

        :raises ConfigurationError: when there is none, or it could not be built.
        """
        return self._built(name, self.pools, self._configuration.pool, "pool")

    def cache(self, name: str) -> CachePlan:
        """Give a cache; see ``pool``."""
        return self._built(name, self.caches, self._configuration.cache, "cache")

    @staticmethod
    def _built(
        name: str, built: Mapping[str, _Built], known: Mapping[str, Any], kind: str
    ) -> _Built:
        if name in built:
            return built[name]
        error = NotBuilt if name in known else ConfigurationError
        raise error(f"there is no {kind} {name!r}")

    def _inherit(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
        """See ``BuildContext.inherit``."""
        self._inheriting[key] += 1
        return self._share((*key, str(self._inheriting[key])), make)

    def _share(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
        """See ``BuildContext.share``."""
        inherited = self.environment.inherited
        found = inherited.get(key)
        if found is None:
            found = inherited[key] = make()
        return found

    def chain(self, entries: Iterable[Any], path: KeyPath) -> Chain:
        """Build filters and compile them.

        :param entries: ``config.filter_entry.FilterEntry`` that were resolved.
        :param path: the key of what has them.
        """
        filters: list[Any] = []
        for index, entry in enumerate(entries):
            with self.at(*path, "filters", index):
                filters.append(entry.factory.build(entry.options, self.context))
                self.plan.filters.append((entry.use, filters[-1]))
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
            _rules(direction, name, trusted, chain.disclosure),
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
        socks: bool = False,
        proxied: bool = False,
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
                socks,
                proxied,
                intercept,
            )

    def listen_with_tls(self, model: ListenerTls, pipeline: Pipeline, *, proxied: bool) -> None:
        """Plan to serve endpoints with TLS.

        :raises ConfigurationError: when its certificate cannot be used.
        """
        pair = model.certificates[0]
        directory = self.context.directory
        tls = server_context(directory / pair.certificate, directory / pair.key)
        self.listen(model.listen, pipeline, tls, proxied=proxied)


def _rules(
    direction: Direction, name: str, trusted: Iterable[Any], disclosure: Disclosure
) -> ForwardingRules:
    digest = blake2s(name.encode("utf-8"), key=_THIS_PROCESS, digest_size=4).hexdigest()
    pseudonym = f"proxykit-{digest}".encode("ascii")
    return ForwardingRules(direction, pseudonym, tuple(trusted), disclosure)
