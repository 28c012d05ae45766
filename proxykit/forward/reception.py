"""What a forward listener answers by itself: its PAC file, and the page about the client."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from urllib.parse import parse_qs

from attrs import frozen
from zope.interface import implementer

from ..engine.answers import refusal
from ..engine.exchange import Exchange
from ..errors import BadRequest, Denied, MethodNotAllowed, NoRoute
from ..interfaces import IRequestFilter
from ..message.response import Response
from ..message.target import Authority
from ..options import IPNetwork, contains
from .info_page import About, info_page
from .inquiry import Inquiry
from .pac import MEDIA_TYPE, PacScript

PAC_PATHS = ("/proxy.pac", "/wpad.dat")
"""Where the PAC file is: by its usual name, and by that which WPAD asks for."""

_PAC_SECONDS = 300


@frozen(slots=True, eq=False)
class PacFile:
    """The PAC file, and who may have it.

    :ivar proxies: as ``pac.pac_proxy`` gives them; none for the host where the client fetches it.
    :ivar clients: who may fetch it; all if none.
    """

    script: PacScript
    proxies: tuple[str, ...] = ()
    clients: tuple[IPNetwork, ...] = ()

    def answer(self, exchange: Exchange) -> Response:
        """Give the file.

        :raises Denied: to whom it is not for.
        """
        if self.clients and not contains(self.clients, exchange.client_address):
            raise Denied("the PAC file is not for this client")
        proxies: Sequence[str] = self.proxies
        if not proxies:
            authority = exchange.authority
            if not authority.host:
                raise NoRoute("without a Host the PAC file cannot say where the proxy is")
            kind = "HTTPS" if exchange.scheme == "https" else "PROXY"
            proxies = [f"{kind} {Authority(authority.host, exchange.port).text()}"]
        headers = [
            (b"Content-Type", MEDIA_TYPE),
            (b"Cache-Control", b"max-age=%d" % _PAC_SECONDS),
            (b"Vary", b"Host"),
            (b"X-Content-Type-Options", b"nosniff"),
        ]
        return Response(200, headers, self.script.content(proxies))


@implementer(IRequestFilter)
class Reception:
    """A filter in front of a listener's own: what is asked of the proxy itself goes no further.

    Browsers fetch a PAC file before they know a proxy and with no credentials for one, so filters
    have no say in that. The page about the client runs them by itself.
    """

    def __init__(
        self, listener: str, info_host: str | None, pac: PacFile | None, inquiry: Inquiry
    ) -> None:
        """Take what there is to answer.

        :param listener: the listener's name.
        :param info_host: the name that the page has, ``None`` for no page.
        :param pac: ``None`` for no PAC file.
        :param inquiry: asks the listener's policy.
        """
        self._listener = listener
        self._info_host = info_host
        self._pac = pac
        self._inquiry = inquiry

    def request(self, exchange: Exchange) -> Response | Awaitable[Response | None] | None:
        """See ``IRequestFilter``."""
        request = exchange.request
        if request.raw_target[0] == 0x2F and self._pac is not None and request.path in PAC_PATHS:
            return self._checked(exchange) or self._pac.answer(exchange)
        if exchange.host == self._info_host and request.method != b"CONNECT":
            return self._checked(exchange) or self._page(exchange)
        return None

    def _checked(self, exchange: Exchange) -> Response | None:
        if exchange.request.method in (b"GET", b"HEAD"):
            return None
        response = refusal(exchange, MethodNotAllowed("this can be read, and nothing else"))
        response.headers.add(b"Allow", b"GET, HEAD")
        return response

    async def _page(self, exchange: Exchange) -> Response | None:
        request = exchange.request
        inquiry = self._inquiry
        answer, refused = await inquiry.receive(exchange)
        if answer is not None:
            return answer
        if request.path != "/":
            raise NoRoute("the proxy has no such page")
        url = _asked(request.query)
        about = About(
            exchange.client_address,
            exchange.user,
            self._listener,
            inquiry.filters,
            PAC_PATHS[0] if self._pac is not None else "",
            refused,
            await inquiry.about(exchange, url) if url else None,
        )
        return info_page(about, exchange)


def _asked(query: str) -> str:
    """Give the URL that a query asks about, ``""`` if none.

    :raises BadRequest: when the query is no form's.
    """
    try:
        return parse_qs(query, max_num_fields=16).get("url", [""])[0]
    except ValueError as error:
        raise BadRequest("the query has too many fields") from error
