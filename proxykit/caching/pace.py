"""Holds a server back for the fastest of those who read what it sends, and waits for no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..upstream.connection import UpstreamConnection
from .arriving import Arriving
from .plan import SharedFailure
from .reader import Reader

_AHEAD = 256 * 1024  # how far a server may be ahead of the fastest reader, in bytes


class Pace:
    """The pace of content that is not kept: what no reader needs any more is let go."""

    __slots__ = ("_keeping", "_most_behind", "_read", "_stopped")

    def __init__(self, most_behind: int, read: Callable[[Reader], int]) -> None:
        """Begin; the server is not held back.

        :param most_behind: who is further behind the fastest is left behind, in bytes.
        :param read: says how much of the content a reader has read, in bytes.
        """
        self._most_behind = most_behind
        self._read = read
        self._stopped = False
        self._keeping = False

    def keep(
        self,
        content: Arriving,
        readers: Sequence[Reader],
        connection: UpstreamConnection | None,
    ) -> None:
        """Go at the readers' pace; called when any has read on, and when more has arrived.

        :param readers: is changed while this goes on, by those who are left behind.
        """
        if self._keeping or not readers:
            return
        self._keeping = True
        try:
            self._keep(content, readers, connection)
        finally:
            self._keeping = False

    def _keep(
        self,
        content: Arriving,
        readers: Sequence[Reader],
        connection: UpstreamConnection | None,
    ) -> None:
        fastest = max(map(self._read, readers))
        for reader in readers[:]:
            if fastest - self._read(reader) > self._most_behind:
                # It would have the others wait, or the memory grow.
                reader.fail(SharedFailure("the client was too slow for a shared response"))
        content.forget(min(map(self._read, readers), default=fastest))
        ahead = content.size - fastest
        if connection is None:
            return
        if self._stopped and ahead < _AHEAD // 2:
            self._stopped = False
            connection.resume()
        elif not self._stopped and ahead > _AHEAD:
            self._stopped = True
            connection.pause()
