"""Those who wait for the head of a response, and how long they wait for somebody else's request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic

from ..net.sweeper import NEVER, Sweeper
from .reader import Reader


class Waiting:
    """Readers in the order in which they came.

    :ivar deadline: see ``net.sweeper``; then those whose request was not sent wait no more.
    """

    __slots__ = ("_give_up", "_lock_seconds", "_patient", "_readers", "_sweeper", "deadline")

    def __init__(
        self,
        sweeper: Sweeper,
        lock_seconds: float,
        give_up: Callable[[Reader], None],
        *,
        background: bool,
    ) -> None:
        """Begin with nobody.

        :param lock_seconds: how long others than the first wait, from when the second one comes.
        :param give_up: takes a reader that has waited too long, and is here no more.
        :param background: whether the request that was sent is nobody's: then nobody is patient.
        """
        self._sweeper = sweeper
        self._lock_seconds = lock_seconds
        self._give_up = give_up
        # The first one's request is the one that is under way, unless nobody's is.
        self._patient = 0 if background else 1
        self._readers: list[Reader] = []
        self.deadline = NEVER

    def __len__(self) -> int:
        return len(self._readers)

    def __iter__(self) -> Iterator[Reader]:
        """Give those who wait now, whatever becomes of them meanwhile."""
        return iter(self._readers[:])

    @property
    def asked_first(self) -> Reader | None:
        """The one whose request was sent, ``None`` when that is nobody's, or nobody is there."""
        return self._readers[0] if self._patient and self._readers else None

    def add(self, reader: Reader) -> None:
        """Take one more; the second one starts the clock."""
        self._readers.append(reader)
        if len(self._readers) > 1 and self.deadline is NEVER:
            self.deadline = monotonic() + self._lock_seconds
            self._sweeper.add(self)

    def remove(self, reader: Reader) -> None:
        """Forget one, if it is here."""
        if reader in self._readers:
            self._readers.remove(reader)

    def stop_clock(self) -> None:
        """The head is here, or none will come: the lock is over."""
        self.deadline = NEVER
        self._sweeper.discard(self)

    def take_all(self) -> list[tuple[Reader, bool]]:
        """Give all, with whether it is this one whose request was sent; nobody waits then."""
        readers, self._readers = self._readers, []
        return [(reader, index < self._patient) for index, reader in enumerate(readers)]

    def deadline_passed(self) -> None:
        """Called by the sweeper: who waits for somebody else's request asks for themselves."""
        self.stop_clock()
        others = self._readers[self._patient :]
        del self._readers[self._patient :]
        for reader in others:
            self._give_up(reader)
