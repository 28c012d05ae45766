"""A relay of a cache's own: it takes the road from the upstream on, and no client stands before it.

What a client's connection is asked for is answered here, so that there need be none.
"""

from __future__ import annotations

from typing import cast

from attrs import frozen

from ..engine.client import Client
from ..engine.exchange import Exchange
from ..engine.pipeline import EMPTY_CHAIN, Pipeline, Route
from ..engine.relay import Relay
from ..net.proxy_protocol import NOBODY, ProxyHeader
from ..upstream.connection import UpstreamConnection


@frozen(slots=True, eq=False)
class _Identity:
    """All that there is of a client; every call to one is overridden in ``Clientless``."""

    identity: object


class Clientless(Relay):
    """An exchange that nobody filters and nobody observes, for a request without content."""

    __slots__ = ()

    def __init__(self, exchange: Exchange, identity: object) -> None:
        """Make one that has not asked yet.

        :param exchange: of its own, on a route.
        :param identity: see ``engine.client.Client``.
        """
        pipeline, route = exchange.pipeline, exchange.route
        assert isinstance(pipeline, Pipeline)
        assert isinstance(route, Route)
        super().__init__(pipeline, exchange, cast(Client, _Identity(identity)))
        self._chain = EMPTY_CHAIN
        self._route = route

    def begin(self) -> None:
        """Ask the server."""
        try:
            self.ask_upstream()
        except Exception as error:
            self._raised(error, self.exchange)

    @property
    def connection(self) -> UpstreamConnection | None:
        """Where the response comes from."""
        return self._connection

    def proxied_for(self) -> ProxyHeader:
        """See ``upstream.ConnectionTaker``: what is for a crowd is for nobody of it."""
        return NOBODY

    def pause_sending(self) -> None:
        """There is no content to send."""

    def resume_sending(self) -> None:
        """There is no content to send."""

    def _tell_observers(self) -> None:
        """Nobody observes the exchange: it is one of the cache's own."""
