"""The ``headers`` filter: sets, adds and removes fields, of requests and of responses."""

from __future__ import annotations

from typing import Annotated

from attrs import frozen
from pydantic import AfterValidator, Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..engine.exchange import Exchange
from ..interfaces import IFilterFactory, IRequestFilter, IResponseFilter
from ..message.fields import HOP_BY_HOP, Headers, checked_field
from ..message.response import Response
from ..options import BuildContext, Options

# The engine frames messages and says where they came from; Host is the pool's to choose.
_NOT_FOR_FILTERS = HOP_BY_HOP | {b"content-length", b"host", b"via"}


def _checked_name(name: str) -> str:
    field, _ = checked_field(name.encode("utf-8"), b"")
    if field.lower() in _NOT_FOR_FILTERS:
        raise ValueError(f"{name} is written by the proxy itself and cannot be changed here")
    return name


def _checked_value(value: str) -> str:
    checked_field(b"X", value.encode("utf-8"))
    return value


Name = Annotated[str, AfterValidator(_checked_name)]
Value = Annotated[str, AfterValidator(_checked_value)]


class Changes(Options):
    """What is done to one side's fields, in this order."""

    remove: list[Name] = Field(default=[], description="Names of fields that are taken away.")
    set: dict[Name, Value] = Field(default={}, description="One field in the place of all such.")
    add: dict[Name, Value] = Field(default={}, description="One more field.")


class HeadersOptions(Options):
    """What the filter does to each side."""

    request: Changes = Field(default=Changes(), description="On the way to the server.")
    response: Changes = Field(default=Changes(), description="On the way to the client.")


@frozen(slots=True)
class _Compiled:
    """One side's changes, in bytes."""

    remove: tuple[bytes, ...]
    set: tuple[tuple[bytes, bytes], ...]
    add: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def of(cls, changes: Changes) -> _Compiled:
        return cls(
            tuple(name.encode("ascii") for name in changes.remove),
            _pairs(changes.set),
            _pairs(changes.add),
        )

    def apply(self, headers: Headers) -> None:
        for name in self.remove:
            headers.remove(name)
        for name, value in self.set:
            headers.set(name, value)
        for name, value in self.add:
            headers.add(name, value)


def _pairs(fields: dict[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode("ascii"), value.encode("utf-8")) for name, value in fields.items())


@implementer(IRequestFilter)
class RequestHeaders:
    """Changes the fields of requests."""

    def __init__(self, changes: Changes) -> None:
        """Compile the changes."""
        self._changes = _Compiled.of(changes)

    def request(self, exchange: Exchange) -> None:
        """See ``IRequestFilter``."""
        self._changes.apply(exchange.request.headers)


@implementer(IResponseFilter)
class ResponseHeaders:
    """Changes the fields of responses."""

    def __init__(self, changes: Changes) -> None:
        """Compile the changes."""
        self._changes = _Compiled.of(changes)

    def response(self, exchange: Exchange, response: Response) -> None:
        """See ``IResponseFilter``."""
        self._changes.apply(response.headers)


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
        nothing = Changes()
        if options.response == nothing:
            return RequestHeaders(options.request)
        if options.request == nothing:
            return ResponseHeaders(options.response)
        return BothHeaders(options)
