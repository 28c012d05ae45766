"""The fast reactor: Twisted's epoll reactor with a leaner loop and leaner TCP transports.

What it does differently, and what that buys, is in ``docs/reactor.md``; benchmark
``reactor_echo`` measures it. Everything in Proxykit runs on Twisted's own reactors too.
"""

from __future__ import annotations

import socket
from select import EPOLLIN, EPOLLOUT
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionFdescWentAway
from twisted.internet.interfaces import IConnector, IListeningPort
from twisted.internet.main import installReactor
from twisted.python import log

from . import transports

# Reading with a large size makes CPython allocate that much and shrink it. glibc would map and
# unmap pages for each such piece, until once a larger one was freed: that raises its threshold.
_LARGER_THAN_A_READ = 4 * transports.READ_SIZE

_MOST_EVENTS = 256


class FastReactor(EPollReactor):
    """An epoll reactor for many small events.

    ``EPollReactor`` enters a logging context for each event. Here plain readable and writable
    events call the transport at once; what is not plain, errors and hang-ups above all, goes the
    way that Twisted's own takes.
    """

    def __init__(self) -> None:
        """Make a reactor that does not run yet."""
        bytearray(_LARGER_THAN_A_READ)
        self.unsent: list[Any] = []
        super().__init__()  # type: ignore[no-untyped-call]

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events and handle them.

        :param timeout: in seconds, ``None`` to wait for as long as it takes.
        """
        if self.unsent:
            # Timers wrote something. Sending it may have set others, of which the time-out that
            # was computed before does not know.
            self._send_unsent()
            timeout = 0
        selectables = self._selectables
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, _MOST_EVENTS)
        except InterruptedError:
            return
        for descriptor, event in events:
            selectable = selectables.get(descriptor)
            if selectable is None:
                continue  # an event before this one in the same batch removed it
            why: BaseException | None
            try:
                if selectable.fileno() == -1:
                    why = ConnectionFdescWentAway("the descriptor went away")
                elif event == EPOLLIN:
                    why = selectable.doRead()
                elif event == EPOLLOUT:
                    why = selectable.doWrite()
                else:
                    log.callWithLogger(
                        selectable, self._doReadOrWrite, selectable, descriptor, event
                    )
                    continue
            except BaseException as error:
                log.callWithLogger(selectable, log.err)
                why = error
            if why is not None:
                log.callWithLogger(
                    selectable, self._disconnectSelectable, selectable, why, event == EPOLLIN
                )

        if self.unsent:
            self._send_unsent()

    doIteration = doPoll

    def _send_unsent(self) -> None:
        """Send what was written to transports in this turn."""
        unsent, self.unsent = self.unsent, []
        why: BaseException | None
        for transport in unsent:
            try:
                why = transport.send_unsent()
            except BaseException as error:
                log.callWithLogger(transport, log.err)
                why = error
            if why is not None:
                log.callWithLogger(transport, self._disconnectSelectable, transport, why, False)

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """See ``IReactorTCP``."""
        listening = transports.Port(port, factory, backlog, interface, self)
        listening.startListening()
        return listening

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30.0,
        bindAddress: Any = None,
    ) -> IConnector:
        """See ``IReactorTCP``."""
        connector = transports.Connector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        """See ``IReactorSocket``: sockets that systemd opened are as fast as others."""
        if addressFamily not in (socket.AF_INET, socket.AF_INET6):
            return super().adoptStreamPort(  # type: ignore[no-untyped-call]
                fileDescriptor, addressFamily, factory
            )
        listening = transports.Port._fromListeningDescriptor(  # type: ignore[no-untyped-call]
            self, fileDescriptor, addressFamily, factory
        )
        listening.startListening()
        return listening


def install() -> None:
    """Make it the process's reactor.

    :raises twisted.internet.error.ReactorAlreadyInstalledError: when there is one already.
    """
    installReactor(FastReactor())
