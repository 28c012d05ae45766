"""A filter that detects when the reactor of the proxy that it is in stands still.

``GET http://stalls.test/`` is answered with the longest time in milliseconds between two ticks
since it was asked for last, without the time for which the kernel let other processes run.
``/stand-still`` makes it stand still, to see that this is detected.
"""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic, sleep

from twisted.internet.task import LoopingCall
from twisted.plugin import IPlugin
from zope.interface import implementer

from proxykit.interfaces import IFilterFactory, IRequestFilter
from proxykit.message.response import Response
from proxykit.options import Options

_TICK_SECONDS = 0.002


def _waited_for_a_cpu():
    """Give the seconds for which this thread could have run but was not let (sched-stats.rst)."""
    try:
        text = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text()
    except OSError:
        return 0.0
    return int(text.split()[1]) / 1e9


class StallsOptions(Options):
    """There are none."""


@implementer(IRequestFilter)
class Stalls:
    def __init__(self, reactor):
        self._longest = 0.0
        self._ticks = 0
        self._last = None
        self._waited = 0.0
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = reactor
        reactor.callWhenRunning(self._ticking.start, _TICK_SECONDS)

    def _tick(self):
        now, waited = monotonic(), _waited_for_a_cpu()
        if self._last is not None:
            gap = now - self._last - _TICK_SECONDS - (waited - self._waited)
            self._longest = max(self._longest, gap)
        self._last, self._waited = now, waited
        self._ticks += 1

    def request(self, exchange):
        if exchange.host != "stalls.test":
            return None
        if exchange.request.path == "/stand-still":
            sleep(0.1)
            return Response(200)
        self._tick()
        told = b"%.3f %d" % (self._longest * 1000, self._ticks)
        self._longest, self._ticks = 0.0, 0
        return Response(200, [], told)


@implementer(IPlugin, IFilterFactory)
class StallsFactory:
    name = "stalls"
    description = "detects when the reactor stands still"
    options = StallsOptions

    def build(self, options, context):
        return Stalls(context.reactor)


stalls = StallsFactory()
