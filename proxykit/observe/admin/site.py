"""The web server of the admin API: who may ask, and how much."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from ...errors import BadRequest
from ...message.target import parse_authority
from ..metrics import Metrics
from .answers import Call, ErrorAnswer, no_such_thing, set_fields
from .calls import api
from .control import Control
from .page import Page
from .token import is_token

_MOST_CONTENT = 1024 * 1024
_MOST_CONNECTIONS = 64
_IDLE_SECONDS = 30
_TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class AdminSite(WrappingFactory):
    """Answers on every endpoint of the admin API.

    :ivar token: what every call must bring.
    :ivar hosts: names by which it may be called, besides localhost and addresses.
    """

    noisy = False

    def __init__(self, control: Control, metrics: Metrics, reactor: Any) -> None:
        """Make one; until ``token`` is set nobody may call."""
        self.token: bytes | None = None
        self.hosts: Collection[str] = ()
        site = _QuietSite(  # type: ignore[no-untyped-call]
            _Root(self, control, metrics),
            _BoundedRequest,
            parsePOSTFormSubmission=False,
            timeout=_IDLE_SECONDS,
            reactor=reactor,
        )
        site.noisy = False
        super().__init__(site)  # type: ignore[no-untyped-call]

    def buildProtocol(  # type: ignore[override]
        self, addr: IAddress | None
    ) -> ProtocolWrapper | None:
        """Make a connection's protocol, or none when there are many."""
        if len(self.protocols) >= _MOST_CONNECTIONS:
            return None
        built: ProtocolWrapper = super().buildProtocol(addr)
        return built

    def close_connections(self) -> None:
        """Close every connection, whatever it does."""
        for protocol in list(self.protocols):
            protocol.abortConnection()


class _QuietSite(Site):
    """A site that logs no requests: what changes something logs that itself."""

    displayTracebacks = False

    def log(self, request: Any) -> None:
        """Say nothing."""


class _BoundedRequest(Request):
    """A request whose content may not grow without end."""

    channel: Any

    def handleContentChunk(self, data: bytes) -> None:
        """Take some of the content."""
        assert self.content is not None
        if self.content.tell() + len(data) <= _MOST_CONTENT:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]
            return
        # What follows is not read, so nothing can follow this answer either.
        transport = self.channel.transport
        if not transport.disconnecting:
            transport.write(_TOO_LARGE)
            transport.loseConnection()


class _Root(Resource):
    """Lets through who may ask: everybody the page, which says nothing, and with the token all."""

    def __init__(self, site: AdminSite, control: Control, metrics: Metrics) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._site = site
        self._page = Page()
        self.putChild(b"api", api(control))
        self.putChild(b"metrics", _Metrics(control, metrics))

    def getChildWithDefault(self, path: bytes, request: Any) -> Any:
        """Judge the request, then look it up."""
        if not _is_own_host(request.getHeader(b"host"), self._site.hosts):
            # DNS rebinding: a name of an attacker's that resolves to a loopback address would
            # make this server part of his origin.
            return ErrorAnswer(421, "this is not known by that name; admin.hosts names others")
        if path == b"" and not request.postpath:
            return self._page
        token = self._site.token
        if token is None or not is_token(request.getHeader(b"authorization"), token):
            fields = {b"WWW-Authenticate": b'Bearer realm="proxykit"'}
            return ErrorAnswer(401, "the token is missing or another one", fields)
        return super().getChildWithDefault(path, request)  # type: ignore[no-untyped-call]

    def getChild(self, path: bytes, request: Any) -> Resource:
        return no_such_thing()


def _is_own_host(host: bytes | None, hosts: Collection[str]) -> bool:
    """Say whether a Host field holds a name that no one else can have given to us."""
    try:
        name = parse_authority(host or b"").host
    except BadRequest:
        return False
    if name == "localhost" or name in hosts:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Metrics(Call):
    """``/metrics``."""

    def __init__(self, control: Control, metrics: Metrics) -> None:
        super().__init__(self._scrape)
        self._control = control
        self._metrics = metrics

    async def _scrape(self, request: Any) -> Any:
        from ..exposition import Scrape, exposition

        control = self._control
        scrape = Scrape(control.status(), control.pools(), await control.caches())
        accept: bytes = request.getHeader(b"accept") or b""
        content, media_type = exposition(self._metrics, scrape, accept.decode("latin-1"))
        set_fields(request, media_type.encode("ascii"))
        return content
