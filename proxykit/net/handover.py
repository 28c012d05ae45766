"""Leaving a connection to another protocol: after a preface, a handshake, a header."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol
from twisted.protocols.policies import ProtocolWrapper


def hand_over(transport: Any, protocol: Protocol) -> None:
    """Let a transport speak to another protocol from now on.

    Nothing stays between the two, so a connection costs afterwards what any other does.

    :param transport: a TCP or UNIX transport of Twisted's or ours, or TLS over one.
    :param protocol: is connected to it.
    """
    if isinstance(transport, ProtocolWrapper):
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol
    protocol.makeConnection(transport)
