"""The ``anonymity`` filter: what servers, and who watches across them, learn of a client.

Three levels, and keys for those who want something between. ``docs/privacy.md`` lists what each
does to each field. It can only change what it can read: what goes through a CONNECT tunnel is the
client's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from attrs import frozen
from pydantic import AfterValidator, Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..engine.exchange import Exchange
from ..engine.forwarding import Disclosure
from ..interfaces import IDisclosing, IFilterFactory, IRequestFilter, IResponseFilter
from ..lists.names import site
from ..message.fields import Headers, checked_field
from ..message.response import Response
from ..message.set_cookie import session_cookie
from ..options import BuildContext, Options

# Fields by which programs on the client's side tell an address or a person.
_ADDRESSES = frozenset(
    {
        b"cf-connecting-ip",
        b"client-ip",
        b"from",  # RFC 9110 section 10.1.2: the mailbox of who asks
        b"true-client-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-originating-ip",
        b"x-remote-addr",
        b"x-remote-ip",
    }
)

# The client hints that browsers send, and older hints of a device; by these a browser is told from
# others. Names that begin with sec-ch- are hints too.
_HINTS = frozenset(
    {
        b"device-memory",
        b"downlink",
        b"dpr",
        b"ect",
        b"rtt",
        b"save-data",
        b"viewport-width",
        b"width",
        b"x-requested-with",
        b"x-wap-profile",
    }
)
_ASKING_FOR_HINTS = (b"Accept-CH", b"Critical-CH")

# What most people's browsers say is the least to be told apart by.
_COMMON_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

RefererPolicy = Literal["keep", "origin", "same-site", "remove"]
CookiePolicy = Literal["allow", "session-only", "block-third-party", "block"]


def _checked_user_agent(value: str) -> str:
    checked_field(b"User-Agent", value.encode("utf-8"))
    return value


class AnonymityOptions(Options):
    """A level, and what is to be otherwise than the level has it."""

    level: Literal["transparent", "anonymous", "elite"] = Field(
        default="anonymous", description="transparent, anonymous or elite."
    )
    referer: RefererPolicy | None = Field(
        default=None, description="keep, origin, same-site or remove."
    )
    user_agent: Annotated[str, AfterValidator(_checked_user_agent)] | None = Field(
        default=None, description='What User-Agent says, "keep" for the client\'s own.'
    )
    client_hints: Literal["keep", "remove"] | None = Field(
        default=None, description="Sec-CH-UA and its kin."
    )
    languages: Literal["keep", "first"] | None = Field(
        default=None, description="All of Accept-Language, or the first alone."
    )
    etags: Literal["keep", "remove"] | None = Field(
        default=None, description="Validators by which a client can be recognised."
    )
    cookies: CookiePolicy | None = Field(
        default=None, description="allow, session-only, block-third-party or block."
    )


@frozen(slots=True)
class _Policy:
    """What is done, once a level's defaults are filled in."""

    disclosure: Disclosure
    referer: RefererPolicy
    user_agent: str
    hides_hints: bool
    first_language: bool
    hides_etags: bool
    cookies: CookiePolicy

    @classmethod
    def of(cls, options: AnonymityOptions) -> _Policy:
        elite = options.level == "elite"
        return cls(
            {
                "transparent": Disclosure.EVERYTHING,
                "anonymous": Disclosure.PROXY,
                "elite": Disclosure.NOTHING,
            }[options.level],
            options.referer or ("same-site" if elite else "keep"),
            options.user_agent or (_COMMON_USER_AGENT if elite else "keep"),
            (options.client_hints or ("remove" if elite else "keep")) == "remove",
            (options.languages or ("first" if elite else "keep")) == "first",
            (options.etags or ("remove" if elite else "keep")) == "remove",
            options.cookies or ("block-third-party" if elite else "allow"),
        )


RequestChange = Callable[[Exchange, Headers], None]


@implementer(IDisclosing)
class Anonymity:
    """What the parts share: how much servers are told."""

    def __init__(self, policy: _Policy) -> None:
        """Take the policy."""
        self.disclosure = policy.disclosure


@implementer(IRequestFilter)
class AnonymousRequests(Anonymity):
    """Changes requests alone."""

    def __init__(self, policy: _Policy) -> None:
        """Compile the changes."""
        super().__init__(policy)
        self._changes = tuple(_request_changes(policy))

    def request(self, exchange: Exchange) -> None:
        """See ``IRequestFilter``."""
        headers = exchange.request.headers
        for change in self._changes:
            change(exchange, headers)


@implementer(IResponseFilter)
class AnonymousExchanges(AnonymousRequests):
    """Changes requests and responses."""

    def __init__(self, policy: _Policy) -> None:
        """Compile the changes."""
        super().__init__(policy)
        self._hides_hints = policy.hides_hints
        self._hides_etags = policy.hides_etags
        self._cookies = policy.cookies

    def response(self, exchange: Exchange, response: Response) -> None:
        """See ``IResponseFilter``."""
        headers = response.headers
        if self._hides_hints:
            for name in _ASKING_FOR_HINTS:
                headers.remove(name)
        if self._hides_etags:
            headers.remove(b"ETag")
        if b"Set-Cookie" in headers:
            self._filter_cookies(exchange, headers)

    def _filter_cookies(self, exchange: Exchange, headers: Headers) -> None:
        policy = self._cookies
        if policy == "block" or (policy == "block-third-party" and is_third_party(exchange)):
            headers.remove(b"Set-Cookie")
        elif policy == "session-only":
            cookies = headers.get_all(b"Set-Cookie")
            headers.remove(b"Set-Cookie")
            for cookie in cookies:
                headers.add(b"Set-Cookie", session_cookie(cookie))


# --- changes of requests ------------------------------------------------------------------------


def _request_changes(policy: _Policy) -> list[RequestChange]:
    changes: list[RequestChange] = []
    if policy.disclosure is not Disclosure.EVERYTHING:
        changes.append(_remove_addresses)
    if policy.cookies == "block":
        changes.append(lambda exchange, headers: headers.remove(b"Cookie"))
    elif policy.cookies == "block-third-party":
        changes.append(_remove_third_party_cookies)
    if policy.referer != "keep":
        changes.append(_REFERER[policy.referer])
    if policy.user_agent != "keep":
        user_agent = policy.user_agent.encode("utf-8")
        changes.append(lambda exchange, headers: headers.set(b"User-Agent", user_agent))
    if policy.hides_hints:
        changes.append(_remove_hints)
    if policy.first_language:
        changes.append(_first_language)
    if policy.hides_etags:
        changes.append(lambda exchange, headers: headers.remove(b"If-None-Match"))
    return changes


def _remove_addresses(exchange: Exchange, headers: Headers) -> None:
    for name, _ in tuple(headers):
        if name.lower() in _ADDRESSES:
            headers.remove(name)


def _remove_hints(exchange: Exchange, headers: Headers) -> None:
    for name, _ in tuple(headers):
        key = name.lower()
        if key in _HINTS or key.startswith(b"sec-ch-"):
            headers.remove(name)


def _remove_third_party_cookies(exchange: Exchange, headers: Headers) -> None:
    if is_third_party(exchange):
        headers.remove(b"Cookie")


def _first_language(exchange: Exchange, headers: Headers) -> None:
    value = headers.get(b"Accept-Language")
    if value is not None:
        first = value.split(b",", 1)[0].split(b";", 1)[0].strip(b" \t")
        headers.set(b"Accept-Language", first or b"en")


def _referer_origin(exchange: Exchange, headers: Headers) -> None:
    value = headers.get(b"Referer")
    if value is not None:
        parts = _parsed(value)
        if parts.hostname:
            host = parts.netloc.rpartition("@")[2]
            headers.set(b"Referer", f"{parts.scheme}://{host}/".encode("ascii"))
        else:
            headers.remove(b"Referer")


def _referer_same_site(exchange: Exchange, headers: Headers) -> None:
    value = headers.get(b"Referer")
    if value is not None and not _is_same_site(value, exchange):
        headers.remove(b"Referer")


_REFERER: dict[str, RequestChange] = {
    "origin": _referer_origin,
    "same-site": _referer_same_site,
    "remove": lambda exchange, headers: headers.remove(b"Referer"),
}


# --- whose request it is ------------------------------------------------------------------------


def is_third_party(exchange: Exchange) -> bool:
    """Say whether a request was caused by a page of another site than the one that is asked.

    Judged by Sec-Fetch-Site where a browser sends it, else by Origin and Referer; a request
    without any of them is nobody's but the client's own.
    """
    values = exchange.request.section.values
    told = values.get(b"sec-fetch-site")
    if told is not None:
        # A link that somebody follows from another site leads to a first party.
        return told == b"cross-site" and values.get(b"sec-fetch-dest") != b"document"
    cause = values.get(b"origin") or values.get(b"referer")
    return cause is not None and not _is_same_site(cause, exchange)


def _is_same_site(url: bytes, exchange: Exchange) -> bool:
    host = _parsed(url).hostname
    return bool(host) and site(host or "") == site(exchange.host)


def _parsed(url: bytes) -> SplitResult:
    try:
        return urlsplit(url.decode("ascii"))
    except ValueError:
        return urlsplit("")


@implementer(IPlugin, IFilterFactory)
class AnonymityFactory:
    """Makes ``anonymity`` filters: one for the sides that there is something to do on."""

    name = "anonymity"
    description = "what servers learn of clients: transparent, anonymous or elite"
    options = AnonymityOptions

    def build(self, options: AnonymityOptions, context: BuildContext) -> Anonymity:
        """See ``IFilterFactory``."""
        policy = _Policy.of(options)
        if policy.hides_hints or policy.hides_etags or policy.cookies != "allow":
            return AnonymousExchanges(policy)
        if _request_changes(policy):
            return AnonymousRequests(policy)
        return Anonymity(policy)
