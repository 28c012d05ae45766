"""What holds back, and what counts, the content of an exchange: the relay's side of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from attrs import frozen

from ..errors import ProxykitError
from ..net.flow import Flow
from ..net.paced_tunnel import PacedTunnel
from ..net.pacing import Bucket
from ..net.tunnel import Joint, Tunnel
from .exchange import Exchange


class Meter(Protocol):
    """Counts what passes in one exchange, and may end it."""

    def begin(self, cut: Callable[[ProxykitError], None]) -> None:
        """The exchange goes on its way.

        :param cut: ends it, with an answer if none has begun.
        """

    def received(self, size: int) -> ProxykitError | None:
        """So many bytes are about to go from the client; an error ends the exchange instead."""

    def sent(self, size: int) -> ProxykitError | None:
        """So many bytes are about to go to the client; an error ends the exchange instead."""

    def ended(self) -> None:
        """The exchange is over."""


@frozen(slots=True, eq=False)
class Pacing:
    """What one filter has to say of the pace of one exchange.

    :ivar download: the buckets of what goes to the client.
    :ivar upload: the buckets of what comes from it; one may be in both.
    :ivar meter: what counts it.
    """

    download: tuple[Bucket, ...] = ()
    upload: tuple[Bucket, ...] = ()
    meter: Meter | None = None


class Outlets(Protocol):
    """What the relay does with what a flow lets go on, and whom it holds back."""

    def request_may_go(self, data: bytes) -> None:
        """Send content of the request to the server."""

    def response_may_go(self, data: bytes) -> None:
        """Send content of the response to the client."""

    def hold_client(self, hold: bool) -> None:
        """Read no more of the request's content, or read again."""

    def hold_response(self, hold: bool) -> None:
        """Take no more of the response's content, or take again."""

    def fail(self, error: ProxykitError) -> None:
        """End the exchange."""


class ExchangePacing:
    """The pace of one exchange, and of the tunnel that it may become.

    :ivar request: the flow of the request's content.
    :ivar response: the flow of the response's content.
    """

    __slots__ = ("_download", "_meters", "_outlets", "_tunnel", "_upload", "request", "response")

    def __init__(self, pacings: list[Pacing], outlets: Outlets) -> None:
        """Begin.

        :param pacings: of all filters that have one.
        """
        self._download = [bucket for pacing in pacings for bucket in pacing.download]
        self._upload = [bucket for pacing in pacings for bucket in pacing.upload]
        self._meters = [pacing.meter for pacing in pacings if pacing.meter is not None]
        self._outlets = outlets
        self._tunnel: Tunnel | None = None
        self.request = Flow(self._upload, self._request_may_go, outlets.hold_client)
        self.response = Flow(self._download, self._response_may_go, outlets.hold_response)
        for meter in self._meters:
            meter.begin(self._cut)

    @classmethod
    def made_by(
        cls, steps: tuple[Callable[[Exchange], Any], ...], exchange: Exchange, outlets: Outlets
    ) -> ExchangePacing | None:
        """Ask each filter; ``None`` when none has anything to say of this exchange."""
        found = [pacing for step in steps if (pacing := step(exchange)) is not None]
        return cls(found, outlets) if found else None

    def tunnel(self, joint: Joint) -> Tunnel:
        """Make the tunnel that the exchange becomes, at the same pace; see ``net.tunnel``."""
        for flow in (self.request, self.response):
            flow.close()
        self._tunnel = tunnel = PacedTunnel(
            joint, (self._upload, self._counts_received), (self._download, self._counts_sent)
        )
        return tunnel

    def close(self) -> None:
        """The exchange is over."""
        self.request.close()
        self.response.close()
        meters, self._meters = self._meters, []
        for meter in meters:
            meter.ended()

    def _request_may_go(self, data: bytes) -> None:
        if self._counts_received(len(data)):
            self._outlets.request_may_go(data)

    def _response_may_go(self, data: bytes) -> None:
        if self._counts_sent(len(data)):
            self._outlets.response_may_go(data)

    def _counts_received(self, size: int) -> bool:
        for meter in self._meters:
            if (error := meter.received(size)) is not None:
                self._cut(error)
                return False
        return True

    def _counts_sent(self, size: int) -> bool:
        for meter in self._meters:
            if (error := meter.sent(size)) is not None:
                self._cut(error)
                return False
        return True

    def _cut(self, error: ProxykitError) -> None:
        tunnel = self._tunnel
        if tunnel is not None:
            tunnel.close(str(error))
        else:
            self._outlets.fail(error)
