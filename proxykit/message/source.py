"""Content of an answer made here that is not held in memory: it comes piece by piece."""

from __future__ import annotations

from typing import Protocol

from ..errors import ProxykitError
from .fields import FieldSection


class ContentTaker(Protocol):
    """Who takes the content: the relay, in the words in which a server's content comes to it."""

    def content_received(self, data: bytes) -> None:
        """Here is a piece."""

    def flush(self) -> None:
        """There is no more for now: send what there is."""

    def response_ended(self, trailers: FieldSection) -> None:
        """The content is complete; ``flush`` need not be called."""

    def response_failed(self, error: ProxykitError, *, untouched: bool) -> None:
        """There will be no more, and the content is not complete.

        :param untouched: ``False`` from a source.
        """


class ContentSource(Protocol):
    """Gives a response's content to one taker, once.

    Its life: ``start`` at most once, after the head was sent; then pieces, of which the source
    decides the size; ``pause`` and ``resume`` in any order and number; and at the end either its
    own ``response_ended`` or ``response_failed``, or the taker's ``stop``. A source whose response
    is not sent (for HEAD, or when a filter replaced it) is stopped without having been started.

    :ivar size: of the content in bytes, ``None`` when it is not known before its end.
    """

    size: int | None

    def start(self, taker: ContentTaker) -> None:
        """Begin; the taker may be called at once."""

    def pause(self) -> None:
        """Give no more for now: the client is slower. A piece that is on its way may still come."""

    def resume(self) -> None:
        """Go on."""

    def stop(self) -> None:
        """Nobody wants more: let go of files and timers, and call the taker no more."""
