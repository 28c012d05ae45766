"""Finds out what would become of a client's request, without sending it anywhere."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Container, Sequence
from time import monotonic
from typing import Any
from urllib.parse import quote, urlsplit

import idna
from attrs import frozen

from ..engine.exchange import Exchange
from ..errors import BadRequest, ProxykitError
from ..message.fields import FieldSection
from ..message.framing import NO_CONTENT
from ..message.request import Request
from ..message.response import Response
from ..message.target import Target, parse_target

# What a URL may have as it is; anything else is percent-encoded (RFC 3986 section 2).
_KEPT = "!$%&'()*+,-./:;=?@_~"
_SCHEMES = ("http", "https", "ftp")
_STAYS_REFUSED = (401, 407, 429)


class Outcome(enum.Enum):
    """What becomes of a request."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"  # it may be sent, but there is nowhere to send it
    ANSWERED = "answered"  # by a filter, and not with an error


@frozen(slots=True)
class Verdict:
    """What would become of a request, and who decides it.

    :ivar url: what was asked about.
    :ivar by: the filter's name, ``"destination"`` for the rules on ports and addresses, ``""`` when
        nobody objects.
    :ivar status: of the answer that the proxy would give by itself, 0 when it gives none.
    :ivar error: its Proxy-Status error type, or ``""``.
    :ivar detail: a sentence that says why, with the rule's name where there is one.
    """

    url: str
    outcome: Outcome
    by: str = ""
    status: int = 0
    error: str = ""
    detail: str = ""


@frozen(slots=True, eq=False)
class NamedStep:
    """A request filter's step, with the filter's name."""

    name: str
    step: Callable[[Exchange], Any]


class Inquiry:
    """Asks a listener's filters, then its router."""

    def __init__(
        self,
        steps: Sequence[NamedStep],
        choose: Callable[[Exchange], Any],
        own_host: str | None = None,
    ) -> None:
        """Take the listener's policy.

        :param steps: its request filters, in the order in which they run.
        :param choose: its router.
        :param own_host: what the proxy answers by itself.
        """
        self._steps = tuple(steps)
        self._choose = choose
        self._own_host = own_host

    @property
    def filters(self) -> tuple[str, ...]:
        """The names of the filters, in the order in which they run."""
        return tuple(each.name for each in self._steps)

    async def about(self, asking: Exchange, url: str) -> Verdict:
        """Find out what would become of a GET of the client who asks.

        :param asking: the client's exchange: the request in question has its fields, so that who
            authenticated there has here.
        :raises BadRequest: when the URL is none.
        """
        exchange = _imagined(asking, url)
        if exchange.host == self._own_host:
            return Verdict(url, Outcome.ANSWERED)
        for each in self._steps:
            _, verdict = await _judged_by(each, exchange, url)
            if verdict is not None:
                return verdict
        try:
            await _result(self._choose(exchange))
        except ProxykitError as error:
            reached = Outcome.UNREACHABLE if error.status >= 500 else Outcome.REFUSED
            return _verdict(url, reached, "destination", error)
        return Verdict(url, Outcome.ALLOWED)

    async def receive(self, exchange: Exchange) -> tuple[Response | None, Verdict | None]:
        """Let the filters find out who asks, for a page that all may see.

        What they refuse is not refused here: a client that may go nowhere may still read why. To
        ask for credentials and to limit how often somebody asks stays theirs.

        :returns: their answer, ``None`` to go on; and what the first of them had against it.
        :raises ProxykitError: for the same two.
        """
        exchange.addresses = ()  # nobody need look the page's name up
        first: Verdict | None = None
        for each in self._steps:
            answer, verdict = await _judged_by(each, exchange, "", raises=_STAYS_REFUSED)
            if answer is not None and answer.status in _STAYS_REFUSED:
                return answer, None
            first = first or verdict
            exchange.error_type = exchange.detail = ""
        return None, first


async def _judged_by(
    each: NamedStep, exchange: Exchange, url: str, raises: Container[int] = ()
) -> tuple[Response | None, Verdict | None]:
    """Run a filter; give its answer if it has one, and what that means if it does not go on."""
    try:
        answer: Response | None = await _result(each.step(exchange))
    except ProxykitError as error:
        if error.status in raises:
            raise
        return None, _verdict(url, Outcome.REFUSED, each.name, error)
    if answer is None:
        return None, None
    outcome = Outcome.REFUSED if answer.status >= 400 else Outcome.ANSWERED
    said = (each.name, answer.status, exchange.error_type, exchange.detail)
    return answer, Verdict(url, outcome, *said)


def _verdict(url: str, outcome: Outcome, by: str, error: ProxykitError) -> Verdict:
    return Verdict(url, outcome, by, error.status, error.error_type, str(error))


async def _result(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value


def _imagined(asking: Exchange, url: str) -> Exchange:
    """Make the exchange that the client would begin."""
    target = _target(url)
    assert target.authority is not None
    host = target.authority.text().encode("ascii")
    fields = [
        (name, value)
        for name, value in asking.request.section.fields
        if name.lower() not in (b"host", b"via")
    ]
    method = b"CONNECT" if target.raw == target.origin else b"GET"
    section = FieldSection(((b"Host", host), *fields))
    request = Request(method, target.raw, 1, section, NO_CONTENT, target)
    scheme = target.scheme or "http"
    return Exchange(
        asking.pipeline, request, asking.client_address, asking.peer_address, scheme, monotonic()
    )


def _target(url: str) -> Target:
    """Give the request target by which a client asks a proxy for a URL.

    :raises BadRequest: when it is none.
    """
    url = url.strip()
    if "://" not in url:
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if ":" in host:
            host = f"[{host}]"
        elif not host.isascii():
            host = idna.encode(host, uts46=True).decode("ascii")
    except (ValueError, UnicodeError) as error:
        raise BadRequest("that is no URL") from error
    if parts.scheme not in _SCHEMES or not host:
        raise BadRequest("that is no http, https or ftp URL")
    if parts.scheme == "https":
        # All that a proxy sees of it.
        return parse_target(b"CONNECT", f"{host}:{port or 443}".encode("ascii"))
    authority = host if port is None else f"{host}:{port}"
    path = quote(parts.path or "/", safe=_KEPT)
    query = f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
    return parse_target(b"GET", f"{parts.scheme}://{authority}{path}{query}".encode("ascii"))
