"""The client's part of SOCKS."""

from __future__ import annotations

import enum
import ipaddress
import struct

from .addresses import DOMAIN, IPV4, IPV6, encode_address
from .words import GRANTED_4, Command, MalformedSocks, Method, Reply


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
        sizes = {IPV4: 4, IPV6: 16, DOMAIN: 1 + buffer[4]}
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
        if buffer[1] != GRANTED_4:
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
