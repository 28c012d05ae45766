"""Reads over a response that nobody wants, so that its connection can be used again."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ProxykitError
from ..message.fields import FieldSection
from ..message.framing import Length, UntilClose
from ..message.response import Response

# What is cheaper to read than a new connection is to make: an error page, not a film.
_MOST = 64 * 1024


def is_short(response: Response) -> bool:
    """Say whether a response's content is worth reading over, as far as its head says."""
    framing = response.framing
    if isinstance(framing, UntilClose):
        return False
    return not isinstance(framing, Length) or framing.size <= _MOST


class Unwanted:
    """Takes what is left of a response in the place of who asked for it; see ``ResponseTaker``."""

    __slots__ = ("_abandon", "_left")

    def __init__(self, abandon: Callable[[], None]) -> None:
        """Begin behind the response's head.

        :param abandon: closes the connection: there is more than is worth reading.
        """
        self._abandon = abandon
        self._left = _MOST

    def interim_received(self, response: Response) -> None:
        """No interim response follows a final one."""

    def response_received(self, response: Response) -> None:
        """The head was taken already."""

    def content_received(self, data: bytes) -> None:
        """Let it go, unless it is too much."""
        self._left -= len(data)
        if self._left < 0:
            self._abandon()

    def response_ended(self, trailers: FieldSection) -> None:
        """The connection is back with its server."""

    def response_failed(self, error: ProxykitError, *, untouched: bool) -> None:
        """Nobody is told: what counted was the head."""

    def tunnel_offered(self, response: Response, data: bytes) -> None:
        """The head was taken already."""

    def flush(self) -> None:
        """Nobody waits."""

    def pause_sending(self) -> None:
        """Nothing is sent."""

    def resume_sending(self) -> None:
        """Nothing is sent."""
