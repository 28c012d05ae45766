"""Gives one client what a cache has: a stored response, or one that is still arriving."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable
from typing import Protocol

from ..engine.cache import Answerable
from ..errors import ProxykitError, ResponseIncomplete
from ..message.fields import EMPTY_SECTION, Field
from ..upstream.connection import UpstreamConnection
from .answering import Asked, Segment, make_answer
from .arriving import Arriving
from .joined import JoinedBody
from .pieces import BLOCK
from .ranges import Span
from .stored import StoredHead


class Body(Protocol):
    """What a reader needs of content: see ``IStoredBody``."""

    def read(self, offset: int, most: int) -> bytes | Awaitable[bytes]:
        """See ``IStoredBody``."""


class Feed(Protocol):
    """What a reader waits for, and reads from while it arrives: see ``Fetch``."""

    @property
    def connection(self) -> UpstreamConnection | None:
        """Where the response comes from, for the one client that it goes to."""

    def progressed(self) -> None:
        """A reader has read on."""

    def left(self, reader: Reader) -> None:
        """Forget a reader that is done or whose client is gone."""


class Reader:
    """Stands in a relay where an upstream connection would: see ``engine.cache.ResponseSource``.

    It waits for the head of a fetch, then reads content at its client's pace.

    :ivar relay: the client's exchange.
    :ivar asked: what that asks for.
    :ivar fetch: what it waits for or reads from, ``None`` for a stored response.
    :ivar position: how much of the content it has read.
    """

    __slots__ = (
        "_base",
        "_body",
        "_done",
        "_held",
        "_more",
        "_paused",
        "_reading",
        "_segments",
        "_waiting",
        "asked",
        "direct",
        "fetch",
        "position",
        "relay",
    )

    def __init__(self, relay: Answerable, asked: Asked, fetch: Feed | None = None) -> None:
        """Make one that gives nothing yet."""
        self.relay = relay
        self.asked = asked
        self.fetch = fetch
        self.direct = False  # the fetch passes its events on, nothing is kept
        self.position = 0
        self._body: Body | None = None
        self._base = 0
        self._segments: deque[Segment] = deque()
        self._paused = False
        self._held = False
        self._waiting = False  # the store reads
        self._more = False  # a piece was read later, and there may be another
        self._reading = False
        self._done = False

    @property
    def is_done(self) -> bool:
        """Whether it gives nothing any more."""
        return self._done

    def serve(self, head: StoredHead, body: Body, extra: tuple[Field, ...], label: str) -> bool:
        """Give the client a response.

        :param extra: fields to add.
        :param label: for the log, see ``Exchange.cache``.
        :returns: ``False`` when the content is not what the request needs; nothing was done.
        """
        answer = make_answer(self.asked, head, extra)
        if answer is None:
            return False
        relay = self.relay
        relay.exchange.cache = label
        self._body = body
        self._base = head.span.start if head.span is not None else 0
        self._segments.extend(answer.segments)
        relay.response_received(answer.response)
        self.pump()
        return True

    def pump(self) -> None:
        """Give what is there, as far as the client takes it."""
        if self._reading:
            return
        self._reading = True
        try:
            while not (self._paused or self._held or self._waiting or self._done):
                if not self._step():
                    break
        finally:
            self._reading = False

    def _step(self) -> bool:
        """Give one piece, or the end; give whether there may be more to give."""
        segments = self._segments
        body = self._body
        if body is None:
            return False
        if not segments:
            self._end()
            return False
        segment = segments[0]
        if isinstance(segment, bytes):
            segments.popleft()
            self._give(segment)
            return True
        offset = segment.start - self._base
        piece = body.read(offset, min(segment.size, BLOCK))
        if not isinstance(piece, bytes):
            self._waiting = True
            self._more = False
            self.relay.wait(piece, self._was_read)
            return self._more  # it may have been there already
        return self._take(segment, piece)

    def _take(self, segment: Span, piece: bytes) -> bool:
        if not piece:
            if not self._is_complete():
                return False  # the rest is still to come
            self._segments.popleft()
            if segment.stop < 2**62:
                self.fail(ResponseIncomplete("the cache lost content while it was sent"))
                return False
            return True
        start = segment.start + len(piece)
        self.position = start - self._base
        if start < segment.stop:
            self._segments[0] = Span(start, segment.stop)
        else:
            self._segments.popleft()
        self._give(piece)
        if self.fetch is not None:
            self.fetch.progressed()
        return True

    def _is_complete(self) -> bool:
        body = self._body
        return not isinstance(body, Arriving | JoinedBody) or body.is_complete

    def _was_read(self, piece: bytes) -> None:
        self._waiting = False
        if self._done:
            return
        segment = self._segments[0]
        assert isinstance(segment, Span)
        self._more = self._take(segment, piece)
        if self._more:
            self.pump()

    def _give(self, piece: bytes) -> None:
        self.relay.content_received(piece)
        if self._segments:
            # What the client's transport does not take is found out by writing.
            self.relay.flush()

    def _end(self) -> None:
        self._leave()
        self.relay.response_ended(EMPTY_SECTION)

    def fail(self, error: ProxykitError) -> None:
        """There will be no response, or no more of it."""
        if not self._done:
            self._leave()
            self.relay.fail(error)

    def _leave(self) -> None:
        self._done = True
        fetch, self.fetch = self.fetch, None
        if fetch is not None:
            fetch.left(self)

    def release(self) -> None:
        """Leave the exchange to somebody else: nothing was given, nothing will be."""
        self._done = True
        self.fetch = None
        self.relay.detach()

    # --- engine.cache.ResponseSource ----------------------------------------------------------

    def pause(self) -> None:
        """See ``ResponseSource``."""
        self._paused = True
        if (connection := self._direct_connection()) is not None:
            connection.pause()

    def resume(self) -> None:
        """See ``ResponseSource``."""
        self._paused = False
        if (connection := self._direct_connection()) is not None:
            connection.resume()
        self.pump()

    def hold(self) -> None:
        """See ``ResponseSource``."""
        self._held = True
        if (connection := self._direct_connection()) is not None:
            connection.hold()

    def unhold(self) -> None:
        """See ``ResponseSource``."""
        self._held = False
        if (connection := self._direct_connection()) is not None:
            connection.unhold()
        self.pump()

    def _direct_connection(self) -> UpstreamConnection | None:
        return self.fetch.connection if self.direct and self.fetch is not None else None

    def abandon(self) -> None:
        """See ``ResponseSource``."""
        if not self._done:
            self._leave()
