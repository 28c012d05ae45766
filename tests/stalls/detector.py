"""Asks a proxy that has the filter ``stalls`` how long its reactor has stood still.

A test that uses it sets ``PYTHONPATH`` to ``PLUGINS`` before it starts the proxy, and puts
``FILTER`` in front of the other filters of a forward listener.
"""

from __future__ import annotations

from pathlib import Path

from tests.scripted import exchange

PLUGINS = Path(__file__).parent
FILTER = 'use = "stalls"'
LONGEST_MILLISECONDS = 50.0

_ASK = b"GET http://stalls.test/ HTTP/1.1\r\nHost: stalls.test\r\nConnection: close\r\n\r\n"


def _told(proxy):
    answer = exchange(proxy.address, _ASK)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    milliseconds, ticks = answer.rpartition(b"\r\n")[2].split()
    return float(milliseconds), int(ticks)


def longest_stall(proxy):
    """Give the longest time in milliseconds for which the reactor stood still since last asked."""
    milliseconds, ticks = _told(proxy)
    assert ticks > 1, "the detector does not tick"
    return milliseconds


def assert_no_stall(proxy, action, attempts=3):
    """Do something that must not make a proxy's reactor stand still.

    A stall that our code makes is there each time. One that a busy machine makes, whose disk or
    whose other processes the reactor had to wait for, is not: it is tried again.
    """
    stalls = []
    for attempt in range(attempts):
        _told(proxy)  # from here on; it may have been asked a moment ago
        action(attempt)
        stalls.append(longest_stall(proxy))
        if stalls[-1] < LONGEST_MILLISECONDS:
            return
    raise AssertionError(f"the reactor stood still each time, for {stalls} milliseconds")
