"""What a proxy can tell of a request that a browser would know: its page, its type, its site."""

from __future__ import annotations

import re

from ...engine.exchange import Exchange
from ...lists.blocking import host_starts
from ...lists.names import site
from ...message.request import Request
from ...message.target import DEFAULT_PORTS

_HOST = re.compile(
    rb"[A-Za-z][A-Za-z0-9+.-]*+://(?:[^/?#@]*+@)?(?:\[([0-9A-Fa-f:.]++)\]|([^/?#:]++))"
)

# https://www.w3.org/TR/fetch-metadata/#sec-fetch-dest-header
_DESTINATIONS = {
    b"document": "document",
    b"iframe": "subdocument", b"frame": "subdocument", b"fencedframe": "subdocument",
    b"script": "script", b"worker": "script", b"sharedworker": "script",
    b"serviceworker": "script", b"audioworklet": "script", b"paintworklet": "script",
    b"style": "stylesheet",
    b"image": "image",
    b"font": "font",
    b"audio": "media", b"video": "media", b"track": "media",
    b"object": "object", b"embed": "object",
    b"empty": "xmlhttprequest", b"json": "xmlhttprequest",
    b"websocket": "websocket",
    b"manifest": "other", b"report": "ping", b"xslt": "other",
}  # fmt: skip

_EXTENSIONS = {
    extension: resource_type
    for resource_type, extensions in {
        "script": b"js mjs",
        "stylesheet": b"css",
        "image": b"png gif jpg jpeg jpe webp avif svg ico bmp apng tif tiff",
        "font": b"woff woff2 ttf otf eot",
        "media": b"mp4 m4v m4a webm mp3 ogg oga ogv opus wav flac aac mov m3u8 mpd ts",
        "xmlhttprequest": b"json",
        "subdocument": b"html htm xhtml",
        "object": b"swf jar",
    }.items()
    for extension in extensions.split()
}


class Asked:
    """A request as ``lists.patterns.Request`` has it; what few rules ask for is told when asked."""

    __slots__ = (
        "_exchange", "_lower_url", "_page_host", "_resource_type", "_starts", "_url", "host",
        "method",
    )  # fmt: skip

    def __init__(self, exchange: Exchange) -> None:
        """Take an exchange."""
        self._exchange = exchange
        self.host = exchange.host.removesuffix(".")
        self.method = exchange.request.method.decode("ascii").lower()
        self._url: str | None = None
        self._lower_url: str | None = None
        self._starts: tuple[int, ...] | None = None
        self._resource_type: str | None = None
        self._page_host: str | None = None

    @property
    def url(self) -> str:
        """The whole URL; of a tunnel all that can be seen: ``https://HOST/``."""
        if self._url is None:
            exchange = self._exchange
            tunnel = exchange.request.method == b"CONNECT"
            scheme = "https" if tunnel else exchange.scheme
            host = f"[{self.host}]" if ":" in self.host else self.host
            port = exchange.port
            if port != DEFAULT_PORTS[scheme]:
                host = f"{host}:{port}"
            target = "/" if tunnel else exchange.request.origin_target.decode("latin-1")
            self._url = f"{scheme}://{host}{target}"
        return self._url

    @property
    def lower_url(self) -> str:
        """The URL in lower case."""
        if self._lower_url is None:
            self._lower_url = self.url.lower()
        return self._lower_url

    @property
    def host_starts(self) -> tuple[int, ...]:
        """Where the host's labels begin in the URL."""
        if self._starts is None:
            self._starts = host_starts(self.url, self.host)
        return self._starts

    @property
    def resource_type(self) -> str:
        """What the request is for, ``""`` in a tunnel."""
        if self._resource_type is None:
            self._resource_type = resource_type_of(self._exchange.request)
        return self._resource_type

    @property
    def page_host(self) -> str:
        """The host of the page that asks; a page is its own."""
        if self._page_host is None:
            values = self._exchange.request.section.values
            if self.resource_type == "document":
                self._page_host = self.host
            else:
                said = values.get(b"referer") or values.get(b"origin") or b""
                match = _HOST.match(said)
                found = (match[1] or match[2]) if match is not None else b""
                self._page_host = found.decode("latin-1").lower().removesuffix(".")
        return self._page_host

    @property
    def third_party(self) -> bool | None:
        """Whether the page that asks is of another site."""
        if self.resource_type == "document":
            return False
        told = self._exchange.request.section.values.get(b"sec-fetch-site")
        if told is not None:
            return told == b"cross-site"
        page = self.page_host
        return site(page) != site(self.host) if page else None


def resource_type_of(request: Request) -> str:
    """Judge what a request is for.

    By Sec-Fetch-Dest where there is one, which browsers send only to https and loopback; else by
    Accept, of which browsers have another for each type, and by the path's extension.

    :returns: one of ``lists.adblock.RESOURCE_TYPES``, ``""`` for a tunnel.
    """
    if request.method == b"CONNECT":
        return ""
    values = request.section.values
    destination = values.get(b"sec-fetch-dest")
    if destination is not None and destination in _DESTINATIONS:
        if values.get(b"sec-fetch-mode") == b"websocket":
            return "websocket"
        return _DESTINATIONS[destination]
    if b"upgrade" in values and values[b"upgrade"].lower() == b"websocket":
        return "websocket"
    if b"ping-to" in values:
        return "ping"
    if values.get(b"x-requested-with", b"").lower() == b"xmlhttprequest":
        return "xmlhttprequest"
    accept = values.get(b"accept", b"").partition(b",")[0].partition(b";")[0].strip().lower()
    by_accept = _by_accept(accept)
    if by_accept:
        return by_accept
    page = accept in (b"text/html", b"application/xhtml+xml")
    if page and values.get(b"upgrade-insecure-requests") == b"1":
        return "document"  # which browsers say when they go somewhere
    path = request.origin_target.partition(b"?")[0]
    extension = path.rpartition(b"/")[2].rpartition(b".")[2].lower()
    return _EXTENSIONS.get(extension) or ("subdocument" if page else "other")


def _by_accept(media_range: bytes) -> str:
    kind, _, subtype = media_range.partition(b"/")
    if kind == b"image":
        return "image"
    if kind in (b"audio", b"video"):
        return "media"
    if kind == b"font":
        return "font"
    return {b"css": "stylesheet", b"javascript": "script", b"json": "xmlhttprequest"}.get(
        subtype, ""
    )
