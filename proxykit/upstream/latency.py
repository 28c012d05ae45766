"""The peak exponentially weighted moving average of a server's latency.

A plain average believes a server to be fast for as long as its fast past outweighs what it does
now. This one takes a latency that is above it as it is, at once, and comes down slowly; and
because it fades with time and not with the number of answers, a server that was once slow, and is
therefore not asked, is tried again.
"""

from __future__ import annotations

from math import exp

# After so long a latency counts for 1/e of what it did. Finagle and linkerd take the same.
_MEMORY_SECONDS = 10.0

# A failure counts for ten times the latency until then, within these bounds.
_FAILURE_FACTOR = 10.0
_SHORTEST_FAILURE_SECONDS = 1.0
_LONGEST_FAILURE_SECONDS = 60.0


def remembered(latency: float, elapsed: float) -> float:
    """Give what is left of a latency that was observed some time ago.

    :param latency: in seconds.
    :param elapsed: the time since, in seconds.
    """
    return latency * exp(-elapsed / _MEMORY_SECONDS)


def observed(latency: float, elapsed: float, seconds: float) -> float:
    """Give the average after one more answer, in seconds.

    :param latency: the average until now, in seconds; 0.0 when there is none.
    :param elapsed: the time since that was observed, in seconds.
    :param seconds: what the answer took.
    """
    kept = exp(-elapsed / _MEMORY_SECONDS)
    old = latency * kept
    return seconds if seconds > old else old + seconds * (1.0 - kept)


def after_failure(latency: float, elapsed: float) -> float:
    """Give the average after a failure, in seconds.

    A server that refuses at once would else be the fastest of all, and would be sent everything.
    So it is left alone for a while, and for longer when it fails again.

    :param latency: the average until now, in seconds; 0.0 when there is none.
    :param elapsed: the time since that was observed, in seconds.
    """
    seconds = max(_SHORTEST_FAILURE_SECONDS, _FAILURE_FACTOR * remembered(latency, elapsed))
    return min(seconds, _LONGEST_FAILURE_SECONDS)
