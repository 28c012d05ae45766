"""The servers that a forward proxy has met: as many as a bound allows."""

from __future__ import annotations

from typing import Generic, TypeVar

from ..upstream.server import Server

_K = TypeVar("_K")
_V = TypeVar("_V")

_MOST_ORIGINS = 4096


class ServerTable(Generic[_K, _V]):
    """Something for each server, and the server, by a key.

    :ivar get: gives the entry of a key, ``None`` when there is none.
    """

    def __init__(self, most: int = _MOST_ORIGINS) -> None:
        """Make an empty table.

        :param most: entries.
        """
        self._most = most
        self._entries: dict[_K, tuple[_V, Server]] = {}
        self.get = self._entries.get

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: _K, value: _V, server: Server) -> None:
        """Take an entry; for want of room others are forgotten, without a connection first."""
        if len(self._entries) >= self._most:
            unused = [key for key, (_, each) in self._entries.items() if each.is_unused]
            for each in unused or list(self._entries):
                self._entries.pop(each)[1].retire()
        self._entries[key] = (value, server)

    def retire(self) -> None:
        """Close what is idle; the table will not be asked again."""
        for _, server in self._entries.values():
            server.retire()
