"""The access log: one line an exchange, buffered."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ..engine.record import ExchangeRecord
from ..interfaces import IExchangeObserver
from .log_formats import compile_format
from .privacy import OPEN, Privacy

_log = Logger()

_FLUSH_LINES = 512
_FLUSH_SECONDS = 1.0


def _goes_nowhere(descriptor: int) -> bool:
    """Say whether a descriptor is that of the null device, as standard output is a daemon's."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(os.devnull))
    except OSError:
        return True


@implementer(IExchangeObserver)
class AccessLog:
    """Writes a line for each exchange, many lines at a time.

    A log that cannot be written to harms no exchange: lines are counted and dropped, and it is
    said once.

    :ivar dropped: how many lines were lost.
    """

    def __init__(self, path: str, log_format: str, clock: Any, privacy: Privacy = OPEN) -> None:
        """Compile the format; nothing is opened yet.

        :param path: a file, or ``-`` for standard output.
        :param clock: an ``IReactorTime``.
        :param privacy: what is left out.
        :raises ConfigurationError: when the format is none.
        """
        self._path = path
        self._format = compile_format(log_format, privacy)
        self._clock: IReactorTime = clock
        self._lines: list[str] = []
        self._pending: IDelayedCall | None = None
        self._descriptor = -1
        self._failed = False
        self._is_cut = False  # the file ends in the midst of a line
        self._successor: AccessLog | None = None
        self.dropped = 0

    def start(self) -> None:
        """Open the file."""
        if self._path == "-":
            self._descriptor = 1
            if _goes_nowhere(1):
                _log.warn("the access log is standard output, which goes nowhere: name a file")
            return
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o640)
            self._failed = False
            self._is_cut = False
        except OSError as error:
            self._fail(error)

    def finished(self, record: ExchangeRecord) -> None:
        """See ``IExchangeObserver``."""
        if self._successor is not None:
            self._latest().finished(record)
            return
        self._lines.append(self._format(record))
        if len(self._lines) >= _FLUSH_LINES:
            self.flush()
        elif self._pending is None:
            self._pending = self._clock.callLater(_FLUSH_SECONDS, self._flush_later)

    def flush(self) -> None:
        """Write what is buffered."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        lines.append("")
        data = "\n".join(lines).encode("utf-8", "backslashreplace")
        if self._is_cut:
            data = b"\n" + data
        try:
            while data:
                size = os.write(self._descriptor, data)
                self._is_cut = not data[:size].endswith(b"\n")
                data = data[size:]
        except OSError as error:
            # Of a line that lacks its end alone, nothing is lost.
            self.dropped += data.count(b"\n") - data.startswith(b"\n")
            self._fail(error)
        else:
            self._failed = False

    def reopen(self) -> None:
        """Write what is buffered, then open the path anew: the file was moved away."""
        self.flush()
        self._close()
        self.start()

    def stop(self) -> None:
        """Write what is buffered and close."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        self.flush()
        self._close()

    def give_way(self, successor: AccessLog) -> None:
        """Write what is buffered and close, for another log has taken this one's place.

        :param successor: is told of the exchanges that began under this one and are not over yet.
        """
        self.stop()
        self._successor = successor

    def _latest(self) -> AccessLog:
        """Give the log that has taken this one's place, or that one's, and so on."""
        log = self
        while log._successor is not None:
            log = log._successor
        return log

    def _flush_later(self) -> None:
        self._pending = None
        self.flush()

    def _close(self) -> None:
        if self._descriptor > 2:
            os.close(self._descriptor)
        self._descriptor = -1

    def _fail(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            _log.error(
                "the access log {path} cannot be written: {error}", path=self._path, error=error
            )
