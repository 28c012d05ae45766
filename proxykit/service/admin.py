"""Runs the admin API beside the proxy: opens its endpoints, finds its token, follows reloads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from ..config.admin import Admin
from ..config.models import Configuration
from ..engine.record import ExchangeRecord
from ..errors import ConfigurationError
from ..observe.admin.token import read_or_make_token
from ..observe.metrics import Metrics
from .control import Running, ServiceControl
from .listening import address_text

if TYPE_CHECKING:
    from ..observe.admin.site import AdminSite

_log = Logger()


class AdminApi:
    """The admin API of a running service; nothing at all while no configuration asks for it."""

    def __init__(self, running: Running, reactor: Any) -> None:
        """Make one that is closed."""
        self._reactor = reactor
        self._metrics = Metrics()
        self._control = ServiceControl(running, self._metrics, reactor)
        self._site: AdminSite | None = None
        self._ports: dict[str, IListeningPort] = {}

    def observers(
        self, configuration: Configuration
    ) -> tuple[Callable[[ExchangeRecord], None], ...]:
        """Give who is to be told of each exchange: nobody when the admin API is off."""
        return () if configuration.admin is None else (self._metrics.finished,)

    def listen(self, configuration: Configuration) -> Deferred[bool]:
        """Open the endpoints that are wanted, and close the others.

        Until the token was found nobody may call.

        :returns: whether all could be opened, once they are; what could not be is in the log.
        """
        admin = configuration.admin
        wanted = [] if admin is None else admin.listen
        closing = [
            maybeDeferred(self._ports.pop(endpoint).stopListening)
            for endpoint in [each for each in self._ports if each not in wanted]
        ]
        if admin is None:
            if self._site is not None:
                self._site.close_connections()
            return _all(closing)
        site = self._made_site()
        site.hosts = frozenset(admin.hosts)
        new = [endpoint for endpoint in wanted if endpoint not in self._ports]
        return _all([*closing, *(self._open(endpoint, site) for endpoint in new)])

    def find_token(self, configuration: Configuration) -> bool:
        """Read the token, or make one; call it when privileges are shed.

        :returns: whether there is one; if not, the log says why and nobody may call.
        """
        admin = configuration.admin
        if admin is None or self._site is None:
            return True
        self._site.token = None
        try:
            self._site.token = read_or_make_token(token_path(admin, configuration.directory))
        except ConfigurationError as error:
            _log.error("{error}", error=str(error))
            return False
        return True

    def stop(self) -> Deferred[Any]:
        """Close everything."""
        self._control.stop()
        closing = [maybeDeferred(port.stopListening) for port in self._ports.values()]
        self._ports.clear()
        if self._site is not None:
            self._site.close_connections()
        return DeferredList(closing, consumeErrors=True)

    def _made_site(self) -> AdminSite:
        if self._site is None:
            # twisted.web is loaded only where it is wanted.
            from ..observe.admin.site import AdminSite

            self._site = AdminSite(self._control, self._metrics, self._reactor)
        return self._site

    def _open(self, endpoint: str, site: AdminSite) -> Deferred[Any]:
        def opened(port: IListeningPort) -> bool:
            self._ports[endpoint] = port
            _log.info("the admin API listens on {address}", address=address_text(port.getHost()))
            return True

        def failed(failure: Any) -> bool:
            _log.error(
                "the admin API cannot listen on {endpoint}: {error}",
                endpoint=endpoint,
                error=failure.value,
            )
            return False

        listening = maybeDeferred(lambda: serverFromString(self._reactor, endpoint).listen(site))
        return listening.addCallbacks(opened, failed)


def token_path(admin: Admin, directory: Path) -> Path:
    """Give the path of the token's file.

    :param directory: the configuration file's.
    """
    return directory / admin.token_file


def _all(waiting: list[Deferred[Any]]) -> Deferred[bool]:
    """Fire when all have, with whether none gave ``False``."""
    done: Deferred[Any] = DeferredList(waiting, consumeErrors=True)
    return done.addCallback(lambda results: all(result is not False for _, result in results))
