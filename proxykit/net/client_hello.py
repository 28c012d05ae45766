"""Reads the first words of a TLS client, to know which server it wants; sans-io."""

from __future__ import annotations

import re

from attrs import frozen

# RFC 8446 section 5.1: a record holds at most 2^14 bytes. Hellos with post-quantum keys have some
# 2 KiB; nobody needs more than one full record.
_LARGEST = 16 * 1024
_RECORD_HEAD = 5
_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_HOST_NAME = 0
_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?\Z")


class NotClientHello(Exception):
    """These are not the first words of a TLS client."""


@frozen(slots=True)
class ClientHello:
    """What a client says first.

    :ivar server_name: the host that it wants, in lower case, ``""`` when it does not say (RFC 6066
        section 3).
    """

    server_name: str


def begins_tls(data: bytes) -> bool:
    """Say whether a client's first byte is TLS's; no HTTP method begins so."""
    return data[0] == _HANDSHAKE


class HelloReader:
    """Reads a hello that comes in any pieces, and each of its records once."""

    __slots__ = ("_data", "_handshake")

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._data = b""  # of a record that has not come to its end
        self._handshake = bytearray()

    def feed(self, data: bytes) -> ClientHello | None:
        """Take what came.

        :returns: ``None`` when more has to come first.
        :raises NotClientHello: when it is none, or too large.
        """
        self._take_records(self._data + data)
        return _hello(self._handshake)

    def _take_records(self, data: bytes) -> None:
        """Put together what records carry (RFC 8446 section 5.1): a hello may lie in several."""
        position = 0
        # Records behind the hello (RFC 8446 section 2.3: data sent early) are not looked at.
        while len(data) - position >= _RECORD_HEAD and not _is_complete(self._handshake):
            size = int.from_bytes(data[position + 3 : position + 5], "big")
            if data[position] != _HANDSHAKE or data[position + 1] != 3 or not 0 < size <= _LARGEST:
                raise NotClientHello
            end = position + _RECORD_HEAD + size
            if end > len(data):
                break
            self._handshake += data[position + _RECORD_HEAD : end]
            position = end
        self._data = data[position:]


def _is_complete(handshake: bytearray) -> bool:
    """Say whether a hello is all there.

    :raises NotClientHello: when it is none, or too large.
    """
    if handshake and handshake[0] != _CLIENT_HELLO:
        raise NotClientHello
    if len(handshake) < 4:
        return False
    size = int.from_bytes(handshake[1:4], "big")
    if size > _LARGEST:
        raise NotClientHello
    return len(handshake) >= 4 + size


def _hello(handshake: bytearray) -> ClientHello | None:
    if not _is_complete(handshake):
        return None
    size = int.from_bytes(handshake[1:4], "big")
    body = _Reader(bytes(handshake[4 : 4 + size]))
    body.take(2 + 32)  # version, random
    body.vector(1)  # session
    body.vector(2)  # cipher suites
    body.vector(1)  # compression
    if not body.left:
        return ClientHello("")  # older than extensions
    extensions = _Reader(body.vector(2))
    while extensions.left:
        kind = extensions.number(2)
        value = extensions.vector(2)
        if kind == _SERVER_NAME:
            return ClientHello(_host_name(value))
    return ClientHello("")


def _host_name(extension: bytes) -> str:
    names = _Reader(_Reader(extension).vector(2))
    while names.left:
        kind = names.number(1)
        name = names.vector(2)
        if kind == _HOST_NAME:
            text = name.decode("latin-1")
            if len(text) > 253 or not _NAME.match(text):
                raise NotClientHello
            return text.lower()
    return ""


class _Reader:
    """Takes values off bytes.

    :raises NotClientHello: when there are not so many.
    """

    def __init__(self, data: bytes) -> None:
        self.left = data

    def take(self, size: int) -> bytes:
        if len(self.left) < size:
            raise NotClientHello
        taken, self.left = self.left[:size], self.left[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))
