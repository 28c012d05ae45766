"""The ``rewrite`` filter: paths of requests; references and cookies of responses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..engine.exchange import Exchange
from ..engine.variables import RESPONSE_VARIABLES, Template, compile_text
from ..interfaces import IFilterFactory, IRequestFilter, IResponseFilter
from ..message.path import PathMatch, checked_path_match, normalised_path, resolved_path
from ..message.pattern import Pattern
from ..message.references import (
    Reference,
    below,
    joined,
    map_links,
    map_refresh,
    one_slash,
)
from ..message.response import Response
from ..message.set_cookie import map_cookie
from ..options import BuildContext, Options

_VISIBLE = r"^[!-~]*$"
_DOMAIN = r"^[A-Za-z0-9.-]+$"
_GROUP = re.compile(r"\{([0-9]{1,2})\}")


# --- options ----------------------------------------------------------------------------------


def _checked_reference_match(value: str) -> str:
    if value.startswith(("http://", "https://")):
        reference = Reference.of(value)
        if reference is None or reference.authority is None:
            raise ValueError(f"the host in {value!r} is none")
        return value
    if value.startswith("= "):
        raise ValueError('expected "/prefix", "http://host/prefix" or "~ regex"')
    return checked_path_match(value)


def _check_groups(match: str, to: str) -> None:
    groups: tuple[str, ...] = ()
    if match.startswith("~"):
        groups = ("0", *Pattern.of(match[1:].strip()).groups)
    for number in map(int, _GROUP.findall(to)):
        if str(number) not in groups:
            raise ValueError(f"{{{number}}} stands for no group of {match!r}")


class PathRule(Options):
    """A path, and what stands in its place."""

    match: Annotated[str, AfterValidator(checked_path_match)] = Field(
        description='"/prefix", "= /exact" or "~ regex".'
    )
    to: str = Field(
        pattern=r"^/[!-~]*$",
        description="In the place of the prefix, or of the whole path; {1} is a regex's group.",
    )

    @model_validator(mode="after")
    def _has_groups(self) -> PathRule:
        _check_groups(self.match, self.to)
        return self


class ReferenceRule(Options):
    """A reference in a response, and what stands in its place."""

    match: Annotated[str, AfterValidator(_checked_reference_match)] = Field(
        description='"/prefix", "http://host/prefix" or "~ regex".'
    )
    to: str = Field(
        pattern=r"^(/|https?://|\{)[!-~]*$",
        description="In the place of the prefix, or of the whole reference; {1} is a regex's "
        "group; may hold variables.",
    )

    @model_validator(mode="after")
    def _has_groups(self) -> ReferenceRule:
        _check_groups(self.match, self.to)
        compile_text(_GROUP.sub("", self.to), RESPONSE_VARIABLES)
        return self


class DomainRule(Options):
    """A cookie's Domain, and what stands in its place."""

    match: str = Field(pattern=_DOMAIN, description="The domain, with or without a dot before it.")
    to: str = Field(
        pattern=r"^[A-Za-z0-9.-]*$",
        description="The domain that clients see; empty for the host they asked and no other.",
    )


class CookiePathRule(Options):
    """A cookie's Path, and what stands in its place."""

    match: str = Field(pattern=r"^/[!-:<-~]*$", description="A prefix.")
    to: str = Field(pattern=r"^/[!-:<-~]*$", description="In the place of the prefix.")


class RewriteOptions(Options):
    """What is written anew; of each list the first rule that matches is used."""

    path: list[PathRule] = Field(default=[], description="Of requests; the query is kept.")
    location: list[ReferenceRule] = Field(
        default=[], description="Location, Content-Location, Refresh and Link of responses."
    )
    cookie_domain: list[DomainRule] = Field(default=[], description="Domain of Set-Cookie.")
    cookie_path: list[CookiePathRule] = Field(default=[], description="Path of Set-Cookie.")


# --- what is put in the place of a match --------------------------------------------------------


class _Replacement:
    """A text with a regular expression's groups and, in responses, variables in it."""

    def __init__(self, text: str, *, variables: bool) -> None:
        pieces = _GROUP.split(text)
        self._parts: list[str | int | Template] = []
        for index, piece in enumerate(pieces):
            if index % 2:
                self._parts.append(int(piece))
            elif not variables:
                self._parts.append(piece)
            else:
                compiled = compile_text(piece, RESPONSE_VARIABLES)
                self._parts.append(
                    compiled if isinstance(compiled, Template) else compiled.decode("ascii")
                )

    def render(
        self,
        groups: Mapping[str, str] | None,
        exchange: Exchange | None = None,
        response: Response | None = None,
    ) -> str:
        pieces: list[str] = []
        for part in self._parts:
            if isinstance(part, str):
                pieces.append(part)
            elif isinstance(part, int):
                assert groups is not None
                pieces.append(groups[str(part)])
            else:
                assert exchange is not None
                pieces.append(part.render(exchange, response).decode("latin-1"))
        return "".join(pieces)


# --- requests ---------------------------------------------------------------------------------

_PathStep = Callable[[str, str], str | None]


def _path_step(rule: PathRule) -> _PathStep:
    """Compile a rule: it takes a path as policy sees it and as it is sent on."""
    to = _Replacement(rule.to, variables=False)
    if rule.match.startswith("~"):
        captures = Pattern.of(rule.match[1:].strip()).captures

        def by_expression(seen: str, path: str) -> str | None:
            groups = captures(path)
            return None if groups is None else to.render(groups)

        return by_expression
    matches = PathMatch.of(rule.match).matches
    plain = to.render(None)
    if rule.match.startswith("="):
        return lambda seen, path: plain if matches(seen) else None
    prefix = rule.match

    def by_prefix(seen: str, path: str) -> str | None:
        # What leads out of the prefix, by encoded slashes for instance, is not under it.
        rest = below(prefix, path) if matches(seen) else None
        return None if rest is None else joined(plain, rest, at_slash=prefix.endswith("/"))

    return by_prefix


@implementer(IRequestFilter)
class RequestRewrite:
    """Writes the paths of requests anew."""

    def __init__(self, rules: Sequence[PathRule]) -> None:
        """Compile the rules."""
        self._steps = tuple(map(_path_step, rules))

    def request(self, exchange: Exchange) -> None:
        """See ``IRequestFilter``."""
        request = exchange.request
        if request.method == b"CONNECT" or not request.origin_target.startswith(b"/"):
            return
        path, _, query = request.origin_target.decode("ascii").partition("?")
        seen, resolved = normalised_path(path), resolved_path(path)
        for step in self._steps:
            new = step(seen, resolved)
            if new is not None:
                new_path, _, more = new.partition("?")
                queries = "&".join(filter(None, (more, query)))
                target = one_slash(resolved_path(new_path)) + (f"?{queries}" if queries else "")
                request.origin_target = target.encode("ascii")
                return


# --- responses --------------------------------------------------------------------------------

_ReferenceStep = Callable[[str, Exchange, Response], str | None]


def _reference_step(rule: ReferenceRule) -> _ReferenceStep:
    """Compile a rule: it gives ``None`` for a reference that it does not match."""
    to = _Replacement(rule.to, variables=True)
    if rule.match.startswith("~"):
        captures = Pattern.of(rule.match[1:].strip()).captures

        def by_expression(text: str, exchange: Exchange, response: Response) -> str | None:
            groups = captures(text)
            return None if groups is None else to.render(groups, exchange, response)

        return by_expression
    wanted = Reference.of(rule.match)
    assert wanted is not None  # the options' model has seen to it
    at_slash = (wanted.rest or "/").endswith("/")
    only_path = wanted.authority is None

    def by_prefix(text: str, exchange: Exchange, response: Response) -> str | None:
        reference = Reference.of(text)
        rest = reference.behind(wanted, exchange.authority) if reference is not None else None
        if reference is None or rest is None:
            return None
        new = joined(to.render(None, exchange, response), rest, at_slash=at_slash)
        if only_path and reference.authority is not None and new.startswith("/"):
            return text.removesuffix(reference.rest) + one_slash(new)
        return new

    return by_prefix


@implementer(IResponseFilter)
class ResponseRewrite:
    """Writes the references and the cookies of responses anew."""

    def __init__(self, options: RewriteOptions) -> None:
        """Compile the rules."""
        self._references = tuple(map(_reference_step, options.location))
        self._domains = {rule.match.lstrip(".").lower(): rule.to for rule in options.cookie_domain}
        self._paths = tuple((rule.match, rule.to) for rule in options.cookie_path)

    def response(self, exchange: Exchange, response: Response) -> None:
        """See ``IResponseFilter``."""
        if self._references:
            self._map_references(exchange, response)
        if self._domains or self._paths:
            _map_field(
                response,
                b"set-cookie",
                lambda value: map_cookie(value, self._domain, self._path),
            )

    def _map_references(self, exchange: Exchange, response: Response) -> None:
        def mapping(text: str) -> str:
            for step in self._references:
                new = step(text, exchange, response)
                if new is not None:
                    return one_slash(new) if new.startswith(("/", "\\")) else new
            return text

        _map_field(response, b"location", mapping)
        _map_field(response, b"content-location", mapping)
        _map_field(response, b"refresh", lambda value: map_refresh(value, mapping))
        _map_field(response, b"link", lambda value: map_links(value, mapping))

    def _domain(self, domain: str) -> str:
        return self._domains.get(domain, domain)

    def _path(self, path: str) -> str:
        for match, to in self._paths:
            rest = below(match, path)
            if rest is not None:
                return joined(to, rest, at_slash=match.endswith("/"))
        return path


def _map_field(response: Response, name: bytes, mapping: Callable[[str], str]) -> None:
    """Map every field of a name; fields that stay the same are not touched."""
    headers = response.changed_headers
    if name not in (response.section.values if headers is None else headers):
        return
    headers = response.headers
    old = headers.get_all(name)
    new = [mapping(value.decode("latin-1")).encode("latin-1", "replace") for value in old]
    if new != old:
        headers.remove(name)
        for value in new:
            headers.add(_written(name), value)


def _written(name: bytes) -> bytes:
    return b"-".join(part.capitalize() for part in name.split(b"-"))


@implementer(IRequestFilter, IResponseFilter)
class BothRewrite(RequestRewrite):
    """Writes both anew."""

    def __init__(self, options: RewriteOptions) -> None:
        """Compile the rules."""
        super().__init__(options.path)
        self.response = ResponseRewrite(options).response


@implementer(IPlugin, IFilterFactory)
class RewriteFactory:
    """Makes ``rewrite`` filters: one for the sides that there is something to do on."""

    name = "rewrite"
    description = "rewrites paths of requests, and references and cookies of responses"
    options = RewriteOptions

    def build(
        self, options: RewriteOptions, context: BuildContext
    ) -> RequestRewrite | ResponseRewrite:
        """See ``IFilterFactory``."""
        if not (options.location or options.cookie_domain or options.cookie_path):
            return RequestRewrite(options.path)
        return BothRewrite(options) if options.path else ResponseRewrite(options)
