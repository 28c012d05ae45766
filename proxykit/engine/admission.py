"""Asks connection filters whether a client is served, before a byte of it is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()


def ask_connection_filters(
    steps: Sequence[Callable[[str], Any]],
    address: str,
    decided: Callable[[bool], None],
    index: int = 0,
) -> None:
    """Ask filters in their order, from one on; the first that refuses decides.

    :param address: the client's IP address, ``""`` for a UNIX socket.
    :param decided: called once, at once or later; a filter that fails refuses.
    """
    while index < len(steps):
        try:
            result = steps[index](address)
        except Exception:
            _log.failure("a connection filter failed; the connection is refused")
            result = False
        index += 1
        if result is True:
            continue
        if result is False:
            decided(False)
            return
        deferred: Deferred[Any] = (
            result if isinstance(result, Deferred) else Deferred.fromCoroutine(result)
        )
        go_on = partial(_answered, steps, address, decided, index)
        deferred.addErrback(_failed).addCallback(go_on)
        return
    decided(True)


def _answered(
    steps: Sequence[Callable[[str], Any]],
    address: str,
    decided: Callable[[bool], None],
    index: int,
    accepted: bool,
) -> None:
    if accepted:
        ask_connection_filters(steps, address, decided, index)
    else:
        decided(False)


def _failed(failure: Failure) -> bool:
    _log.failure("a connection filter failed; the connection is refused", failure)
    return False
