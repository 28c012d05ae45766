"""What a transport holds because its peer is slower than who writes to it."""

from __future__ import annotations

import sys
import termios
from fcntl import ioctl
from typing import Any

from twisted.internet.abstract import FileDescriptor

USUAL_BUFFER = 64 * 1024
"""Bytes that Twisted's transports hold before they pause who writes to them."""


def limit_unsent(transport: Any, size: int) -> None:
    """Say how much a transport holds before it pauses its producer.

    :param transport: a connected one, TLS or plain; of a TLS transport, it is the TCP transport
        below that holds what was encrypted.
    :param size: in bytes.
    """
    _lowest(transport).bufferSize = size


def unsent(transport: Any) -> int:
    """Give how many bytes of what was written the peer has not taken yet.

    While there are any here, those in the kernel's queue count too: it asks for more only when a
    third of some megabytes is free, which can take a slow peer minutes.

    :returns: 0 when the kernel has them all, and for a transport that is not one of Twisted's on a
        file descriptor.
    """
    lowest = _lowest(transport)
    if not isinstance(lowest, FileDescriptor):
        return 0
    buffered: int = len(lowest.dataBuffer) - lowest.offset + lowest._tempDataLen
    return buffered + _in_kernel(lowest.fileno()) if buffered else 0


def _in_kernel(descriptor: int) -> int:
    try:
        # The name is a terminal's; for a socket the same number means SIOCOUTQ, see tcp(7).
        answer = ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return 0  # not every system and kind of socket can tell
    return int.from_bytes(answer, sys.byteorder)


def _lowest(transport: Any) -> Any:
    while (below := getattr(transport, "transport", None)) is not None:
        transport = below
    return transport
