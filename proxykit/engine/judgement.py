"""Sends an exchange past the request filters and the router, and no further: is it allowed?"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from twisted.logger import Logger

from ..message.fields import FieldSection
from ..message.framing import Framing
from ..message.response import Response
from .client import UnseenClient
from .exchange import Exchange
from .pipeline import Pipeline
from .relay import Relay

_log = Logger()


class Judgement(UnseenClient):
    """The client's side of an exchange that only wants to know its status."""

    def __init__(
        self, pipeline: Pipeline, exchange: Exchange, decided: Callable[[int], None]
    ) -> None:
        """Describe what is to be judged.

        :param pipeline: the exchange's. It ends in routes that answer, and has no observers: they
            are told when the exchange is over and not when it is judged.
        :param decided: called once, with the status.
        """
        self._relay = Relay(pipeline, exchange, self)
        self._decided = decided
        self._status = 0

    def start(self) -> None:
        """Begin; the answer comes at once or later."""
        self._relay.start()

    def give_up(self) -> None:
        """Nobody wants to know any more."""
        self._relay.client_lost()

    # --- engine.client.Client -----------------------------------------------------------------

    def send_response(self, response: Response, fields: bytes, framing: Framing) -> None:
        """See what was decided."""
        self._status = response.status

    def end_response(self, trailers: FieldSection) -> None:
        """Say what was decided."""
        self._decided(self._status)

    def abort_response(self) -> None:
        """There is no response that could be cut short."""


def tell_observers(pipeline: Pipeline, exchange: Exchange) -> None:
    """Hand the record of an exchange that no relay finished to those who are told of each.

    :param pipeline: the listener's.
    """
    observers: tuple[Any, ...] = pipeline.observers + pipeline.chain.observers
    record = exchange.record(monotonic())
    for finished in observers:
        try:
            finished(record)
        except Exception:
            _log.failure("an observer failed")
