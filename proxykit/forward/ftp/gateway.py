"""Answers requests for ``ftp://`` targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from time import monotonic
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ...engine.answers import error_answer, refusal
from ...engine.exchange import Exchange
from ...engine.pipeline import Chain, Route
from ...errors import MethodNotAllowed, ProxykitError, Unavailable
from ...message.file_types import file_type
from ...message.preconditions import Outcome, Validators, judge
from ...message.ranges import ByteRange, NotSatisfiable, byte_range
from ...message.response import Response
from ...message.source import ContentTaker
from ...message.target import DEFAULT_PORTS, Authority
from ...net.sweeper import Sweeper
from ...upstream.failures import upstream_error
from ...upstream.resolution import Addresses, Resolver
from ..destinations import public_only
from .control import ControlConnection
from .fetching import FileStatus, IsDirectory, Refused, Session
from .listing_page import listing_page
from .place import Place, credentials_of, place_of

Connect = Callable[[Addresses, int, Callable[[], Any]], Deferred[Any]]
"""Connects to a port of one of some addresses; the protocol is made by the last argument."""

_MOST_SESSIONS = 256


class _LoginNeeded(ProxykitError):
    """The server wants other credentials."""

    status = 401


class _FileForbidden(ProxykitError):
    """The server does not give the file."""

    status = 403


class _NoSuchFile(ProxykitError):
    """The server has no such file."""

    status = 404


_ANSWERS: dict[int, type[ProxykitError]] = {
    401: _LoginNeeded,
    403: _FileForbidden,
    404: _NoSuchFile,
}


@define(slots=True, eq=False)
class _Unsent:
    """The content of a response to HEAD; see ``message.source.ContentSource``."""

    size: int | None

    def start(self, taker: ContentTaker) -> None:
        """Not called for HEAD."""

    def pause(self) -> None:
        """Nothing is sent."""

    def resume(self) -> None:
        """Nothing is sent."""

    def stop(self) -> None:
        """Nothing is open."""


class FtpGateway:
    """Fetches what FTP servers have, one session a request."""

    def __init__(
        self,
        resolver: Resolver,
        sweeper: Sweeper,
        connect: Connect,
        seconds: float,
        sessions_per_server: int,
        *,
        allow_private: bool,
    ) -> None:
        """Set the rules.

        :param seconds: how long a server may take for anything.
        :param sessions_per_server: at a time; and 256 for all servers together.
        :param allow_private: whether private destinations may be reached.
        """
        self._resolver = resolver
        self._sweeper = sweeper
        self._connect = connect
        self._seconds = seconds
        self._most_per_server = sessions_per_server
        self._allow_private = allow_private
        self._open: Counter[str] = Counter()

    def router(
        self, choose: Callable[[Exchange], Any], chain: Chain
    ) -> Callable[[Exchange], Route | Awaitable[Route]]:
        """Give a router that takes ``ftp`` targets and leaves all others to another.

        :param choose: the other.
        :param chain: the listener's filters.
        """
        route = Route("", chain=chain, inner=Chain(request=(self.fetch,)))

        def choose_with_ftp(exchange: Exchange) -> Any:
            if exchange.request.target.scheme == "ftp":
                return self._judged(exchange, route)
            return choose(exchange)

        return choose_with_ftp

    async def _judged(self, exchange: Exchange, route: Route) -> Route:
        addresses = await exchange.resolve_destination()
        if not self._allow_private:
            addresses = public_only(exchange.host, addresses)
        exchange.addresses = addresses
        return route

    async def fetch(self, exchange: Exchange) -> Response:
        """Answer an exchange; see ``IRequestFilter``.

        :raises ProxykitError: when the server cannot be reached or does not speak FTP.
        """
        request = exchange.request
        if request.method not in (b"GET", b"HEAD"):
            response = refusal(exchange, MethodNotAllowed("FTP is only read here"))
            response.headers.add(b"Allow", b"GET, HEAD")
            return response
        place = place_of(request.path)
        credentials = credentials_of(request)
        session = await self._session(exchange)
        try:
            await session.log_in(credentials)
            await session.enter(place)
            response = await self._answer(exchange, session, place)
        except IsDirectory:
            session.quit()
            # Two slashes in front would lead to another host.
            path = request.path.partition(";type=")[0].lstrip("/")
            return Response(301, [(b"Location", f"/{path}/".encode("ascii"))])
        except Refused as answer:
            session.quit()
            return _refused(exchange, answer)
        except BaseException:
            session.abort()
            raise
        if not place.name or request.method == b"HEAD" or response.source is None:
            session.quit()
        exchange.responded = monotonic()
        return response

    async def _session(self, exchange: Exchange) -> Session:
        port = exchange.authority.port or DEFAULT_PORTS["ftp"]
        name = Authority(exchange.host, port).text()
        if self._open[name] >= self._most_per_server or self._open.total() >= _MOST_SESSIONS:
            raise Unavailable(f"there are too many FTP sessions, {self._open[name]} with {name}")
        assert exchange.addresses is not None
        exchange.upstream = name
        self._open[name] += 1

        def closed() -> None:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]

        def build() -> ControlConnection:
            return ControlConnection(name, self._sweeper, self._seconds, closed)

        try:
            control = await self._connect(exchange.addresses, port, build)
        except Exception:
            closed()
            raise upstream_error(Failure(), name) from None

        async def connect_data(address: str, port: int, build: Callable[[], Any]) -> Any:
            try:
                return await self._connect((address,), port, build)
            except Exception:
                raise upstream_error(Failure(), name) from None

        return Session(name, control, connect_data)

    async def _answer(self, exchange: Exchange, session: Session, place: Place) -> Response:
        if not place.name:
            listing = await session.listing()
            url = exchange.request.target.raw.decode("ascii").partition(";type=")[0]
            return listing_page(
                url if url.endswith("/") else f"{url}/",
                listing.entries,
                exchange.request.section.values.get(b"accept"),
                is_root=not place.directories,
                is_cut=listing.is_cut,
            )
        status = await session.status(place)
        headers = _headers(place, status)
        is_head = exchange.request.method == b"HEAD"
        part = None
        if status.size is not None and status.modified is not None:
            judged, part = _conditions(exchange, headers, status.size, status.modified)
            if judged is not None:
                return judged
        if is_head and status.size is not None:
            return Response(200, headers, source=_Unsent(status.size))
        source, part = await session.file(place, status.size, part)
        if is_head:
            source.stop()
            return Response(200, headers, source=_Unsent(None))
        if part is None:
            return Response(200, headers, source=source)
        assert status.size is not None
        headers.append((b"Content-Range", part.content_range(status.size)))
        return Response(206, headers, source=source)


def _headers(place: Place, status: FileStatus) -> list[tuple[bytes, bytes]]:
    headers = [(b"Content-Type", file_type(place.name))]
    if status.modified is not None:
        modified = formatdate(status.modified, usegmt=True)
        headers.append((b"Last-Modified", modified.encode("ascii")))
        if status.size is not None:
            headers.append((b"ETag", _entity_tag(status.size, status.modified)))
            headers.append((b"Accept-Ranges", b"bytes"))
    return headers


def _entity_tag(size: int, modified: int) -> bytes:
    return b'"%x-%x"' % (modified, size)


def _conditions(
    exchange: Exchange, headers: list[tuple[bytes, bytes]], size: int, modified: int
) -> tuple[Response | None, ByteRange | None]:
    """Judge a request's conditions: give the answer, or what part of the file is wanted."""
    field_of = exchange.request.section.values.get
    outcome = judge(field_of, Validators(_entity_tag(size, modified), modified))
    if outcome is Outcome.NOT_MODIFIED:
        return Response(304, headers), None
    if outcome is Outcome.FAILED:
        return Response(412, headers), None
    # MDTM is as good as the server's clock: a date alone is not strong enough for If-Range.
    if_range = field_of(b"if-range")
    if exchange.request.method == b"HEAD" or (
        if_range is not None and if_range != _entity_tag(size, modified)
    ):
        return None, None
    try:
        return None, byte_range(field_of(b"range"), size)
    except NotSatisfiable:
        return Response(416, [*headers, (b"Content-Range", b"bytes */%d" % size)]), None


def _refused(exchange: Exchange, answer: Refused) -> Response:
    """Answer with what the server said: it is no fault of the proxy's."""
    name = exchange.upstream
    error = _ANSWERS[answer.status](f"{name} said: {answer.text}")
    exchange.detail = str(error)
    response = error_answer(error, exchange, "")
    response.headers.remove(b"Proxy-Status")
    if answer.status == 401:
        response.headers.add(b"WWW-Authenticate", f'Basic realm="ftp://{name}"'.encode("ascii"))
    return response
