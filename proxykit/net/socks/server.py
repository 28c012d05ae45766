"""The server's part of SOCKS."""

from __future__ import annotations

import enum
import ipaddress
import struct

from attrs import frozen

from .addresses import decode_address, encode_address, host_of
from .words import GRANTED_4, REJECTED_4, MalformedSocks, Method, Reply

# The memos bound neither the user's id nor 4a's name. Both end with a zero byte.
_MOST_USER_ID = 255
_MOST_NAME = 255


# --- what a client says -----------------------------------------------------------------------


@frozen(slots=True)
class Greeting:
    """The methods that a version 5 client offers; ``ServerHandshake.select`` answers."""

    methods: frozenset[int]


@frozen(slots=True)
class Credentials:
    """A user and a password (RFC 1929); ``ServerHandshake.judge`` answers."""

    user: bytes
    password: bytes

    def __repr__(self) -> str:
        return f"Credentials({self.user!r})"


@frozen(slots=True)
class SocksRequest:
    """What a client asks for; ``ServerHandshake.reply`` answers.

    :ivar version: 4 or 5.
    :ivar command: a ``Command``, or the number of one that there is not.
    :ivar host: an IP address in its canonical text, or a name in lower case.
    :ivar user_id: who a version 4 client says that its user is; nothing vouches for that.
    """

    version: int
    command: int
    host: str
    port: int
    user_id: bytes = b""


Event = Greeting | Credentials | SocksRequest


class _Awaited(enum.Enum):
    """What the server's part reads next."""

    VERSION = "version"
    CREDENTIALS = "credentials"
    REQUEST = "request"
    NOTHING = "nothing"


class ServerHandshake:
    """The server's part: reads what a client says, and writes the answers.

    Each event is answered by its method before the next is read.
    """

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._buffer = b""
        self._awaited = _Awaited.VERSION
        self._version = 0

    @property
    def version(self) -> int:
        """The client's version, 0 while it said none."""
        return self._version

    @property
    def buffered(self) -> int:
        """How many bytes were read and belong to no event yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._buffer += data

    def rest(self) -> bytes:
        """Give what came behind the request."""
        rest, self._buffer = self._buffer, b""
        return rest

    def next_event(self) -> Event | None:
        """Give what the client says next, ``None`` when more has to come.

        :raises MalformedSocks: when it is not SOCKS.
        """
        if not self._buffer or self._awaited is _Awaited.NOTHING:
            return None
        if self._awaited is _Awaited.VERSION:
            self._version = self._buffer[0]
            if self._version == 4:
                return self._request_4()
            if self._version == 5:
                return self._greeting()
            raise MalformedSocks(f"{self._version} is not a version of SOCKS")
        if self._awaited is _Awaited.CREDENTIALS:
            return self._credentials()
        return self._request_5()

    # --- answers ------------------------------------------------------------------------------

    def select(self, method: Method) -> bytes:
        """Answer a greeting (RFC 1928 section 3).

        :param method: one that was offered, or ``NOT_ACCEPTABLE``: then the client has to go.
        """
        if method is Method.PASSWORD:
            self._awaited = _Awaited.CREDENTIALS
        elif method is Method.NONE:
            self._awaited = _Awaited.REQUEST
        return bytes((5, method))

    def judge(self, *, accepted: bool) -> bytes:
        """Answer a user and a password (RFC 1929 section 2); a client that is refused has to go."""
        self._awaited = _Awaited.REQUEST if accepted else _Awaited.NOTHING
        return bytes((1, 0 if accepted else 1))

    def reply(self, reply: Reply, host: str = "0.0.0.0", port: int = 0) -> bytes:
        """Answer a request (RFC 1928 section 6; the memo on version 4).

        :param host: the address that was bound, if anybody is to know.
        """
        address = ipaddress.ip_address(host)
        address = getattr(address, "ipv4_mapped", None) or address
        if self._version == 4:
            packed = address.packed if address.version == 4 else b"\0\0\0\0"
            code = GRANTED_4 if reply is Reply.SUCCEEDED else REJECTED_4
            return struct.pack("!BBH", 0, code, port) + packed
        return bytes((5, reply, 0)) + encode_address(str(address), port)

    # --- parts --------------------------------------------------------------------------------

    def _take(self, size: int) -> bytes | None:
        """Take a message off the buffer, if all of it is there."""
        if len(self._buffer) < size:
            return None
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _greeting(self) -> Greeting | None:
        if len(self._buffer) < 2:
            return None
        message = self._take(2 + self._buffer[1])
        if message is None:
            return None
        self._awaited = _Awaited.NOTHING
        return Greeting(frozenset(message[2:]))

    def _credentials(self) -> Credentials | None:
        buffer = self._buffer
        if buffer[0] != 1:
            raise MalformedSocks("the version of the user and password is not 1")
        if len(buffer) < 2 or len(buffer) < 3 + buffer[1]:
            return None
        user_size = buffer[1]
        message = self._take(3 + user_size + buffer[2 + user_size])
        if message is None:
            return None
        self._awaited = _Awaited.NOTHING
        return Credentials(message[2 : 2 + user_size], message[3 + user_size :])

    def _request_5(self) -> SocksRequest | None:
        if self._buffer[0] != 5:
            raise MalformedSocks("the request is not of version 5")
        if len(self._buffer) < 4:
            return None
        found = decode_address(self._buffer, 3)
        if found is None:
            return None
        host, port, end = found
        message = self._take(end)
        assert message is not None
        self._awaited = _Awaited.NOTHING
        return SocksRequest(5, message[1], host, port)

    def _request_4(self) -> SocksRequest | None:
        """Read ``VN CD DSTPORT DSTIP USERID NUL``, and 4a's ``NAME NUL`` behind it."""
        buffer = self._buffer
        if len(buffer) < 9:
            return None
        command, port = buffer[1], int.from_bytes(buffer[2:4], "big")
        user_end = _zero(buffer, 8, _MOST_USER_ID, "the user's id")
        if user_end is None:
            return None
        end = user_end + 1
        # 4a: 0.0.0.x with x not 0 says that a name follows.
        if buffer[4:7] == b"\0\0\0" and buffer[7]:
            name_end = _zero(buffer, end, _MOST_NAME, "the name")
            if name_end is None:
                return None
            host = host_of(buffer[end:name_end])
            end = name_end + 1
        else:
            host = str(ipaddress.IPv4Address(buffer[4:8]))
        self._take(end)
        self._awaited = _Awaited.NOTHING
        return SocksRequest(4, command, host, port, buffer[8:user_end])


def _zero(buffer: bytes, start: int, most: int, what: str) -> int | None:
    """Find the zero byte that ends a text; ``None`` when it has not come."""
    end = buffer.find(b"\0", start, start + most + 1)
    if end < 0:
        if len(buffer) > start + most:
            raise MalformedSocks(f"{what} does not end")
        return None
    return end
