"""The content of a request on its way from the client to a server, or to one after the other."""

from __future__ import annotations

from functools import partial

from ..errors import (
    BodyTooLarge,
)
from ..http1.writer import chunk, last_chunk
from ..message.fields import FieldSection
from ..message.framing import CHUNKED, Framing, Length
from ..net.sweeper import NEVER
from ..upstream.connection import UpstreamConnection
from .attempts import Attempts
from .client import Client
from .exchange import Exchange
from .pipeline import Pipeline
from .returning import Returning
from .stage import Stage
from .taps import Taps
from .transforms import Transforms


class Sending(Returning):
    """Takes what the client sends and sends it on, with backpressure from the server's side."""

    __slots__ = (
        "_attempts",
        "_body_size",
        "_held",
        "_request_framing",
        "_request_transforms",
        "_sending_paused",
        "_taps",
    )

    def __init__(self, pipeline: Pipeline, exchange: Exchange, client: Client) -> None:
        """See ``Returning``."""
        # Not by super(), which makes an object of its own, once an exchange.
        Returning.__init__(self, pipeline, exchange, client)
        self._attempts: Attempts | None = None
        self._body_size: int | None = None  # the limit, once the route that sets it was chosen
        # Content that came before there was a connection to send it on, its end as its trailers.
        self._held: list[bytes | FieldSection] | None = None
        self._request_framing: Framing = exchange.request.framing
        self._request_transforms: Transforms | None = None
        self._sending_paused = False  # the server does not take more of the content
        self._taps: Taps | None = None

    # --- called by the client's side ----------------------------------------------------------

    def request_content(self, data: bytes) -> None:
        """Take content that the client sent."""
        exchange = self.exchange
        exchange.received_bytes += len(data)
        if self.stage is Stage.ENDED or exchange.error_type:
            return
        limit = self._body_size
        if limit is not None and exchange.received_bytes > limit:
            self.fail(_too_large(limit))
            return
        connection = self._connection
        if connection is None:
            if self._held is None:
                self._held = []
                self._client.hold_request(True)
            self._held.append(data)
            return
        self._pass_content(connection, data)

    def request_ended(self, trailers: FieldSection) -> None:
        """The client's request is complete."""
        if self.stage is Stage.ENDED:
            return
        connection = self._connection
        if connection is None:
            if self._held is None:
                self._held = []
            self._held.append(trailers)
        elif self._pacing is None:
            self._end_request(trailers)
        else:
            self._pacing.request.end(partial(self._end_request, trailers))

    # --- called by the server's side ----------------------------------------------------------

    def pause_sending(self) -> None:
        """The server does not take more for now."""
        self._sending_paused = True
        if self._pacing is None:
            self._client.hold_request(True)
        else:
            self._pacing.request.block(True)

    def resume_sending(self) -> None:
        """The server takes more again."""
        self._sending_paused = False
        if self._pacing is None:
            self._client.hold_request(False)
        else:
            self._pacing.request.block(False)

    # --- pacing.Outlets -----------------------------------------------------------------------

    def request_may_go(self, data: bytes) -> None:
        """See ``pacing.Outlets``."""
        connection = self._connection
        self._send_content(connection, data)
        if connection is not None and self._pacing is not None and self._pacing.request.kept:
            connection.deadline = NEVER

    def hold_client(self, hold: bool) -> None:
        """See ``pacing.Outlets``."""
        self._client.hold_request(hold)

    # --- sending ------------------------------------------------------------------------------

    def _limit_content(self) -> None:
        """Hold the route's limit on content, or the listener's, from now on and for what came.

        :raises BodyTooLarge: when the request says, or has shown, that it is over it.
        """
        exchange = self.exchange
        limit = self._route.body_size
        if limit is None:
            limit = self._pipeline.body_size
        if limit is None:
            return
        self._body_size = limit
        framing = exchange.request.framing
        size = framing.size if isinstance(framing, Length) else exchange.received_bytes
        if size > limit:
            raise _too_large(limit)

    def _send_held(self, connection: UpstreamConnection, held: list[bytes | FieldSection]) -> None:
        """Send what came before there was a connection."""
        self._held = None
        for piece in held:
            if isinstance(piece, bytes):
                self._pass_content(connection, piece)
            else:
                self.request_ended(piece)
        if self._pacing is None:
            self._client.hold_request(self._sending_paused)
        elif not self._pacing.request.holds:
            self._client.hold_request(False)

    def _send_kept(self, connection: UpstreamConnection, attempts: Attempts) -> None:
        """Send content again that a server before this one was sent."""
        kept, trailers = attempts.kept()
        self._sending_paused = False
        if self._pacing is not None:
            self._pacing.request.block(False)
        for data in kept:
            connection.write(data)
        if trailers is not None:
            self._finish_request(connection, trailers)
        elif kept and self._held is None and self._pacing is None:
            self._client.hold_request(self._sending_paused)

    def _pass_content(self, connection: UpstreamConnection, data: bytes) -> None:
        """Send content of the request, at its pace if it has one."""
        if self._pacing is None:
            self._send_content(connection, data)
            return
        flow = self._pacing.request
        flow.feed(data)
        if flow.kept:
            connection.deadline = NEVER  # it is not the server who is slow

    def _send_content(self, connection: UpstreamConnection | None, data: bytes) -> None:
        """Transform content and send it.

        :param connection: ``None`` between two attempts; what is kept is sent by the next one.
        """
        if self._request_transforms:
            data = self._request_transforms.feed(data)
        if data:
            self._send_transformed(connection, data)

    def _send_transformed(self, connection: UpstreamConnection | None, data: bytes) -> None:
        if self._taps:
            self._taps.feed(data)
        if self._request_framing is CHUNKED:
            data = chunk(data)
        if self._attempts is not None:
            self._attempts.keep(data)
        if connection is not None:
            connection.write(data)

    def _end_request(self, trailers: FieldSection) -> None:
        connection = self._connection
        if self._request_transforms:
            data = self._request_transforms.finish()
            assert isinstance(data, bytes)  # IBodyFilter: only a response's may have to wait
            if data:
                self._send_transformed(connection, data)
        if self._taps is not None:
            self._taps.ended()
        if self._attempts is not None:
            self._attempts.keep_end(trailers)
        if connection is not None:
            self._finish_request(connection, trailers)

    def _finish_request(self, connection: UpstreamConnection, trailers: FieldSection) -> None:
        connection.finish(last_chunk(trailers) if self._request_framing is CHUNKED else b"")


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the content is larger than {limit} bytes")
