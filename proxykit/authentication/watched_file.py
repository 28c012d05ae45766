"""A file whose content is parsed, and parsed again in a thread when the file changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, Generic, TypeVar

from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import ConfigurationError

_log = Logger()
_LOOK_SECONDS = 1.0

Value = TypeVar("Value")
Signature = tuple[int, int, int]


class WatchedFile(Generic[Value]):
    """What a file says; a change that cannot be read or parsed leaves what it said before.

    :ivar value: as of the last look.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[bytes], Value],
        reactor: Any,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Read the file.

        :param parse: raises ``ValueError`` for what it does not take.
        :param changed: called when there is another value.
        :raises ConfigurationError: when the file cannot be read or parsed.
        """
        self._path = path
        self._parse = parse
        self._reactor = reactor
        self._changed = changed
        self._clock = clock
        self._next_look = clock() + _LOOK_SECONDS
        self._reading = False
        self._failed: Signature | None = None
        try:
            self._signature, self.value = self._read()
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ConfigurationError(f"{path}: {error}") from error

    def look(self) -> None:
        """See whether the file has changed, at most once a second; read it in a thread then."""
        now = self._clock()
        if now < self._next_look or self._reading:
            return
        self._next_look = now + _LOOK_SECONDS
        try:
            signature = _signature(os.stat(self._path))
        except OSError as error:
            self._complain((0, 0, 0), error)
            return
        if signature not in (self._signature, self._failed):
            self._reading = True
            reading = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._read)
            reading.addCallbacks(self._was_read, self._was_not_read, errbackArgs=(signature,))

    def _read(self) -> tuple[Signature, Value]:
        with self._path.open("rb") as file:
            signature = _signature(os.fstat(file.fileno()))
            return signature, self._parse(file.read())

    def _was_read(self, result: tuple[Signature, Value]) -> None:
        self._reading = False
        self._failed = None
        self._signature, self.value = result
        _log.info("{path} was read again", path=self._path)
        self._changed()

    def _was_not_read(self, failure: Failure, signature: Signature) -> None:
        self._reading = False
        if failure.check(OSError, ValueError) is None:
            _log.failure("{path} could not be parsed", failure, path=self._path)
        self._complain(signature, failure.value)

    def _complain(self, signature: Signature, error: BaseException | None) -> None:
        """Say once for each state of the file why it is not taken."""
        if self._failed != signature:
            self._failed = signature
            _log.error(
                "{path} stays as it was read before: {error}", path=self._path, error=str(error)
            )

    def __repr__(self) -> str:
        return f"<WatchedFile {self._path}>"


def _signature(status: os.stat_result) -> Signature:
    return status.st_mtime_ns, status.st_size, status.st_ino
