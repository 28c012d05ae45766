"""What a transport holds because its peer is slower than who writes to it."""

from __future__ import annotations

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
    """Give how many bytes of what was written the kernel has not taken yet.

    :returns: 0 for a transport that is not one of Twisted's on a file descriptor.
    """
    lowest = _lowest(transport)
    if not isinstance(lowest, FileDescriptor):
        return 0
    buffered: int = len(lowest.dataBuffer) - lowest.offset + lowest._tempDataLen
    return buffered


def _lowest(transport: Any) -> Any:
    while (below := getattr(transport, "transport", None)) is not None:
        transport = below
    return transport
