"""Which server each session of an application lives on: a bounded table that forgets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic


class LearntSessions:
    """Sessions and their servers' names, in the order of their last use.

    It outlives a reload of the configuration, which may change how long and how much is
    remembered; so these are arguments.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Begin with none.

        :param clock: as ``time.monotonic``, in seconds.
        """
        self._clock = clock
        self._sessions: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, session: bytes, seconds: float) -> str | None:
        """Give a session's server; that is a use of it.

        :param seconds: how long it is remembered after its last use.
        :returns: the server's name, or ``None``.
        """
        known = self._sessions.get(session)
        if known is None:
            return None
        now = self._clock()
        name, used = known
        if used + seconds <= now:
            del self._sessions[session]
            return None
        self._sessions[session] = (name, now)
        self._sessions.move_to_end(session)
        return name

    def learn(self, session: bytes, server: str, seconds: float, most: int) -> None:
        """Remember where a session lives.

        :param server: the server's name.
        :param seconds: how long a session is remembered after its last use.
        :param most: how many are; those that were not used for longest go.
        """
        now = self._clock()
        sessions = self._sessions
        sessions[session] = (server, now)
        sessions.move_to_end(session)
        while len(sessions) > most or next(iter(sessions.values()))[1] + seconds <= now:
            sessions.popitem(last=False)
