"""What a cache is given of an exchange, and what it gives in the place of a connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from ..errors import ProxykitError
from ..message.response import Response
from ..net.files import FileRegion
from ..upstream.connection import ResponseTaker
from .exchange import Exchange


class ResponseSource(Protocol):
    """Where a response comes from that no connection of its own brings.

    It calls the relay as an upstream connection does: ``response_received``, then
    ``content_received`` and ``flush``, at last ``response_ended`` or ``fail``.
    """

    def pause(self) -> None:
        """Give nothing for now: the client is slower."""

    def resume(self) -> None:
        """Give again."""

    def hold(self) -> None:
        """Give nothing for now, not even the end: a filter waits."""

    def unhold(self) -> None:
        """Give what was held, and go on."""

    def abandon(self) -> None:
        """Nobody wants the response any more."""


class Answerable(ResponseTaker, Protocol):
    """An exchange that a cache may answer, and its way to the client: the relay.

    :ivar exchange: what is asked for.
    :ivar watch: sees the head of what upstream answers, where the cache did not take the exchange.
    """

    exchange: Exchange
    watch: Callable[[Response], None] | None

    @property
    def identity(self) -> object:
        """The identity of the client: see ``engine.client.Client``."""

    @property
    def is_filtered(self) -> bool:
        """Whether filters have to see the response or its content, or set its pace."""

    def wait(self, waitable: Awaitable[Any], then: Callable[[Any], None]) -> None:
        """Go on with a result when it is there, unless the exchange has ended by then."""

    def answer(self, response: Response) -> None:
        """Answer with a response that was made here."""

    def send_stored(self, response: Response, fields: bytes, content: bytes | FileRegion) -> None:
        """Answer with what is stored: nothing filters it, and nothing has to be waited for.

        :param response: is not changed, and may be shared by any number of exchanges.
        :param fields: the field lines, Content-Length among them.
        """

    def attach(self, source: ResponseSource) -> None:
        """Take the response from a source, which calls as an upstream connection does."""

    def detach(self) -> None:
        """Let go of a source that has not given anything."""

    def ask_upstream(self) -> None:
        """Send the request to its route's upstream: no cache answers it."""

    def fail(self, error: ProxykitError) -> None:
        """End the exchange with an error: as an answer, or by cutting the response short."""


class Cache(Protocol):
    """A route's cache: stands between the filters of requests and the route's upstream."""

    def take(self, relay: Answerable) -> bool:
        """Answer an exchange, at once or later.

        :returns: ``False`` to have it sent upstream as if there were no cache; then
            ``relay.watch`` may have been set.
        """
