"""From which level on the log is written: ``[log] level``."""

from __future__ import annotations

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
)

_predicate = LogLevelFilterPredicate()


class _Levelled(FilteringLogObserver):
    """An observer of the log that is told only what is important enough."""


def set_level(level: str) -> None:
    """Write less of the log from now on, or more again; call it when logging has begun.

    twistd makes the log's observer and hands it to nobody, so each one that there is gets a filter
    put in front of it; ``_observers`` is Twisted's own.

    :param level: ``debug``, ``info``, ``warn`` or ``error``.
    """
    _predicate.setLogLevelForNamespace("", LogLevel.levelWithName(level))
    for observer in tuple(globalLogPublisher._observers):
        if not isinstance(observer, _Levelled):
            globalLogPublisher.removeObserver(observer)
            globalLogPublisher.addObserver(_Levelled(observer, [_predicate]))
