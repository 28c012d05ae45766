"""SOCKS, the server's and the client's part: versions 4, 4a and 5, sans-io.

Version 5 is RFC 1928, its user and password RFC 1929; version 4 is the memo "SOCKS: A protocol for
TCP proxy across firewalls" (Koblas, Lee), 4a the memo "SOCKS 4A: A simple extension to SOCKS 4
protocol" (Lee). Both parts read as far as a message goes and no further: what a peer sends behind
it belongs to the connection that SOCKS was asked for.
"""

from __future__ import annotations

import enum
import ipaddress
import re
import struct

from attrs import frozen

# RFC 1928 section 5 knows names of up to 255 bytes; the characters are those of a request target's
# host (message.target), so that no name means one thing here and another there.
_NAME = re.compile(rb"[A-Za-z0-9._~-]{1,253}\Z")
# The memos bound neither the user's id nor 4a's name. Both end with a zero byte.
_MOST_USER_ID = 255
_MOST_NAME = 255


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


_IPV4, _DOMAIN, _IPV6 = 1, 3, 4
_GRANTED_4, _REJECTED_4 = 0x5A, 0x5B


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
            code = _GRANTED_4 if reply is Reply.SUCCEEDED else _REJECTED_4
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
            host = _host(buffer[end:name_end])
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


def _host(name: bytes) -> str:
    """Give a name in lower case; one that is an address is that address.

    :raises MalformedSocks: when it is neither.
    """
    try:
        return str(ipaddress.ip_address(name.decode("ascii").strip("[]")))
    except ValueError:
        if not _NAME.match(name):
            raise MalformedSocks("the destination is neither a name nor an address") from None
        return name.decode("ascii").lower()


# --- addresses, as requests, replies and datagrams have them ----------------------------------


def decode_address(data: bytes, start: int) -> tuple[str, int, int] | None:
    """Read ``ATYP ADDR PORT`` (RFC 1928 section 5).

    :returns: host, port, and where it ends; ``None`` when more has to come.
    :raises MalformedSocks: when it is none.
    """
    if len(data) <= start:
        return None
    kind = data[start]
    start += 1
    if kind == _DOMAIN:
        if len(data) <= start:
            return None
        size = data[start]
        start += 1
    elif kind in (_IPV4, _IPV6):
        size = 4 if kind == _IPV4 else 16
    else:
        raise MalformedSocks(f"{kind} is not a type of address")
    end = start + size + 2
    if len(data) < end:
        return None
    raw = bytes(data[start : start + size])
    host = _host(raw) if kind == _DOMAIN else str(ipaddress.ip_address(raw))
    return host, int.from_bytes(data[end - 2 : end], "big"), end


def encode_address(host: str, port: int) -> bytes:
    """Write ``ATYP ADDR PORT`` (RFC 1928 section 5).

    :param host: an IP address or a name of at most 255 bytes.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.encode("ascii")
        return bytes((_DOMAIN, len(name))) + name + port.to_bytes(2, "big")
    kind = _IPV4 if address.version == 4 else _IPV6
    return bytes((kind,)) + address.packed + port.to_bytes(2, "big")


@frozen(slots=True)
class Datagram:
    """A datagram between a client and its relay (RFC 1928 section 7).

    :ivar host: where it goes to, or where it came from.
    """

    host: str
    port: int
    data: bytes


def decode_datagram(data: bytes) -> Datagram | None:
    """Read a datagram.

    :returns: ``None`` for a fragment: "an implementation that does not support fragmentation MUST
        drop any datagram whose FRAG field is other than X'00'".
    :raises MalformedSocks: when it is none.
    """
    if len(data) < 4 or data[:2] != b"\0\0":
        raise MalformedSocks("the datagram has no header")
    if data[2]:
        return None
    found = decode_address(data, 3)
    if found is None:
        raise MalformedSocks("the datagram's header is cut short")
    host, port, end = found
    return Datagram(host, port, data[end:])


def encode_datagram(datagram: Datagram) -> bytes:
    """Write a datagram."""
    return b"\0\0\0" + encode_address(datagram.host, datagram.port) + datagram.data


# --- the client's part ------------------------------------------------------------------------


class CredentialsRefused(Exception):
    """The server wants a user and a password, or others."""


class RequestRefused(Exception):
    """The server works, and does not connect to the destination.

    :ivar reply: why.
    """

    def __init__(self, reply: Reply) -> None:
        """Take the reason."""
        super().__init__(reply.name.lower().replace("_", " "))
        self.reply = reply


class _Asked(enum.Enum):
    """What the client's part waits for."""

    METHOD = "method"
    CREDENTIALS = "credentials"
    REPLY = "reply"
    REPLY_4 = "reply of version 4"
    DONE = "done"


class ClientHandshake:
    """The client's part: asks a server for a connection.

    Names are sent as names: they are resolved there and not here.

    :ivar rest: what came behind the handshake, ``None`` while that is not complete.
    """

    def __init__(
        self, version: int, host: str, port: int, user: bytes = b"", password: bytes = b""
    ) -> None:
        """Describe what is asked for.

        :param version: 4 (with 4a for names) or 5.
        :param user: ``b""`` for none; version 4 sends it as the user's id.
        """
        self._version = version
        self._host = host
        self._port = port
        self._user = user
        self._password = password
        self._buffer = b""
        self._asked = _Asked.METHOD if version == 5 else _Asked.REPLY_4
        self.rest: bytes | None = None

    def __repr__(self) -> str:
        return f"<ClientHandshake SOCKS{self._version} {self._host}:{self._port}>"

    def begin(self) -> bytes:
        """Give what is sent first.

        :raises RequestRefused: for an IPv6 address in version 4, which has none.
        """
        if self._version == 5:
            methods = (Method.NONE, Method.PASSWORD) if self._user else (Method.NONE,)
            return bytes((5, len(methods), *methods))
        name = b""
        try:
            address = ipaddress.ip_address(self._host)
        except ValueError:
            packed, name = b"\0\0\0\1", self._host.encode("ascii") + b"\0"
        else:
            if address.version != 4:
                raise RequestRefused(Reply.ADDRESS_NOT_SUPPORTED)
            packed = address.packed
        return struct.pack("!BBH", 4, 1, self._port) + packed + self._user + b"\0" + name

    def received(self, data: bytes) -> bytes:
        """Take what came.

        :returns: what to send now.
        :raises MalformedSocks: when it is not SOCKS.
        :raises CredentialsRefused: when the server wants others, or any.
        :raises RequestRefused: when the server does not connect.
        """
        self._buffer += data
        answer = b""
        while self.rest is None and (step := self._step()) is not None:
            answer += step
        return answer

    def _step(self) -> bytes | None:
        """Read one message; give what it is answered with, ``None`` when more has to come."""
        buffer = self._buffer
        if self._asked is _Asked.REPLY_4:
            return self._reply_4(buffer)
        if self._asked is _Asked.REPLY:
            return self._reply_5(buffer)
        if len(buffer) < 2:
            return None
        self._buffer = buffer[2:]
        if self._asked is _Asked.CREDENTIALS:
            if buffer[1]:
                raise CredentialsRefused("the user and password were refused")
            return self._request()
        if buffer[0] != 5:
            raise MalformedSocks("the answer is not of SOCKS version 5")
        if buffer[1] == Method.NONE:
            return self._request()
        if buffer[1] != Method.PASSWORD or not self._user:
            raise CredentialsRefused("a user and password are asked for")
        self._asked = _Asked.CREDENTIALS
        user, password = self._user, self._password
        return bytes((1, len(user))) + user + bytes((len(password),)) + password

    def _request(self) -> bytes:
        self._asked = _Asked.REPLY
        return bytes((5, Command.CONNECT, 0)) + encode_address(self._host, self._port)

    def _reply_5(self, buffer: bytes) -> bytes | None:
        if len(buffer) < 2:
            return None
        if buffer[0] != 5:
            raise MalformedSocks("the reply is not of SOCKS version 5")
        if buffer[1]:
            raise RequestRefused(_reply(buffer[1]))
        if len(buffer) < 5:
            return None
        # The bound address is nobody's business here, whatever kind of name it may be.
        sizes = {_IPV4: 4, _IPV6: 16, _DOMAIN: 1 + buffer[4]}
        if buffer[3] not in sizes:
            raise MalformedSocks(f"{buffer[3]} is not a type of address")
        return self._done(buffer, 4 + sizes[buffer[3]] + 2)

    def _reply_4(self, buffer: bytes) -> bytes | None:
        if len(buffer) < 2:
            return None
        if buffer[0]:
            raise MalformedSocks("the reply is not of SOCKS version 4")
        if buffer[1] in (0x5C, 0x5D):
            raise CredentialsRefused("the user's id is not accepted")
        if buffer[1] != _GRANTED_4:
            raise RequestRefused(Reply.FAILED)
        return self._done(buffer, 8)

    def _done(self, buffer: bytes, end: int) -> bytes | None:
        if len(buffer) < end:
            return None
        self._buffer = b""
        self._asked = _Asked.DONE
        self.rest = buffer[end:]
        return b""


def _reply(code: int) -> Reply:
    try:
        return Reply(code)
    except ValueError:
        return Reply.FAILED
