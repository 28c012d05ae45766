"""Content codings (RFC 9110 section 8.4): which one a client prefers, and who applies them.

zlib is Python's own; Brotli (RFC 7932) and Zstandard (RFC 8878) come from libraries, which may be
missing where there is no build of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from attrs import frozen

_MOST_ENTRIES = 32
# A window of 256 KiB: what a larger one gains on pages is little, what it costs is memory for
# each response under way. RFC 9659 section 3 allows Zstandard's up to 8 MiB.
_WINDOW_BITS = 18
_LEAST_WINDOW_BITS = 10


# --- what a client prefers --------------------------------------------------------------------


@frozen(slots=True)
class Preference:
    """What an Accept-Encoding field says of the codings that are offered.

    :ivar coding: the one to use, ``None`` to use none.
    :ivar refuses_identity: whether content without a coding is not acceptable.
    """

    coding: str | None
    refuses_identity: bool


_NO_PREFERENCE = Preference(None, False)


def preferred_coding(accept: bytes | None, offered: Sequence[str]) -> Preference:
    """Choose a content coding by Accept-Encoding (RFC 9110 section 12.5.3).

    The largest quality wins, among equals the first offered. Without the field any coding would
    be acceptable, but who does not send it is not expecting one.

    :param accept: the field's combined value.
    :param offered: codings in lower case.
    """
    if not accept:
        return _NO_PREFERENCE
    if len(accept) > 256:
        return _preferred(accept, tuple(offered))  # nobody's browser: not worth remembering
    return _remembered(accept, tuple(offered))


def _preferred(accept: bytes, offered: tuple[str, ...]) -> Preference:
    qualities: dict[str, float] = {}
    for entry in accept.decode("latin-1").lower().split(",")[:_MOST_ENTRIES]:
        name, *parameters = entry.split(";")
        name = name.strip().removeprefix("x-")  # RFC 9110 section 8.4.1.3: x-gzip is gzip
        if name:
            qualities[name] = _quality(parameters)
    rest = qualities.get("*", 0.0)
    best, best_quality = None, 0.0
    for coding in offered:
        quality = qualities.get(coding, rest)
        if quality > best_quality:
            best, best_quality = coding, quality
    refuses_identity = qualities.get("identity", qualities.get("*", 1.0)) == 0.0
    if qualities.get("identity", 0.0) > best_quality:
        best = None
    return Preference(best, refuses_identity)


_remembered = lru_cache(maxsize=256)(_preferred)


def _quality(parameters: list[str]) -> float:
    """Give a weight (RFC 9110 section 12.4.2); one that is none refuses."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return 0.0
            return quality if 0.0 <= quality <= 1.0 else 0.0
    return 1.0


# --- who applies them -------------------------------------------------------------------------


class Encoder(Protocol):
    """Applies a coding to one message's content."""

    def encode(self, data: bytes) -> bytes:
        """Take content; some of it may stay inside."""

    def flush(self) -> bytes:
        """Give all that was taken, so that a decoder can give it all."""

    def finish(self) -> bytes:
        """End the content."""


EncoderMaker = Callable[[int | None], Encoder]
"""Makes the encoder of one message; takes the content's length in bytes, ``None`` if unknown."""

LEVELS = {"gzip": range(1, 10), "br": range(10), "zstd": range(1, 10)}
"""The levels of each coding that take no more than some 20 ms for 256 KiB."""


def encoder_maker(coding: str, level: int) -> EncoderMaker:
    """Give what makes a coding's encoders.

    :param coding: one of those in ``LEVELS``.
    :param level: one of its levels.
    :raises ImportError: when its library is not installed.
    """
    return {"gzip": _gzip, "br": _brotli, "zstd": _zstd}[coding](level)


def is_available(coding: str) -> bool:
    """Say whether a coding's library is installed."""
    try:
        encoder_maker(coding, LEVELS[coding][0])
    except ImportError:
        return False
    return True


def _window_bits(length: int | None) -> int:
    """Give the size of the window that content of a length needs, as a power of two."""
    if length is None:
        return _WINDOW_BITS
    return max(_LEAST_WINDOW_BITS, min(_WINDOW_BITS, length.bit_length()))


class _Gzip:
    __slots__ = ("_compress", "_flush")

    def __init__(self, level: int) -> None:
        # 16 more than the window's bits: with gzip's header and trailer (RFC 1952).
        compressor = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        self._compress = compressor.compress
        self._flush = compressor.flush

    def encode(self, data: bytes) -> bytes:
        return self._compress(data)

    def flush(self) -> bytes:
        return self._flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._flush(zlib.Z_FINISH)


def _gzip(level: int) -> EncoderMaker:
    return lambda length: _Gzip(level)


def _brotli(level: int) -> EncoderMaker:
    import brotli

    class Brotli:
        __slots__ = ("encode", "finish", "flush")

        def __init__(self, length: int | None) -> None:
            compressor = brotli.Compressor(quality=level, lgwin=_window_bits(length))
            self.encode: Callable[[bytes], bytes] = compressor.process
            self.flush: Callable[[], bytes] = compressor.flush
            self.finish: Callable[[], bytes] = compressor.finish

    return Brotli


def _zstd(level: int) -> EncoderMaker:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        from backports import zstd

    class Zstandard:
        __slots__ = ("_compressor", "encode")

        def __init__(self, length: int | None) -> None:
            parameter = zstd.CompressionParameter
            self._compressor = zstd.ZstdCompressor(
                options={
                    parameter.compression_level: level,
                    parameter.window_log: _window_bits(length),
                }
            )
            self.encode: Callable[[bytes], bytes] = self._compressor.compress

        def flush(self) -> bytes:
            data: bytes = self._compressor.flush(self._compressor.FLUSH_BLOCK)
            return data

        def finish(self) -> bytes:
            data: bytes = self._compressor.flush(self._compressor.FLUSH_FRAME)
            return data

    return Zstandard
