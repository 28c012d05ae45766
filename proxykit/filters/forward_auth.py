"""The ``forward-auth`` filter: a service decides about each request, by its head alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..authentication.challenge import credentials_field, is_for_proxy
from ..authentication.http_client import HttpClient, Reply
from ..authentication.identity import checked_identity
from ..authentication.option_types import FieldName, ServiceUrl
from ..authentication.service import group_names
from ..engine.exchange import Exchange
from ..errors import BadResponse, Denied
from ..interfaces import IFilterFactory, IRequestFilter
from ..message.fields import HOP_BY_HOP, spellings
from ..message.fields import Field as HeaderField
from ..message.response import Response
from ..options import BuildContext, Duration, OneOrMore, Options

_TOLD = (
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-method",
    b"x-forwarded-proto",
    b"x-forwarded-uri",
    b"x-real-ip",
)
# What says something of the content, which is not sent, or is written anew for the service: so
# that a client cannot say beside it what a service that is built like CGI takes for the same.
_NOT_ASKED = (
    HOP_BY_HOP
    | {each for name in _TOLD for each in spellings(name)}
    | {
        b"accept-encoding",
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"forwarded",
        b"host",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
        b"trailer",
    }
)
# What frames the service's own answer.
_NOT_ANSWERED = HOP_BY_HOP | {b"content-length", b"date", b"server", b"via"}


def _is_given(name: str) -> str:
    if not name:
        raise ValueError("expected a field's name")
    return name


FieldNames = OneOrMore[Annotated[FieldName, AfterValidator(_is_given)]]


class ForwardAuthOptions(Options):
    """The service, and what its answers mean."""

    url: ServiceUrl = Field(description="Asked with GET before each request; 2xx lets it go on.")
    timeout: Duration = Field(default=5.0, description="For an answer.")
    ca: Path | None = Field(default=None, description="A PEM file of roots; else the platform's.")
    copy_headers: FieldNames = Field(
        default=[], description="Fields of its answer that servers are sent, and nobody else's."
    )
    user_header: FieldName = Field(default="", description="Names the user, in its answer.")
    groups_header: FieldName = Field(default="", description="Names the groups, in its answer.")
    pass_credentials: bool = Field(
        default=True, description="Whether servers see the Authorization field (reverse only)."
    )


@implementer(IRequestFilter)
class ForwardAuth:
    """Asks a service about each request: 2xx lets it go on, any other answer is the client's."""

    def __init__(self, options: ForwardAuthOptions, context: BuildContext) -> None:
        """Ask nothing yet.

        :raises ConfigurationError: when the roots cannot be read.
        """
        ca_file = context.directory / options.ca if options.ca is not None else None
        self._client = HttpClient(context.reactor, options.url, options.timeout, ca_file, 64)
        self._copied = tuple(name.encode("ascii") for name in options.copy_headers)
        self._user_header = options.user_header.lower().encode("ascii")
        self._groups_header = options.groups_header.lower().encode("ascii")
        self._pass_credentials = options.pass_credentials

    def request(self, exchange: Exchange) -> Deferred[Response | None]:
        """See ``IRequestFilter``."""
        asking = self._client.get(_question(exchange))
        return asking.addCallback(self._answered, exchange)

    def _answered(self, reply: Reply, exchange: Exchange) -> Response | None:
        if not 200 <= reply.status <= 299:
            return _clients_answer(reply, exchange)
        self._identify(reply, exchange)
        headers = exchange.request.headers
        for name in self._copied:
            # What the client sent under this name is what somebody would forge.
            headers.remove_alike(name)
            value = reply.get(name.lower())
            if value is not None:
                headers.set(name, _usable(value))
        if not self._pass_credentials and not is_for_proxy(exchange):
            headers.remove(b"authorization")
        return None

    def _identify(self, reply: Reply, exchange: Exchange) -> None:
        name = reply.get(self._user_header) if self._user_header else None
        if name is None:
            return
        groups = reply.get(self._groups_header) if self._groups_header else None
        try:
            identity = checked_identity(name.decode("utf-8"), group_names(groups))
        except ValueError:
            raise BadResponse("the authentication service names a user that cannot be") from None
        exchange.user = identity.name
        exchange.groups = identity.groups


def _question(exchange: Exchange) -> Iterable[HeaderField]:
    """Give the fields that the service is asked with: the client's, and what it asks for."""
    request = exchange.request
    headers = request.changed_headers
    fields = request.section.fields if headers is None else tuple(headers)
    dropped = _NOT_ASKED | request.section.options
    asked = [(name, value) for name, value in fields if name.lower() not in dropped]
    credentials = credentials_field(exchange)
    if credentials is not None:
        # Those that are meant for us. On a forward proxy the others are an origin's.
        asked.append((b"Authorization", credentials))
    tunnel = request.method == b"CONNECT"
    uri = request.raw_target if tunnel else request.origin_target
    asked += [
        (b"X-Forwarded-Method", request.method),
        (b"X-Forwarded-Proto", exchange.scheme.encode("ascii")),
        (b"X-Forwarded-Host", exchange.authority.text().encode("ascii")),
        (b"X-Forwarded-Uri", uri),
        (b"X-Forwarded-For", (exchange.client_address or "unknown").encode("ascii")),
    ]
    return asked


def _clients_answer(reply: Reply, exchange: Exchange) -> Response:
    """Make the service's answer the client's; a challenge becomes one of the right kind."""
    if not 300 <= reply.status <= 599:
        raise BadResponse(f"the authentication service answers {reply.status}")
    for_proxy = is_for_proxy(exchange)
    status = 407 if for_proxy and reply.status == 401 else reply.status
    # An origin's cookies and challenges are not this service's to set.
    dropped = _NOT_ANSWERED | {b"set-cookie", b"www-authenticate"} if for_proxy else _NOT_ANSWERED
    fields = [(name, _usable(value)) for name, value in reply.fields if name.lower() not in dropped]
    challenges = reply.get(b"www-authenticate")
    if status == 407 and challenges is not None:
        fields.append((b"Proxy-Authenticate", _usable(challenges)))
    exchange.error_type = Denied.error_type
    exchange.detail = f"the authentication service answers {reply.status}"
    return Response(status, fields, reply.content)


def _usable(value: bytes) -> bytes:
    """Give a service's field value as ours may be: what Twisted lets through is not all one."""
    return bytes(byte if byte == 9 or 32 <= byte != 127 else 32 for byte in value).strip()


@implementer(IPlugin, IFilterFactory)
class ForwardAuthFactory:
    """Makes ``forward-auth`` filters."""

    name = "forward-auth"
    description = "has a service decide about each request by its head"
    options = ForwardAuthOptions

    def build(self, options: ForwardAuthOptions, context: BuildContext) -> ForwardAuth:
        """See ``IFilterFactory``."""
        return ForwardAuth(options, context)
