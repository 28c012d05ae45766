"""A part of an open file as the content of a response: read as the client takes it."""

from __future__ import annotations

import errno
import os
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import ProxykitError
from ..message.fields import EMPTY_SECTION
from ..message.source import ContentTaker

_log = Logger()

# As much as a transport takes before it asks for a pause; nginx's sendfile takes turns of 2 MiB.
_PIECE = 64 * 1024
_NO_WAIT = getattr(os, "RWF_NOWAIT", 0)


class FileChanged(ProxykitError):
    """The file got shorter, or could not be read, while it was being sent."""

    error_type = "http_response_incomplete"


class FileSource:
    """Gives a part of a file; see ``message.source.ContentSource``.

    What lies in the system's page cache is read at once (preadv2(2), ``RWF_NOWAIT``), so a small
    file that is asked for often leaves in one write. What has to come from a disk is read by a
    thread: nobody else waits for a disk. One piece a turn of the reactor, so a fast client of a
    large file does not keep the others waiting either.
    """

    def __init__(self, reactor: Any, descriptor: int, start: int, size: int) -> None:
        """Take over an open file; it is closed when the content was given or is not wanted.

        :param start: of the first byte.
        :param size: how many bytes to give.
        """
        self.size: int | None = size
        self._reactor = reactor
        self._descriptor = descriptor
        self._position = start
        self._left = size
        self._taker: ContentTaker | None = None
        self._paused = False
        self._reading = False  # a thread has the file
        self._read: bytes | None = None  # what a thread read while it was paused
        self._call: IDelayedCall | None = None

    def __repr__(self) -> str:
        return f"<FileSource {self._left} of {self.size} bytes left>"

    def start(self, taker: ContentTaker) -> None:
        """See ``ContentSource``."""
        self._taker = taker
        self._next()

    def pause(self) -> None:
        """See ``ContentSource``."""
        self._paused = True

    def resume(self) -> None:
        """See ``ContentSource``."""
        self._paused = False
        self._soon()

    def stop(self) -> None:
        """See ``ContentSource``."""
        self._taker = None
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if not self._reading:
            self._close()

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _soon(self) -> None:
        if self._call is None and not self._reading and self._taker is not None:
            self._call = self._reactor.callLater(0, self._next)

    def _next(self) -> None:
        self._call = None
        if self._paused or self._reading or self._taker is None:
            return
        wanted = min(_PIECE, self._left)
        if self._read is not None:
            data, self._read = self._read, None
            self._give(data)
            return
        try:
            at_once = _read_without_waiting(self._descriptor, wanted, self._position)
        except OSError as error:
            self._fail(error)
            return
        if at_once is not None:
            self._give(at_once)
            return
        self._reading = True
        deferToThreadPool(
            self._reactor,
            self._reactor.getThreadPool(),
            os.pread,
            self._descriptor,
            wanted,
            self._position,
        ).addCallbacks(self._thread_read, self._thread_failed)

    def _thread_read(self, data: bytes) -> None:
        self._reading = False
        if self._taker is None:
            self._close()
        elif self._paused:
            self._read = data
        else:
            self._give(data)

    def _thread_failed(self, failure: Failure) -> None:
        self._reading = False
        if self._taker is None:
            self._close()
        else:
            self._fail(failure.value)

    def _give(self, data: bytes) -> None:
        taker = self._taker
        assert taker is not None
        if not data:
            self._fail(None)
            return
        self._position += len(data)
        self._left -= len(data)
        taker.content_received(data)
        if self._taker is None:
            return
        if self._left:
            taker.flush()
            if not self._paused:
                self._soon()
        else:
            self._taker = None
            self._close()
            taker.response_ended(EMPTY_SECTION)

    def _fail(self, error: BaseException | None) -> None:
        taker, self._taker = self._taker, None
        self._close()
        if error is not None:
            _log.error("a file that is being sent cannot be read: {error}", error=str(error))
        if taker is not None:
            taker.response_failed(
                FileChanged("the file could not be sent to its end"), untouched=False
            )


def _read_without_waiting(descriptor: int, size: int, position: int) -> bytes | None:
    """Read what the page cache has, ``None`` when it is not known to have any."""
    if not _NO_WAIT:
        return None
    buffer = bytearray(size)
    try:
        count = os.preadv(descriptor, [buffer], position, _NO_WAIT)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            return None  # not every file system can tell
        raise
    return bytes(buffer) if count == size else bytes(memoryview(buffer)[:count])
