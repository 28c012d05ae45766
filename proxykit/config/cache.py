"""The models of caches (``[cache.NAME]``) and of how a route or a listener uses one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from ..message.pattern import Pattern
from ..options import Duration, OneOrMore, Options, Size
from .field_types import HostPatterns, Networks, PathPattern
from .plugin_entry import PluginEntry


class Cache(PluginEntry):
    """A cache: where responses are kept. The keys of its store stand beside these."""

    store: str = Field(default="memory", description="The store's name.")
    max_object_size: Size = Field(
        default=8 * 1024 * 1024, description="What is larger is passed on and not stored."
    )
    lock_timeout: Duration = Field(
        default=5.0, description="How long a client waits for another one's request."
    )


_Token = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
_Tokens = OneOrMore[_Token]
_Parameters = OneOrMore[Annotated[str, Field(pattern=r"^[!-~]*$", max_length=256)]]


def _expression(value: str) -> str:
    Pattern.of(value)
    return value


Expressions = OneOrMore[Annotated[str, AfterValidator(_expression)]]


class CacheRuleOptions(Options):
    """What is to be cached, under what key, and for how long where a response does not say."""

    bypass: bool = Field(default=False, description="Look nothing up and store nothing.")
    bypass_cookies: _Tokens = Field(
        default=[], description="Requests with one of these cookies pass the cache by."
    )
    lifetime: Duration | None = Field(
        default=None, description="How long what says nothing itself is fresh."
    )
    force_lifetime: Duration | None = Field(
        default=None, description="How long all that may be stored is, whatever it says."
    )
    lifetimes: dict[str, Duration] = Field(
        default={}, description='By status, for what says nothing: `{ "404" = "10s" }`.'
    )
    heuristic_percent: float | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Of the time since Last-Modified, for what says nothing; 10 if there is no "
        "`lifetime`. With one, what is longer counts.",
    )
    heuristic_limit: Duration = Field(
        default=86_400.0, description="The longest that is guessed from Last-Modified."
    )
    stale_while_revalidate: Duration | None = Field(
        default=None, description="For what does not say: used so long while it is refreshed."
    )
    stale_if_error: Duration | None = Field(
        default=None, description="For what does not say: used so long when servers fail."
    )
    allow_set_cookie: bool = Field(
        default=False, description="Store responses with Set-Cookie that are not `public`."
    )
    allow_errors: bool = Field(
        default=False, description="Store errors of any status that say how long they are fresh."
    )
    obey_clients: bool = Field(
        default=True, description="Whether clients' Cache-Control and Pragma count."
    )
    offline: bool = Field(
        default=False,
        description="Use what is stored without asking, however stale; only misses go to servers.",
    )
    slice_size: Size | None = Field(
        default=None, description="Keep responses in slices of this size, fetched by Range."
    )
    query: Literal["keep", "sort", "ignore"] = Field(
        default="keep", description="What of the query is in the key."
    )
    query_ignore: _Parameters = Field(
        default=[], description="Parameters that are not in the key; `utm_*` takes all that begin."
    )
    query_only: _Parameters = Field(default=[], description="Only these parameters are.")
    key_headers: _Tokens = Field(default=[], description="Request fields that are in the key.")
    key_cookies: _Tokens = Field(default=[], description="Cookies that are in the key.")

    @field_validator("lifetimes")
    @classmethod
    def _statuses(cls, value: dict[str, float]) -> dict[str, float]:
        known = {"200", "203", "204", "300", "301", "302", "307", "308", "404", "410", "451"}
        for status in value:
            if status not in known:
                raise ValueError(f"a {status} is not stored; there are: {', '.join(sorted(known))}")
        return value


class CacheRule(CacheRuleOptions):
    """Rules for some of a route's or a listener's requests."""

    host: HostPatterns = Field(default=[], description='Names, "*.a.example" for all below one.')
    path: PathPattern | None = Field(default=None, description='"/x" prefix, "= /x", "~ regex".')
    url: Expressions = Field(
        default=[], description='Regular expressions (RE2) for the URL; "(?i)" for either case.'
    )


class CacheUse(CacheRuleOptions):
    """How a cache is used."""

    use: str = Field(description="The cache's name.")
    rules: list[CacheRule] = Field(
        default=[], description="For some requests; the first that matches counts alone."
    )
    purge_from: Networks = Field(default=[], description="Clients that may send PURGE.")


def _cache_use(value: object) -> object:
    return {"use": value} if isinstance(value, str) else value


CacheReference = Annotated[CacheUse, BeforeValidator(_cache_use)]
"""``"main"``, or a table with more."""
