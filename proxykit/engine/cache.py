"""What the relay needs of a cache, and what a cache gives in the place of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .relay import Relay


class Cache(Protocol):
    """A route's cache: stands between the filters of requests and the route's upstream."""

    def take(self, relay: Relay) -> bool:
        """Answer an exchange, at once or later.

        :returns: ``False`` to have it sent upstream as if there were no cache; then
            ``relay.watch`` may have been set.
        """


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
