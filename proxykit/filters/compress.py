"""The ``compress`` filter: gives responses a content coding that the client prefers.

RFC 9110: section 8.4 for the codings, 12.5.3 for Accept-Encoding, 7.7 for what a proxy must not
transform, 8.8.3.3 for the entity tag, 12.5.5 for Vary.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..engine.exchange import Exchange
from ..interfaces import (
    IBodyFilter,
    IFilterFactory,
    IRequestFilter,
    IResponseBodyFilter,
    IResponseFilter,
)
from ..message.codings import Encoder, EncoderMaker, encoder_maker, is_available, preferred_coding
from ..message.entity_tags import encoded_tag, restored_tags, tag_that_was_sent
from ..message.framing import Length
from ..message.media_types import MediaTypes, checked_media_type
from ..message.response import Response
from ..options import BuildContext, Options, Size

# Those that make content smallest for their time come first.
_PREFERRED = ("zstd", "br", "gzip")
_LIBRARIES = {"br": "brotli", "zstd": "backports.zstd"}

# What is worth it: text in its many forms, and binary formats without a compression of their own.
# Not text/event-stream: its events are small, and each would have to be flushed for itself.
_TYPES = [
    "text/html", "text/css", "text/plain", "text/csv", "text/xml", "text/javascript",
    "text/markdown", "text/calendar", "text/vcard", "text/vtt", "text/x-component",
    "application/javascript", "application/x-javascript", "application/json",
    "application/x-ndjson", "application/xml", "application/*+json", "application/*+xml",
    "application/wasm", "application/yaml", "application/graphql", "application/rtf",
    "application/vnd.ms-fontobject", "font/ttf", "font/otf", "image/svg+xml", "image/bmp",
    "image/x-icon", "image/vnd.microsoft.icon",
]  # fmt: skip

# A body of the proxy's own is compressed whole, so it may not be longer than what one read brings.
_LONGEST_OWN_BODY = 256 * 1024

# A digest is of the very bytes that the origin sent (RFC 9530, RFC 3230): these are left alone.
_DIGESTS = (b"content-digest", b"repr-digest", b"digest", b"content-md5")


# --- options ----------------------------------------------------------------------------------


def _coding(name: str) -> str:
    return "br" if name == "brotli" else name


def _checked_algorithms(names: list[str]) -> list[str]:
    for name in names:
        coding = _coding(name)
        if not is_available(coding):
            raise ValueError(f"{name} needs the package {_LIBRARIES[coding]}, which is missing")
    return names


class CompressOptions(Options):
    """What is compressed, and how."""

    algorithms: (
        Annotated[
            list[Literal["zstd", "br", "brotli", "gzip"]],
            Field(min_length=1),
            AfterValidator(_checked_algorithms),
        ]
        | None
    ) = Field(
        default=None,
        description="Tried in this order among those that a client likes equally; if none are "
        "given, those of zstd, br and gzip whose library is installed.",
    )
    types: list[Annotated[str, AfterValidator(checked_media_type)]] = Field(
        default=_TYPES, description='Media types; "*" stands for any text.'
    )
    min_size: Size = Field(default=1024, description="Content known to be smaller is left alone.")
    gzip_level: int = Field(default=5, ge=1, le=9, strict=True, description="1 is fastest.")
    brotli_level: int = Field(default=4, ge=0, le=9, strict=True, description="0 is fastest.")
    zstd_level: int = Field(default=3, ge=1, le=9, strict=True, description="1 is fastest.")


# --- the transform ----------------------------------------------------------------------------


@implementer(IBodyFilter)
class Compression:
    """Compresses one response's content.

    What was fed is given at once: nobody can know when an origin that streams will go on. That
    costs a few bytes for each read of the origin's connection.
    """

    __slots__ = ("_encoder", "_left", "_length", "_make")

    def __init__(self, make: EncoderMaker, length: int | None) -> None:
        """Take what makes the encoder, which is not made before there is content."""
        self._make = make
        self._length = self._left = length
        self._encoder: Encoder | None = None

    def feed(self, chunk: bytes) -> bytes:
        """See ``IBodyFilter``."""
        encoder = self._encoder
        if encoder is None:
            encoder = self._encoder = self._make(self._length)
        data = encoder.encode(chunk)
        if self._left is not None:
            self._left -= len(chunk)
            if self._left <= 0:
                return data  # finish comes next and flushes all
        return data + encoder.flush()

    def finish(self) -> bytes:
        """See ``IBodyFilter``."""
        return (self._encoder or self._make(0)).finish()


# --- the filter -------------------------------------------------------------------------------


@implementer(IRequestFilter, IResponseFilter, IResponseBodyFilter)
class Compress:
    """Compresses what is worth it for who prefers it so."""

    def __init__(self, options: CompressOptions) -> None:
        """Compile the options."""
        levels = {
            "gzip": options.gzip_level,
            "br": options.brotli_level,
            "zstd": options.zstd_level,
        }
        names = options.algorithms or filter(is_available, _PREFERRED)
        self._codings = tuple(dict.fromkeys(map(_coding, names)))
        self._makers = {each: encoder_maker(each, levels[each]) for each in self._codings}
        self._min_size = options.min_size
        self._is_worth_it = MediaTypes(options.types)

    def request(self, exchange: Exchange) -> None:
        """See ``IRequestFilter``: ask the origin by the tags that it gave."""
        values = exchange.request.section.values
        for name in (b"If-None-Match", b"If-Match"):
            value = values.get(name.lower())
            if value is not None and b"~" in value:
                restored = restored_tags(value)
                if restored != value:
                    exchange.request.headers.set(name, restored)

    def response(self, exchange: Exchange, response: Response) -> None:
        """See ``IResponseFilter``: what is not a stream of content."""
        if response.status == 304:
            self._not_modified(exchange, response)
        elif 0 < len(response.body) <= _LONGEST_OWN_BODY:
            size = len(response.body)
            coding = self._choose(exchange, response, size)
            if coding is not None:
                encoder = self._makers[coding](size)
                response.body = encoder.encode(response.body) + encoder.finish()
                _mark(response, coding)

    def response_body(self, exchange: Exchange, response: Response) -> Compression | None:
        """See ``IResponseBodyFilter``."""
        size = _content_length(response)
        coding = self._choose(exchange, response, size)
        if coding is None:
            return None
        _mark(response, coding)
        return Compression(self._makers[coding], size)

    def _choose(self, exchange: Exchange, response: Response, size: int | None) -> str | None:
        """Choose the coding for a response; one that may have another for others varies."""
        if response.status == 206 or _is_not_ours(exchange, response):
            return None
        section = exchange.request.section
        preference = preferred_coding(section.get(b"accept-encoding"), self._codings)
        if not preference.refuses_identity:
            if size is not None and size < self._min_size:
                return None
            if not self._is_worth_it(_field(response, b"content-type") or b""):
                return None
        _vary(response)
        return preference.coding

    def _not_modified(self, exchange: Exchange, response: Response) -> None:
        """Give a 304 the fields that a 200 would have had (RFC 9110 section 15.4.5)."""
        media_type = _field(response, b"content-type")
        if media_type is not None and not self._is_worth_it(media_type):
            return
        _vary(response)
        section = exchange.request.section
        tag, sent = _field(response, b"etag"), section.get(b"if-none-match")
        if tag is not None and sent is not None:
            preferred = preferred_coding(section.get(b"accept-encoding"), self._codings).coding
            likeliest = self._codings if preferred is None else (preferred, *self._codings)
            response.headers.set(b"ETag", tag_that_was_sent(tag, sent, likeliest))


def _field(response: Response, name: bytes) -> bytes | None:
    """Give a field's combined value without making a copy of fields that nobody has changed."""
    headers = response.changed_headers
    return response.section.values.get(name) if headers is None else headers.get(name)


def _content_length(response: Response) -> int | None:
    """Give the length of content before it is transformed, of a HEAD's as it is told."""
    if isinstance(response.framing, Length):
        return response.framing.size
    told = response.section.values.get(b"content-length")
    return int(told) if told is not None else None


def _is_not_ours(exchange: Exchange, response: Response) -> bool:
    """Say whether content must be left as it is, whoever asks for it."""
    for message_control in (
        _field(response, b"cache-control"),
        exchange.request.section.get(b"cache-control"),
    ):
        if message_control is not None and b"no-transform" in message_control.lower():
            return True
    if (_field(response, b"content-encoding") or b"identity").lower() != b"identity":
        return True
    announced = (_field(response, b"trailer") or b"").lower()
    return any(_field(response, name) is not None or name in announced for name in _DIGESTS)


def _vary(response: Response) -> None:
    """Say that the response depends on Accept-Encoding (RFC 9110 section 12.5.5)."""
    vary = _field(response, b"vary")
    names = {name.strip() for name in (vary or b"").lower().split(b",")}
    if not names & {b"*", b"accept-encoding"}:
        response.headers.add(b"Vary", b"Accept-Encoding")


def _mark(response: Response, coding: str) -> None:
    """Say what was done to the content."""
    headers = response.headers
    headers.set(b"Content-Encoding", coding.encode("ascii"))
    # The ranges that an origin serves are of other bytes than these.
    headers.remove(b"Accept-Ranges")
    tag = headers.get(b"etag")
    if tag is not None:
        encoded = encoded_tag(tag, coding)
        if encoded is None:
            headers.remove(b"ETag")
        else:
            headers.set(b"ETag", encoded)


@implementer(IPlugin, IFilterFactory)
class CompressFactory:
    """Makes ``compress`` filters."""

    name = "compress"
    description = "compresses responses with gzip, Brotli or Zstandard"
    options = CompressOptions

    def build(self, options: CompressOptions, context: BuildContext) -> Compress:
        """See ``IFilterFactory``."""
        return Compress(options)
