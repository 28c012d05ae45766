"""What both parts of SOCKS say."""

from __future__ import annotations

import enum

GRANTED_4, REJECTED_4 = 0x5A, 0x5B
"""The answers of version 4."""


class MalformedSocks(Exception):
    """What a peer sent is not SOCKS; the message says why."""


class Method(enum.IntEnum):
    """How a client may authenticate (RFC 1928 section 3)."""

    NONE = 0
    PASSWORD = 2
    NOT_ACCEPTABLE = 0xFF


class Command(enum.IntEnum):
    """What a client asks for (RFC 1928 section 4)."""

    CONNECT = 1
    BIND = 2
    UDP_ASSOCIATE = 3


class Reply(enum.IntEnum):
    """How a request went (RFC 1928 section 6)."""

    SUCCEEDED = 0
    FAILED = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    TTL_EXPIRED = 6
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_NOT_SUPPORTED = 8
