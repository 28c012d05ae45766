from __future__ import annotations

import sys
from select import EPOLLIN, EPOLLOUT

from twisted.internet.epollreactor import EPollReactor
from twisted.python import log

from proxykit.net import transports


class FastReactor(EPollReactor):
    def __init__(self):
        bytearray(1 << 20)
        super().__init__()

    def doPoll(self, timeout):
        selectables = self._selectables
        for fd, event in self._poller.poll(-1 if timeout is None else timeout, 256):
            selectable = selectables.get(fd)
            if selectable is None:
                continue
            try:
                if event == EPOLLIN:
                    why = selectable.doRead()
                elif event == EPOLLOUT:
                    why = selectable.doWrite()
                else:
                    log.callWithLogger(selectable, self._doReadOrWrite, selectable, fd, event)
                    continue
            except BaseException:
                why = sys.exc_info()[1]
                log.callWithLogger(selectable, log.err)
            if why:
                log.callWithLogger(
                    selectable, self._disconnectSelectable, selectable, why, event == EPOLLIN
                )

    doIteration = doPoll

    def listenTCP(self, port, factory, backlog=50, interface=""):
        p = transports.Port(port, factory, backlog, interface, self)
        p.startListening()
        return p

    def connectTCP(self, host, port, factory, timeout=30.0, bindAddress=None):
        c = transports.Connector(host, port, factory, timeout, bindAddress, self)
        c.connect()
        return c


def install():
    from twisted.internet.main import installReactor

    r = FastReactor()
    installReactor(r)
