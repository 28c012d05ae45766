"""The model of a route: ``[[reverse.NAME.routes]]``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ..message.fields import HOP_BY_HOP, checked_field
from ..message.path import PathMatch
from ..message.pattern import Pattern
from ..options import Duration, OneOrMore, Options, PoolName, SizeOrNone
from ..reverse.fixed_answers import redirect_template
from ..reverse.rewriting import checked_rule
from .cache import CacheReference
from .field_types import HostPatterns, Methods, Networks, PathPattern
from .filter_entry import FilterEntry

# What the engine writes itself.
_NOT_TO_BE_SET = HOP_BY_HOP | {b"content-length", b"via", b"date"}


def _field_name(name: str) -> str:
    checked_field(name.encode("utf-8"), b"")
    return name


def _own_field_name(name: str) -> str:
    if _field_name(name).lower().encode("ascii") in _NOT_TO_BE_SET:
        raise ValueError(f"{name} is written by the proxy itself")
    return name


def _field_value(value: str) -> str:
    checked_field(b"X", value.encode("utf-8"))
    return value


def _wanted(value: object) -> object:
    """Check what is asked of a field or a parameter: a text, several, or whether it is there."""
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, bool) and not isinstance(value, list):
            continue
        if not isinstance(text, str):
            raise ValueError("expected a text, a list of texts, true or false")
        if text.startswith("~"):
            Pattern.of(text[1:].strip())
    return value


Wanted = Annotated[bool | str | list[str], BeforeValidator(_wanted)]
FieldName = Annotated[str, AfterValidator(_field_name)]
OwnFieldName = Annotated[str, AfterValidator(_own_field_name)]
FieldValue = Annotated[str, AfterValidator(_field_value)]
Prefix = Annotated[str, Field(pattern=r"^/[!-~]*$")]


class Redirect(Options):
    """An answer that sends the client elsewhere."""

    to: Annotated[str, Field(pattern=r"^[!-~]+$")] = Field(
        description="May hold {uri}, {path}, {query}, {host}, {scheme}, and groups of `path`: {1}."
    )
    status: Literal[301, 302, 303, 307, 308] = Field(default=308, description="Which redirect.")


class FixedResponse(Options):
    """An answer that is always the same."""

    status: int = Field(default=200, ge=200, le=599, strict=True, description="The status code.")
    body: str = Field(default="", description="The content.")
    content_type: FieldValue = Field(
        default="text/plain; charset=utf-8", pattern=r"^[ -~]+$", description="Of the content."
    )
    headers: dict[OwnFieldName, FieldValue] = Field(default={}, description="Further fields.")

    @model_validator(mode="after")
    def _may_have_content(self) -> FixedResponse:
        if self.body and self.status in (204, 205, 304):
            raise ValueError(f"a response with the status {self.status} has no content")
        return self


class Static(Options):
    """Files of a folder."""

    root: str = Field(min_length=1, description="The folder; nothing outside of it is served.")
    index: OneOrMore[Annotated[str, Field(pattern=r"^[^/\x00]+$")]] = Field(
        default=["index.html"], description="What stands for a folder, the first there is."
    )
    dotfiles: bool = Field(
        default=False, description="Serve names with a dot in front; /.well-known/ always is."
    )
    charset: str = Field(
        default="utf-8", pattern=r"^[A-Za-z0-9_.:-]*$", description='Of texts; "" says none.'
    )
    cache_control: FieldValue = Field(
        default="", pattern=r"^[ -~]*$", description='Cache-Control, "max-age=3600" for instance.'
    )
    fallback: Prefix | None = Field(
        default=None, description='Served where there is no file: "/index.html" for an application.'
    )


class RewriteRule(Options):
    """A path that another takes the place of."""

    match: str = Field(description="A regular expression that the path is searched for.")
    to: str = Field(description="May hold the groups {1}, {name}, and {query} behind a ?.")

    @model_validator(mode="after")
    def _compiles(self) -> RewriteRule:
        checked_rule(self.match, self.to)
        return self


class Sticky(Options):
    """How a client is brought back to the pool that it came to first."""

    cookie: str | None = Field(
        default=None, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", description="A cookie's name."
    )
    ttl: Duration | None = Field(
        default=None, description="How long it is kept; by itself until the browser is closed."
    )

    @model_validator(mode="after")
    def _has_a_cookie_to_keep(self) -> Sticky:
        if self.ttl is not None and self.cookie is None:
            raise ValueError("there is no cookie to keep for the ttl")
        return self


def _sticky(value: object) -> object:
    if value == "client":
        return Sticky()
    if isinstance(value, str) or value == {}:
        raise ValueError('expected "client" or { cookie = "NAME" }')
    return value


Weight = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]


class Split(Options):
    """Several pools that share what a route takes: a canary."""

    pools: dict[PoolName, Weight] = Field(min_length=1, description="Each pool's share.")
    sticky: Annotated[
        Sticky | None, BeforeValidator(_sticky, json_schema_input_type=Literal["client"] | Sticky)
    ] = Field(
        default=None,
        description='The same pool again: "client" by address, or { cookie = "NAME" }.',
    )

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Split:
        if not any(self.pools.values()):
            raise ValueError("no pool has a share")
        return self


class RouteLimits(Options):
    """Limits of a route, in the place of the listener's."""

    body_size: SizeOrNone = Field(default=None, description='A request\'s content, or "none".')


class Route(Options):
    """Where a kind of request goes; the first route that matches takes it."""

    name: str | None = Field(default=None, description="For the log; else its number.")
    host: HostPatterns = Field(
        default=[], description='Names, "*.a.example" for all below one, "~ regex".'
    )
    path: PathPattern | None = Field(default=None, description='"/x" prefix, "= /x", "~ regex".')
    methods: Methods = Field(default=[], description="Any when there are none.")
    headers: dict[FieldName, Wanted] = Field(
        default={}, description='What fields say: "text", "~ regex", a list of these, true, false.'
    )
    query: dict[str, Wanted] = Field(default={}, description="The same of the query's parameters.")
    client: Networks = Field(default=[], description="Clients' networks.")
    pool: PoolName | None = Field(default=None, description="Where it goes.")
    split: Split | None = Field(default=None, description="Or where it goes by weight.")
    redirect: Redirect | None = Field(default=None, description="Or where the client is sent.")
    respond: FixedResponse | None = Field(default=None, description="Or what is answered.")
    static: Static | None = Field(default=None, description="Or the files that are served.")
    strip_prefix: Prefix | None = Field(default=None, description="Taken off the path, first.")
    rewrite: OneOrMore[RewriteRule] = Field(
        default=[], description="Then what the path becomes; the first rule that matches."
    )
    add_prefix: Prefix | None = Field(default=None, description="Then put in front of the path.")
    error_pages: dict[Annotated[str, Field(pattern=r"^[45]([0-9][0-9]|xx)$")], str] = Field(
        default={}, description='Files by status: { "404" = "lost.html", "5xx" = "down.html" }.'
    )
    intercept_errors: bool = Field(
        default=False, description="Put error_pages in the place of the servers' own too."
    )
    limits: RouteLimits = Field(default=RouteLimits(), description="In place of the listener's.")
    cache: CacheReference | None = Field(default=None, description="What may answer instead.")
    filters: list[FilterEntry] = Field(default=[], description="Run behind the listener's.")

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Route:
        ways = (self.pool, self.split, self.redirect, self.respond, self.static)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("a route needs one of pool, split, redirect, respond and static")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Route:
        if self.redirect is not None:
            redirect_template(
                self.redirect.to, self.path_match.pattern if self.path_match else None
            )
        if self.intercept_errors and not self.error_pages:
            raise ValueError("intercept_errors has no error_pages to show")
        if self.cache is not None and self.pool is None and self.split is None:
            raise ValueError("only a route with pool or split has a use for a cache")
        if self.respond is not None and (self.strip_prefix or self.rewrite or self.add_prefix):
            raise ValueError("respond does not look at the path: there is nothing to rewrite")
        return self

    @property
    def path_match(self) -> PathMatch | None:
        """What ``path`` says, compiled."""
        return PathMatch.of(self.path) if self.path is not None else None

    def pool_names(self) -> dict[tuple[Any, ...], str]:
        """Give the pools that the route names, by the keys that name them."""
        names: dict[tuple[Any, ...], str] = {}
        if self.pool is not None:
            names["pool",] = self.pool
        if self.split is not None:
            names |= {("split", "pools", name): name for name in self.split.pools}
        return names
