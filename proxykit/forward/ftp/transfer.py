"""The data connection, and the content that comes on it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ...errors import BadResponse, ProxykitError, ResponseIncomplete
from ...message.fields import EMPTY_SECTION
from ...message.source import ContentTaker
from ...net.sweeper import NEVER
from .control import ControlConnection, Reply


class DataConnection(Protocol):
    """Reads nothing before somebody takes it."""

    transport: Any

    def __init__(self) -> None:
        """Make one that is not connected yet."""
        self._received: Callable[[bytes], None] | None = None
        self._ended: Callable[[bool], None] | None = None
        self._lost: bool | None = None

    def give(self, received: Callable[[bytes], None], ended: Callable[[bool], None]) -> None:
        """Begin to read.

        :param received: is given each piece.
        :param ended: is told once when there are no more, and whether the end was orderly.
        """
        self._received, self._ended = received, ended
        if self._lost is not None:
            ended(self._lost)
        else:
            self.transport.resumeProducing()

    def pause(self) -> None:
        """Read no more for now."""
        if self._lost is None:
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again."""
        if self._lost is None:
            self.transport.resumeProducing()

    def abort(self) -> None:
        """Close at once and tell nobody."""
        self._received = self._ended = None
        if self._lost is None and self.transport is not None:
            self.transport.abortConnection()

    def connectionMade(self) -> None:
        """See ``IProtocol``."""
        self.transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        """See ``IProtocol``."""
        if self._received is not None:
            self._received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See ``IProtocol``."""
        self._lost = bool(reason.check(ConnectionDone))
        if self._ended is not None:
            self._ended(self._lost)


class FtpSource:
    """A file on its way; see ``message.source.ContentSource``.

    It is complete when the data connection has ended and the server has said that this was the
    end (RFC 959 section 3.4: closing the connection is all that marks the end of a file).
    """

    def __init__(
        self,
        name: str,
        control: ControlConnection,
        data: DataConnection,
        ended: Deferred[Reply],
        size: int | None,
        *,
        is_cut: bool = False,
    ) -> None:
        """Take over a transfer that has begun.

        :param name: the server's, for messages.
        :param ended: fires with the reply at its end.
        :param size: how many bytes to give, ``None`` for all there are.
        :param is_cut: whether more than these will come, of which nothing is wanted.
        """
        self.size = size
        self._name = name
        self._control = control
        self._data = data
        self._left = size
        self._is_cut = is_cut
        self._taker: ContentTaker | None = None
        self._stopped = False
        self._data_ended = self._reply_came = self._paused = False
        self._failure: ProxykitError | None = None
        ended.addCallbacks(self._replied, self._control_lost)

    def start(self, taker: ContentTaker) -> None:
        """See ``ContentSource``."""
        self._taker = taker
        self._progress()
        if self._failure is not None:
            self._fail(self._failure)
        else:
            self._data.give(self._received, self._closed)
            if self._paused:
                self._data.pause()

    def pause(self) -> None:
        """See ``ContentSource``."""
        self._paused = True
        if self._taker is not None:
            self._control.deadline = NEVER
            self._data.pause()

    def resume(self) -> None:
        """See ``ContentSource``."""
        self._paused = False
        if self._taker is not None:
            self._progress()
            self._data.resume()

    def stop(self) -> None:
        """See ``ContentSource``."""
        self._taker = None
        if not self._stopped:
            self._stopped = True
            self._data.abort()
            self._control.abort()

    def _progress(self) -> None:
        self._control.deadline = monotonic() + self._control.seconds

    def _received(self, data: bytes) -> None:
        taker = self._taker
        if taker is None:
            return
        self._progress()
        if self._left is not None:
            # Content-Length was sent: a byte too many would be read as the next response.
            surplus = len(data) - self._left
            if surplus > 0 and not self._is_cut:
                self._fail(BadResponse(f"{self._name} sends more than it said"))
                return
            data = data[: self._left]
            self._left -= len(data)
        if data:
            taker.content_received(data)
            taker.flush()
        if self._is_cut and self._left == 0 and self._taker is not None:
            self._complete()

    def _closed(self, orderly: bool) -> None:
        self._data_ended = True
        if not orderly or self._left:
            self._fail(ResponseIncomplete(f"{self._name} ended the transfer too early"))
        else:
            self._progress()
            self._complete_if_all_is_said()

    def _replied(self, reply: Reply) -> None:
        self._reply_came = True
        if reply.is_fine:
            self._complete_if_all_is_said()
        else:
            self._fail(ResponseIncomplete(f"{self._name} gave the transfer up: {reply.text}"))

    def _control_lost(self, failure: Failure) -> None:
        error = failure.value
        assert isinstance(error, ProxykitError)
        self._fail(error)

    def _complete_if_all_is_said(self) -> None:
        if self._data_ended and self._reply_came:
            self._complete()

    def _complete(self) -> None:
        taker, self._taker = self._taker, None
        if taker is None:
            return
        self._stopped = True
        self._data.abort()
        self._control.quit()
        taker.response_ended(EMPTY_SECTION)

    def _fail(self, error: ProxykitError) -> None:
        taker = self._taker
        if taker is None:
            self._failure = self._failure or error
            return
        self.stop()
        taker.response_failed(error, untouched=False)
