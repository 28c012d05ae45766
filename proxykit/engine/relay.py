"""Drives one exchange along the whole road: filters, route, upstream, filters, client.

``Relay`` is called from both sides, by the client's connection (what the client sent) and by the
upstream connection (what the server sent), or by a cache in that one's place. It is a ``Road``,
which has the way out; that is a ``Sending``, which has the request's content, and that is a
``Returning``, which has the way back.
"""

from __future__ import annotations

from functools import partial
from time import monotonic

from ..errors import BadResponse, ParentCredentialsRefused, ProxykitError, ResponseIncomplete
from ..http1.writer import status_line
from ..message.response import Response
from ..net.tunnel import Joint, Tunnel
from .forwarding import upgrade_lines
from .road import Road
from .stage import Stage


class Relay(Road):
    """One exchange on its way."""

    __slots__ = ()

    # --- called by the client's side ----------------------------------------------------------

    def client_lost(self) -> None:
        """The client is gone: end at once what is done for it."""
        if self.stage is Stage.ENDED:
            return
        self.exchange.detail = self.exchange.detail or "the client closed the connection"
        self._leave_upstream()
        self._finish()

    def pause_upstream(self) -> None:
        """The client does not take more for now."""
        if self.stage is not Stage.RESPONDING:
            return
        if self._pacing is not None:
            self._pacing.response.block(True)
        elif self._connection is not None:
            self._connection.pause()
        elif self._source is not None:
            self._source.pause()

    def resume_upstream(self) -> None:
        """The client takes more again."""
        if self.stage is not Stage.RESPONDING:
            return
        if self._pacing is not None:
            self._pacing.response.block(False)
        elif self._connection is not None:
            self._connection.resume()
        elif self._source is not None:
            self._source.resume()

    def make_tunnel(self, joint: Joint) -> Tunnel:
        """Make the tunnel that this exchange becomes; see ``net.tunnel``."""
        return Tunnel(joint) if self._pacing is None else self._pacing.tunnel(joint)

    # --- upstream.ResponseTaker ---------------------------------------------------------------

    def interim_received(self, response: Response) -> None:
        """Pass an interim response on (RFC 9110 section 15.2), unless the client is too old."""
        if self.exchange.request.version:
            self._response_begun()
            fields = self._pipeline.rules.response_fields(response, content_length=False)
            self._client.send_interim(
                status_line(response.status, response.reason) + fields + b"\r\n"
            )

    def response_received(self, response: Response) -> None:
        """Take the final response's head."""
        if not self._accepts(response):
            return
        if self.watch is not None:
            self.watch(response)
        if self._chain.response:
            # Content must not overtake filters that wait.
            self._filter_response(response, 0)
        else:
            self._respond(response)

    def _accepts(self, response: Response) -> bool:
        """Take note of what a response says of the server that sent it.

        :returns: whether the response is the exchange's; else another server was asked, or it was
            not meant for the client.
        """
        self.exchange.responded = now = monotonic()
        server, connection = self.server, self._connection
        if server is not None and connection is not None:
            self._latency = seconds = now - connection.asked
            # Below 400 a response says that the server can.
            if response.status < 400:
                server.answered(seconds)
            elif self._is_unwelcome(response, server, seconds):
                return False
            elif response.status == 407 and connection.parent_fields is not None:
                # Meant for this proxy (RFC 9110 section 11.7.1), not for its client.
                self.fail(ParentCredentialsRefused("the parent asks for credentials, or others"))
                return False
        self._response_begun(well=response.status not in self._policy.failures)
        return True

    def _response_begun(self, *, well: bool = True) -> None:
        """From here on no other server can be asked.

        :param well: whether the response says nothing against its server.
        """
        self.stage = Stage.ANSWERED
        if self._attempts is not None:
            self._attempts.answered(self._latency, well=well)

    def response_failed(self, error: ProxykitError, *, untouched: bool) -> None:
        """There will be no more of the response; ask again where that is safe."""
        self._connection = None
        server = self.server
        if server is None:
            self.fail(error)
            return
        is_stale = untouched and isinstance(error, ResponseIncomplete)
        if is_stale and self._repeat_on_new_connection(server):
            return
        if not is_stale:
            server.failed()
        if self.stage < Stage.ANSWERED:
            self._attempt_failed(error, sent=True)
        elif self._pacing is not None and self.stage is Stage.RESPONDING:
            # The client sees the part that came before, at its pace.
            self._pacing.response.end(partial(self.fail, error))
        else:
            self.fail(error)

    def tunnel_offered(self, response: Response, data: bytes) -> None:
        """Join the two connections: the server switched protocols, as the client asked."""
        connection = self._connection
        section = self.exchange.request.section
        if connection is None or not upgrade_lines(section):
            if connection is not None:
                connection.abandon()
            error = BadResponse("the server switched protocols without being asked")
            self.response_failed(error, untouched=False)
            return
        if self._pacing is not None:
            self._pacing.request.drain()
        exchange = self.exchange
        exchange.responded = now = monotonic()
        exchange.status = response.status
        self._latency = now - connection.asked
        if self.server is not None:
            self.server.answered(self._latency)
        self._response_begun()
        fields = self._pipeline.rules.response_fields(response, content_length=False)
        upgrade = response.section.values.get(b"upgrade", b"")
        head = b"%s%sConnection: Upgrade\r\nUpgrade: %s\r\n\r\n" % (
            status_line(response.status, response.reason),
            fields,
            upgrade,
        )
        self._client.start_tunnel(head, connection, data)
