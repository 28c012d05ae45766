"""Those who read what a fetch brings, while it arrives."""

from __future__ import annotations

from attrs import evolve

from ..upstream.connection import UpstreamConnection
from .arriving import Arriving
from .delivery import Delivery
from .gaps import Parts
from .heads import Arrival
from .joined import JoinedBody
from .pace import Pace
from .reader import Reader
from .stored import StoredHead

_WORTH_FINISHING = 1024 * 1024  # what is left of a response that nobody waits for any more


class Readership:
    """The readers of one response, and what they read.

    :ivar content: what arrives.
    """

    __slots__ = ("_arrival", "_delivery", "_pace", "_parts", "_readers", "content")

    def __init__(
        self,
        delivery: Delivery,
        arrival: Arrival,
        content: Arriving,
        parts: Parts | None,
        most_behind: int,
    ) -> None:
        """Begin with nobody.

        :param parts: whose gap the response fills: everybody reads these and what arrives as one.
        :param most_behind: who is further behind the fastest is left behind, in bytes, where
            content is not kept.
        """
        self.content = content
        self._delivery = delivery
        self._arrival = arrival
        self._parts = parts
        self._readers: list[Reader] = []
        self._pace = Pace(most_behind, self._has_read)

    def __len__(self) -> int:
        return len(self._readers)

    @property
    def head(self) -> StoredHead:
        """The head of what arrives."""
        return self._arrival.head

    @property
    def is_worth_finishing(self) -> bool:
        """Whether so little is left that it is to be stored though nobody waits for it."""
        head = self.head
        expected = head.span.size if head.span is not None else head.complete
        if expected is None:
            return False
        left = expected - self.content.size
        return left <= _WORTH_FINISHING or left <= expected // 2

    def add(self, reader: Reader, *, first: bool, kept: bool) -> None:
        """Let a reader begin, unless this is not for it.

        :param first: whether it is this reader's request that was sent.
        :param kept: whether what arrives is being stored.
        """
        self._readers.append(reader)
        arrival = self._arrival
        body: Arriving | JoinedBody = self.content
        if self._parts is not None:
            head, body = self._parts.filled(arrival.head, self.content)
            arrival = evolve(arrival, head=head)
        if not self._delivery.arriving(reader, arrival, body, first=first, kept=kept):
            self.remove(reader)

    def remove(self, reader: Reader) -> None:
        """Forget one, if it is here."""
        if reader in self._readers:
            self._readers.remove(reader)

    def take_all(self) -> list[Reader]:
        """Give all; nobody reads then."""
        readers, self._readers = self._readers, []
        return readers

    def pump(self) -> None:
        """Let everybody read what is there."""
        for reader in self._readers[:]:
            reader.pump()

    def flush(self) -> None:
        """Let everybody read what one read from the server has brought."""
        for reader in self._readers[:]:
            reader.pump()
            if not reader.is_done:
                reader.relay.flush()

    def keep_pace(self, connection: UpstreamConnection | None) -> None:
        """Let go of what nobody needs any more, and hold the server back: see ``Pace``."""
        self._pace.keep(self.content, self._readers, connection)

    def _has_read(self, reader: Reader) -> int:
        """Give how much of what arrives a reader has read."""
        if self._parts is None:
            return reader.position
        return min(max(0, reader.position - self._parts.stored_before_gap), self.content.size)
