"""The service that twistd runs: listens, reloads, drains."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from time import time
from typing import Any

import sdnotify
from attrs import define
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from ..config.load import ConfigurationErrors
from ..config.models import Configuration
from ..engine.listener import Listener
from ..engine.proxied import ProxiedFactory
from ..errors import ConfigurationError
from ..net.tls import ServerTls
from ..observe.access_log import AccessLog
from ..observe.admin.control import Reloads
from .admin import AdminApi
from .build import compile_plan
from .compilation import Environment, ListenerPlan, Plan
from .listening import address_text, endpoint_of, protocol_of
from .log import make_access_log
from .log_level import set_level

_log = Logger()


@define(slots=True, eq=False)
class _Open:
    """A listener that is open."""

    plan: ListenerPlan
    listener: Listener
    port: IListeningPort
    tls: ServerTls | None


class ProxyService(Service):
    """Runs a configuration until it is stopped, and another when it is told to reload.

    :ivar reloads: how that went so far.
    """

    def __init__(
        self, configuration: Configuration, reactor: Any, reread: Callable[[], Configuration] | None
    ) -> None:
        """Make a service that does nothing yet.

        :param reread: reads the configuration again, ``None`` when it came from options.
        :raises ConfigurationError: when the configuration cannot be built.
        """
        self._configuration = configuration
        self._reactor = reactor
        self._reread = reread
        self._environment = Environment.of(reactor)
        self._access_log = make_access_log(configuration, self._environment)
        self.reloads = Reloads()
        self._admin = AdminApi(self, reactor)
        self._plan = self._compile(configuration, self._access_log)
        self._open: dict[str, _Open] = {}
        self._cannot_serve = False
        self._serving = False
        self._notifier = sdnotify.SystemdNotifier()

    # --- starting and stopping ----------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Open the listening sockets, before privileges are shed."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        set_level(self._configuration.log.level)
        # Before anybody can see that it listens, and so could think that it takes signals.
        self._on_signal(signal.SIGHUP, self.reload)
        self._on_signal(signal.SIGUSR1, self.reopen_logs)
        for plan in self._plan.listeners.values():
            self._listen(plan).addErrback(self._cannot_start, plan)
        self._admin.listen(self._configuration).addCallback(self._admin_started)
        if self._cannot_serve:
            raise SystemExit(1)

    def startService(self) -> None:
        """Begin to serve."""
        super().startService()  # type: ignore[no-untyped-call]
        if not self._admin.find_token(self._configuration):
            raise SystemExit(1)
        self._environment.sweeper.start()
        self._access_log.start()
        self._reactor.callWhenRunning(self._start_plan)
        self._reactor.callWhenRunning(self._running)

    def _start_plan(self) -> None:
        """Begin what filters do by themselves; it may need a reactor that takes signals."""
        self._serving = True
        self._plan.start()

    def _running(self) -> None:
        self._notifier.notify("READY=1")

    def _on_signal(self, number: signal.Signals, call: Callable[[], object]) -> None:
        """Do something at a signal, and what was done at it before: twistd rotates its log."""
        before = signal.getsignal(number)

        def caught(number: int, frame: Any) -> None:
            if callable(before):
                before(number, frame)
            self._reactor.callFromThread(call)

        signal.signal(number, caught)

    def stopService(self) -> Deferred[Any]:
        """Accept nothing more, finish what is in flight within the grace, then close the rest."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._notifier.notify("STOPPING=1")
        grace = self._configuration.process.grace
        in_flight = sum(each.listener.in_flight for each in self._open.values())
        _log.info("stopping; exchanges in flight: {count}", count=in_flight)
        drained = DeferredList([self._stop_listening(each) for each in self._open.values()])
        timer = self._reactor.callLater(grace, self._grace_is_over)

        def finish(result: Any) -> Deferred[Any]:
            if timer.active():
                timer.cancel()
            if self._serving:
                self._plan.retire()
            self._environment.sweeper.stop()
            self._access_log.stop()
            return self._admin.stop()

        return drained.addCallback(finish)

    def _grace_is_over(self) -> None:
        _log.warn("the grace is over: what is still in flight is cut")
        for each in self._open.values():
            each.listener.abort("the proxy stops, and the grace is over")

    # --- reloading ----------------------------------------------------------------------------

    def reload(self) -> Sequence[str]:
        """Take over a changed configuration; a bad one changes nothing.

        :returns: what is wrong with it; nothing when it was taken over.
        """
        if self._reread is None:
            _log.info("there is no configuration file to reload")
            return ("there is no configuration file to reload",)
        problems: tuple[str, ...] = ()
        self._notifier.notify("RELOADING=1")
        try:
            configuration = self._reread()
            access_log = self._access_log
            log = configuration.log
            # A secret that was replaced stands in the same place.
            if log != self._configuration.log or log.secret_file is not None:
                access_log = make_access_log(configuration, self._environment)
            plan = self._compile(configuration, access_log)
        except (ConfigurationErrors, ConfigurationError) as error:
            _log.error("the configuration is not reloaded: {error}", error=str(error))
            problems = tuple(str(error).splitlines())
        else:
            self._take_over(configuration, plan, access_log)
            _log.info("the configuration was reloaded")
        finally:
            # Whatever a plug-in raises: what was there before goes on, and systemd must know it.
            self._notifier.notify("READY=1")
        before = self.reloads
        self.reloads = Reloads(
            before.succeeded + (not problems),
            before.failed + bool(problems),
            time(),
            "\n".join(problems),
        )
        return problems

    def _take_over(self, configuration: Configuration, plan: Plan, access_log: AccessLog) -> None:
        old, self._plan = self._plan, plan
        plan.inherit(old)
        self._configuration = configuration
        set_level(configuration.log.level)
        if access_log is not self._access_log:
            access_log.start()
            self._access_log.give_way(access_log)
            self._access_log = access_log
        closing: dict[str, Deferred[Any]] = {}
        for endpoint, each in list(self._open.items()):
            new = plan.listeners.get(endpoint)
            if new is None or not new.serves_like(each.plan):
                del self._open[endpoint]
                closing[endpoint] = maybeDeferred(each.port.stopListening)
                each.listener.drain()
            else:
                self._replace(each, new)
        for endpoint, new in plan.listeners.items():
            if endpoint not in self._open:
                # The socket that it takes the place of is closed a turn of the reactor later.
                closed = closing.get(endpoint, succeed(None))
                closed.addCallback(self._listen_instead, new).addErrback(self._cannot_listen, new)
        plan.start()
        old.retire()
        self._admin.listen(configuration)
        self._admin.find_token(configuration)

    def _replace(self, each: _Open, new: ListenerPlan) -> None:
        """Put a new policy behind an open socket."""
        each.plan = new
        listener = each.listener
        listener.pipeline = new.pipeline
        listener.head_limits = new.head_limits
        listener.limit(new.connections, new.connections_per_client)
        if each.tls is not None:
            each.tls.context = new.tls

    def reopen_logs(self) -> None:
        """Open the access log's file anew, after it was rotated."""
        self._access_log.reopen()
        _log.info("the access log was reopened")

    # --- for the admin API --------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """By what configuration it serves now."""
        return self._plan

    def listeners(self) -> Iterator[tuple[ListenerPlan, Listener]]:
        """Give every endpoint that is open."""
        for each in self._open.values():
            yield each.plan, each.listener

    # --- parts --------------------------------------------------------------------------------

    def _compile(self, configuration: Configuration, access_log: AccessLog) -> Plan:
        observers = (access_log.finished, *self._admin.observers(configuration))
        return compile_plan(configuration, self._environment, observers)

    def _listen(self, plan: ListenerPlan) -> Deferred[Any]:
        listener = Listener(
            plan.pipeline,
            self._environment.sweeper,
            plan.head_limits,
            protocol_of(plan),
            plan.connections,
            plan.connections_per_client,
        )
        tls = None if plan.tls is None else ServerTls(plan.tls)
        factory: Any = listener if tls is None else TLSMemoryBIOFactory(tls, False, listener)
        if plan.proxied:
            factory = ProxiedFactory(listener, factory)
        listening = maybeDeferred(lambda: endpoint_of(plan, self._reactor).listen(factory))

        def opened(port: IListeningPort) -> None:
            self._open[plan.endpoint] = _Open(plan, listener, port, tls)
            _log.info(
                "{name} listens on {address}",
                name=plan.pipeline.name,
                address=address_text(port.getHost()),
            )

        return listening.addCallback(opened)

    def _listen_instead(self, _: Any, plan: ListenerPlan) -> Deferred[Any]:
        return self._listen(plan)

    def _stop_listening(self, each: _Open) -> Deferred[Any]:
        stopping = maybeDeferred(each.port.stopListening)
        draining = each.listener.drain()
        return DeferredList([stopping, draining])

    def _cannot_listen(self, failure: Any, plan: ListenerPlan) -> None:
        _log.error(
            "cannot listen on {endpoint}: {error}", endpoint=plan.endpoint, error=failure.value
        )

    def _cannot_start(self, failure: Any, plan: ListenerPlan) -> None:
        """Give up: a proxy that serves half of what it should is found out too late."""
        self._cannot_listen(failure, plan)
        self._give_up()

    def _admin_started(self, is_open: bool) -> None:
        if not is_open:
            self._give_up()

    def _give_up(self) -> None:
        self._cannot_serve = True
        self._reactor.callWhenRunning(self._reactor.stop)
