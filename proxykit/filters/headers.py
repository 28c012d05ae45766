"""The ``headers`` filter: sets, adds and removes fields, of requests and of responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..engine.exchange import Exchange
from ..engine.variables import (
    REQUEST_VARIABLES,
    RESPONSE_VARIABLES,
    Template,
    Variable,
    compile_text,
)
from ..interfaces import IFilterFactory, IRequestFilter, IResponseFilter
from ..message.fields import HOP_BY_HOP, Headers, checked_field
from ..message.response import Response
from ..options import BuildContext, Options

# The engine frames messages and says where they came from; Host is the pool's to choose.
_NOT_FOR_FILTERS = HOP_BY_HOP | {b"content-length", b"host", b"via"}


# --- options ----------------------------------------------------------------------------------


def _checked_name(name: str) -> str:
    field, _ = checked_field(name.encode("utf-8"), b"")
    if field.lower() in _NOT_FOR_FILTERS:
        raise ValueError(f"{name} is written by the proxy itself and cannot be changed here")
    return name


def _checked_request_value(value: str) -> str:
    checked_field(b"X", value.encode("utf-8"))
    compile_text(value, REQUEST_VARIABLES)
    return value


def _checked_response_value(value: str) -> str:
    checked_field(b"X", value.encode("utf-8"))
    compile_text(value, RESPONSE_VARIABLES)
    return value


Name = Annotated[str, AfterValidator(_checked_name)]
RequestValue = Annotated[str, AfterValidator(_checked_request_value)]
ResponseValue = Annotated[str, AfterValidator(_checked_response_value)]


class RequestChanges(Options):
    """What is done to a request's fields, in this order."""

    remove: list[Name] = Field(default=[], description="Names of fields that are taken away.")
    set: dict[Name, RequestValue] = Field(
        default={}, description="One field in the place of all such."
    )
    add: dict[Name, RequestValue] = Field(default={}, description="One more field.")


class ResponseChanges(Options):
    """What is done to a response's fields, in this order."""

    remove: list[Name] = Field(default=[], description="Names of fields that are taken away.")
    set: dict[Name, ResponseValue] = Field(
        default={}, description="One field in the place of all such."
    )
    add: dict[Name, ResponseValue] = Field(default={}, description="One more field.")


class HeadersOptions(Options):
    """What the filter does to each side."""

    request: RequestChanges = Field(
        default=RequestChanges(), description="On the way to the server."
    )
    response: ResponseChanges = Field(
        default=ResponseChanges(), description="On the way to the client."
    )


# --- what they compile to ---------------------------------------------------------------------


class _Changes:
    """One side's changes when no value has a variable."""

    def __init__(
        self,
        remove: Iterable[bytes],
        to_set: Iterable[tuple[bytes, bytes]],
        to_add: Iterable[tuple[bytes, bytes]],
    ) -> None:
        self._remove = tuple(remove)
        self._set = tuple(to_set)
        self._add = tuple(to_add)

    def apply(self, headers: Headers, exchange: Exchange, response: Response | None) -> None:
        for name in self._remove:
            headers.remove(name)
        for name, value in self._set:
            headers.set(name, value)
        for name, value in self._add:
            headers.add(name, value)


class _ChangesWithVariables:
    """One side's changes when some values have."""

    def __init__(
        self,
        remove: Iterable[bytes],
        to_set: Iterable[tuple[bytes, bytes | Template]],
        to_add: Iterable[tuple[bytes, bytes | Template]],
    ) -> None:
        self._remove = tuple(remove)
        self._set = tuple(to_set)
        self._add = tuple(to_add)

    def apply(self, headers: Headers, exchange: Exchange, response: Response | None) -> None:
        for name in self._remove:
            headers.remove(name)
        for name, value in self._set:
            if isinstance(value, bytes):
                headers.set(name, value)
            elif rendered := value.render(exchange, response):
                headers.set(name, rendered)
            else:
                # What the proxy vouches for must not be the client's own word instead.
                headers.remove_alike(name)
        for name, value in self._add:
            if isinstance(value, bytes):
                headers.add(name, value)
            elif rendered := value.render(exchange, response):
                headers.add(name, rendered)


def _compiled(
    changes: RequestChanges | ResponseChanges, variables: Mapping[str, Variable]
) -> _Changes | _ChangesWithVariables:
    remove = [name.encode("ascii") for name in changes.remove]
    to_set = _pairs(changes.set, variables)
    to_add = _pairs(changes.add, variables)
    if any(isinstance(value, Template) for _, value in to_set + to_add):
        return _ChangesWithVariables(remove, to_set, to_add)
    return _Changes(remove, _plain(to_set), _plain(to_add))


def _pairs(
    fields: Mapping[str, str], variables: Mapping[str, Variable]
) -> list[tuple[bytes, bytes | Template]]:
    return [(name.encode("ascii"), compile_text(fields[name], variables)) for name in fields]


def _plain(pairs: Iterable[tuple[bytes, bytes | Template]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in pairs if isinstance(value, bytes)]


# --- the filter -------------------------------------------------------------------------------


@implementer(IRequestFilter)
class RequestHeaders:
    """Changes the fields of requests."""

    def __init__(self, changes: RequestChanges) -> None:
        """Compile the changes."""
        self._request_changes = _compiled(changes, REQUEST_VARIABLES)

    def request(self, exchange: Exchange) -> None:
        """See ``IRequestFilter``."""
        self._request_changes.apply(exchange.request.headers, exchange, None)


@implementer(IResponseFilter)
class ResponseHeaders:
    """Changes the fields of responses."""

    def __init__(self, changes: ResponseChanges) -> None:
        """Compile the changes."""
        self._response_changes = _compiled(changes, RESPONSE_VARIABLES)

    def response(self, exchange: Exchange, response: Response) -> None:
        """See ``IResponseFilter``."""
        self._response_changes.apply(response.headers, exchange, response)


@implementer(IRequestFilter, IResponseFilter)
class BothHeaders(RequestHeaders):
    """Changes the fields of both."""

    def __init__(self, options: HeadersOptions) -> None:
        """Compile the changes."""
        super().__init__(options.request)
        self.response = ResponseHeaders(options.response).response


@implementer(IPlugin, IFilterFactory)
class HeadersFactory:
    """Makes ``headers`` filters: one for the sides that there is something to do on."""

    name = "headers"
    description = "sets, adds and removes fields of requests and responses"
    options = HeadersOptions

    def build(
        self, options: HeadersOptions, context: BuildContext
    ) -> RequestHeaders | ResponseHeaders:
        """See ``IFilterFactory``."""
        if options.response == ResponseChanges():
            return RequestHeaders(options.request)
        if options.request == RequestChanges():
            return ResponseHeaders(options.response)
        return BothHeaders(options)
