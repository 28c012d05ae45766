"""Servers as a source finds them, and the plainest source: a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen
from zope.interface import implementer

from ..interfaces import IServerSource

MOST_SERVERS = 1024
"""What a source may find: more is no pool but a mistake, or an attack on a name server."""


@frozen(slots=True)
class FoundServer:
    """A server that a source has found.

    :ivar url: ``http://host:port``, ``https://host:port`` or ``unix:/path``; a server's identity.
    :ivar weight: its share.
    :ivar backup: whether it serves only when no other does.
    :ivar server_name: the name that its certificate is for, and that ``host = "server"`` sends;
        ``""`` when the URL says it.
    """

    url: str
    weight: float = 1
    backup: bool = False
    server_name: str = ""


Found = Callable[[Sequence[FoundServer]], None]


@implementer(IServerSource)
class ListSource:
    """Servers that are known from the beginning."""

    def __init__(self, servers: Sequence[FoundServer]) -> None:
        """Take them."""
        self.servers = tuple(servers)

    def start(self, found: Found) -> None:
        """See ``IServerSource``."""
        found(self.servers)

    def stop(self) -> None:
        """There is nothing to stop."""
