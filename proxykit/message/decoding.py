"""Takes content codings (RFC 9110 section 8.4) off content, never further than a given size.

The other direction is ``message.codings``. Here content comes from a stranger: a kilobyte of it may
decode to gigabytes, so that whoever decodes says how much may come out.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

# RFC 9659 section 3: the window of a Zstandard frame is 8 MiB at most, here and in browsers.
_ZSTD_WINDOW_BITS = 23

_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "br": "br", "zstd": "zstd"}
_KEPT = (*_NAMES, "identity")


class DecodingError(Exception):
    """The content is not what its coding says, or has an end that is not its coding's."""


class TooLarge(Exception):
    """More would come out than may."""


def known_coding(content_encoding: bytes | None) -> str | None:
    """Say which coding has to be taken off.

    :param content_encoding: the field's combined value, ``None`` when there is none.
    :returns: ``""`` for none at all, ``"gzip"``, ``"br"`` or ``"zstd"``; ``None`` for codings that
        are unknown here, and for several on top of each other.
    """
    if content_encoding is None:
        return ""
    name = content_encoding.strip(b" \t").lower().decode("latin-1")
    return "" if name in ("", "identity") else _NAMES.get(name)


def understood(accept_encoding: bytes) -> bytes:
    """Give an Accept-Encoding that asks for nothing that could not be decoded here.

    :param accept_encoding: as the client sent it. ``*`` goes: it invites what is unknown.
    """
    entries = accept_encoding.decode("latin-1").split(",")
    kept = [each.strip(" \t") for each in entries if _name(each) in _KEPT]
    return ", ".join(kept).encode("latin-1") or b"identity"


def _name(entry: str) -> str:
    return entry.partition(";")[0].strip(" \t").lower()


def decoded(content: bytes, coding: str, most: int) -> bytes:
    """Take a coding off.

    :param content: all of it.
    :param coding: what ``known_coding`` gave.
    :param most: how many bytes may come out.
    :raises DecodingError: when that fails.
    :raises TooLarge: when more would come out; no more than ``most`` were made to find out, and
        what one step of the library gives.
    """
    if not coding:
        data = content
    else:
        data = _DECODERS[coding](content, most + 1)
    if len(data) > most:
        raise TooLarge
    return data


def _gunzip(content: bytes, most: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while content and size < most:
        # RFC 1952 section 2.2: a file is one or more members. 16: with gzip's header and trailer.
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            piece = member.decompress(content, most - size)
        except zlib.error as error:
            raise DecodingError(str(error)) from error
        pieces.append(piece)
        size += len(piece)
        if not member.eof:
            if size < most:
                raise DecodingError("the content ends too early")
            break
        content = member.unused_data
    return b"".join(pieces)


def _unbrotli(content: bytes, most: int) -> bytes:
    import brotli

    decoder = brotli.Decompressor()
    pieces: list[bytes] = []
    size = 0
    try:
        while size < most:
            piece = decoder.process(content, output_buffer_limit=most - size)
            content = b""
            pieces.append(piece)
            size += len(piece)
            if decoder.is_finished():
                break
            if not piece:
                raise DecodingError("the content ends too early")
    except brotli.error as error:
        raise DecodingError(str(error)) from error
    return b"".join(pieces)


def _unzstd(content: bytes, most: int) -> bytes:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        from backports import zstd
    options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_BITS}
    pieces: list[bytes] = []
    size = 0
    try:
        while content and size < most:
            frame = zstd.ZstdDecompressor(options=options)
            while size < most and not frame.eof:
                piece = frame.decompress(content, most - size)
                content = b""
                if not piece and not frame.eof:
                    raise DecodingError("the content ends too early")
                pieces.append(piece)
                size += len(piece)
            content = frame.unused_data if frame.eof else b""
    except zstd.ZstdError as error:
        raise DecodingError(str(error)) from error
    return b"".join(pieces)


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip,
    "br": _unbrotli,
    "zstd": _unzstd,
}
