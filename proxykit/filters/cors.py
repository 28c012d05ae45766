"""The ``cors`` filter: lets pages of other origins read responses (Fetch standard, section 3.2).

The proxy is the one that decides: what a server behind it says of the matter is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..engine.answers import refusal
from ..engine.exchange import Exchange
from ..errors import Denied
from ..interfaces import IFilterFactory, IRequestFilter, IResponseFilter
from ..message.fields import TOKEN, Headers, checked_field
from ..message.pattern import Pattern
from ..message.response import Response
from ..options import BuildContext, Duration, OneOrMore, Options

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>(?:\*\.)?[a-z0-9._-]+|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?\Z"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_TOKENS = re.compile(rb"%b+(?:[ \t]*,[ \t]*%b+)*\Z" % (TOKEN, TOKEN))

_SAID_BY_SERVERS = (
    b"Access-Control-Allow-Origin",
    b"Access-Control-Allow-Credentials",
    b"Access-Control-Expose-Headers",
)


# --- options ----------------------------------------------------------------------------------


def _checked_origin(value: str) -> str:
    """Check an origin and give it as a browser writes it: lower case, no default port."""
    if value in ("*", "null"):
        return value
    if value.startswith("~"):
        Pattern.of(value[1:].strip(), whole=True)
        return value
    match = _ORIGIN.match(value.lower())
    if match is None:
        raise ValueError(
            'expected an origin such as "https://a.example", "https://*.a.example", "*" or '
            f'"~ regex", got {value!r}'
        )
    port = match["port"]
    default = port is None or port == _DEFAULT_PORTS.get(match["scheme"])
    return f"{match['scheme']}://{match['host']}" + ("" if default else f":{port}")


def _checked_name(value: str) -> str:
    checked_field(value.encode("utf-8"), b"")
    return value


Origins = Annotated[OneOrMore[Annotated[str, AfterValidator(_checked_origin)]], Field(min_length=1)]
Names = OneOrMore[Annotated[str, AfterValidator(_checked_name)]]


class CorsOptions(Options):
    """Whose pages may do what."""

    origins: Origins = Field(
        description='"https://a.example", "https://*.a.example" for all below, "~ regex" for a '
        'whole origin, "null", or "*" for any.'
    )
    methods: Names = Field(
        default=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        description="Methods that they may use.",
    )
    headers: Names = Field(
        default=["*"], description='Fields that they may send; "*" for those they ask for.'
    )
    expose: Names = Field(default=[], description="Fields of responses that they may read.")
    credentials: bool = Field(
        default=False, description="Whether cookies and the like are sent along."
    )
    max_age: Duration = Field(
        default=600.0,
        description="How long a browser may remember what it was allowed.",
        validate_default=False,
    )

    @model_validator(mode="after")
    def _no_credentials_for_all(self) -> CorsOptions:
        if self.credentials and "*" in self.origins:
            # Fetch section 3.2.5: no browser takes the two together, and to name every origin
            # that asks would hand each user's data to any page.
            raise ValueError('credentials cannot go with the origin "*"')
        if self.credentials and "*" in self.expose:
            raise ValueError(
                'credentials cannot go with "*" in expose: browsers take it for a name'
            )
        return self


# --- the filter -------------------------------------------------------------------------------


def _origin_match(origins: Iterable[str]) -> Callable[[bytes], bool]:
    exact: set[str] = set()
    patterns: list[Pattern] = []
    for origin in origins:
        if origin == "*":
            return lambda origin: True
        if origin.startswith("~"):
            patterns.append(Pattern.of(origin[1:].strip(), whole=True))
        elif "://*." in origin:
            scheme, _, below = origin.partition("://*.")
            labels = r"(?:[a-z0-9_-]+\.)+"
            patterns.append(Pattern.of(f"{scheme}://{labels}{re.escape(below)}", whole=True))
        else:
            exact.add(origin)

    def matches(origin: bytes) -> bool:
        text = origin.decode("latin-1")
        return text in exact or any(pattern.search(text) for pattern in patterns)

    return matches


@implementer(IRequestFilter, IResponseFilter)
class Cors:
    """Answers preflights, and says on responses who may read them."""

    def __init__(self, options: CorsOptions) -> None:
        """Compile the options."""
        self._for_all = "*" in options.origins
        self._allows = lru_cache(maxsize=256)(_origin_match(options.origins))
        self._methods = ", ".join(options.methods).encode("ascii")
        any_header = "*" in options.headers
        self._headers = None if any_header else ", ".join(options.headers).encode("ascii")
        self._exposed = ", ".join(options.expose).encode("ascii")
        self._credentials = options.credentials
        self._max_age = b"%d" % options.max_age

    def request(self, exchange: Exchange) -> Response | None:
        """See ``IRequestFilter``: answer preflights (Fetch section 3.2.2)."""
        if exchange.request.method != b"OPTIONS":
            return None
        section = exchange.request.section
        if section.get(b"origin") is None or section.get(b"access-control-request-method") is None:
            return None
        if not self._is_allowed(exchange):
            # What a preflight lacks, a browser's console says badly: the status says it better.
            return refusal(exchange, Denied("pages of this origin may not use this site"))
        headers = Headers([(b"Access-Control-Allow-Methods", self._methods)])
        wanted = section.get(b"access-control-request-headers")
        if self._headers is not None:
            if self._headers:
                headers.add(b"Access-Control-Allow-Headers", self._headers)
        else:
            # Not "*": that does not stand for Authorization, nor for anything with credentials.
            headers.add(b"Vary", b"Access-Control-Request-Headers")
            if wanted is not None and _TOKENS.match(wanted):
                headers.add(b"Access-Control-Allow-Headers", wanted)
        headers.add(b"Access-Control-Max-Age", self._max_age)
        return Response(204, headers)

    def response(self, exchange: Exchange, response: Response) -> None:
        """See ``IResponseFilter``: preflights' answers pass here too."""
        headers = response.headers
        for name in _SAID_BY_SERVERS:
            headers.remove(name)
        if not self._for_all:
            # For who sends no Origin too: a cache would give its copy to who does.
            _vary_by_origin(headers)
        if not self._is_allowed(exchange):
            return
        origin = exchange.request.section.values[b"origin"]
        headers.add(b"Access-Control-Allow-Origin", b"*" if self._for_all else origin)
        if self._credentials:
            headers.add(b"Access-Control-Allow-Credentials", b"true")
        if self._exposed and exchange.request.method != b"OPTIONS":
            headers.add(b"Access-Control-Expose-Headers", self._exposed)

    def _is_allowed(self, exchange: Exchange) -> bool:
        origin = exchange.request.section.get(b"origin")
        return origin is not None and len(origin) <= 512 and self._allows(origin)


def _vary_by_origin(headers: Headers) -> None:
    names = {name.strip() for name in (headers.get(b"vary") or b"").lower().split(b",")}
    if not names & {b"*", b"origin"}:
        headers.add(b"Vary", b"Origin")


@implementer(IPlugin, IFilterFactory)
class CorsFactory:
    """Makes ``cors`` filters."""

    name = "cors"
    description = "lets pages of other origins use a site, and answers their preflights"
    options = CorsOptions

    def build(self, options: CorsOptions, context: BuildContext) -> Cors:
        """See ``IFilterFactory``."""
        return Cors(options)
