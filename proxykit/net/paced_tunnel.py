"""A tunnel whose two ways go at the pace of their buckets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from .flow import Flow
from .pacing import Bucket
from .tunnel import Joint, Tunnel

Count = Callable[[int], bool]
"""Is told how many bytes pass; gives ``False`` when they may not, for then it closed the tunnel."""


@implementer(IPushProducer)
class _Way:
    """One way of a tunnel: from a transport, through a flow, to the other transport."""

    def __init__(
        self,
        source: Any,
        buckets: Sequence[Bucket],
        deliver: Callable[[bytes], None],
    ) -> None:
        self._source = source
        self.flow = Flow(buckets, deliver, self._hold)

    def _hold(self, hold: bool) -> None:
        if hold:
            self._source.pauseProducing()
        else:
            self._source.resumeProducing()

    def pauseProducing(self) -> None:
        """The transport that it goes to is full."""
        self.flow.block(True)

    def resumeProducing(self) -> None:
        """The transport that it goes to takes more."""
        self.flow.block(False)

    def stopProducing(self) -> None:
        """The transport that it goes to is being lost; the tunnel hears of that by itself."""


class PacedTunnel(Tunnel):
    """Carries bytes as a ``Tunnel`` does, but each way at its pace."""

    def __init__(
        self,
        joint: Joint,
        upload: tuple[Sequence[Bucket], Count],
        download: tuple[Sequence[Bucket], Count],
    ) -> None:
        """Join two transports; see ``Tunnel``.

        :param upload: what paces and counts what the client sends.
        :param download: and what the other side sends.
        """
        client, upstream = joint.client, joint.upstream
        self._upload = _Way(client, upload[0], partial(self._deliver, upstream, upload[1]))
        self._download = _Way(upstream, download[0], partial(self._deliver, client, download[1]))
        super().__init__(joint)

    def _register_producers(self) -> None:
        self._client.registerProducer(self._download, True)
        self._upstream.registerProducer(self._upload, True)

    def _deliver(self, transport: Any, count: Count, data: bytes) -> None:
        if count(len(data)):
            self.deadline = monotonic() + self._idle_seconds
            transport.write(data)

    def client_received(self, data: bytes) -> None:
        """See ``Tunnel``."""
        self.from_client_bytes += len(data)
        self._upload.flow.feed(data)

    def upstream_received(self, data: bytes) -> None:
        """See ``Tunnel``."""
        self.from_upstream_bytes += len(data)
        self._download.flow.feed(data)

    def client_ended(self) -> None:
        """See ``Tunnel``; what it sent before goes first."""
        self._upload.flow.end(super().client_ended)

    def upstream_ended(self) -> None:
        """See ``Tunnel``; what it sent before goes first."""
        self._download.flow.end(super().upstream_ended)

    def deadline_passed(self) -> None:
        """See ``Tunnel``; nobody is idle who waits for a bucket."""
        if self._upload.flow.is_waiting or self._download.flow.is_waiting:
            self.deadline = monotonic() + self._idle_seconds
        else:
            super().deadline_passed()

    def _end(self, reason: str) -> None:
        if self._ended is not None:
            for way in (self._upload, self._download):
                # What one side sent before it was lost is still the other's.
                way.flow.drain()
                way.flow.close()
        super()._end(reason)
