"""What of an exchange a hashing balancer goes by."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from ..engine.exchange import Exchange
from ..message.cookies import cookie_reader
from ..message.request import Request

Key = Callable[[Exchange], bytes | None]
"""Gives an exchange's key, ``None`` when it has none."""

_KEY = re.compile(r"client\Z|uri\Z|(?:header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def _checked(value: str) -> str:
    if not _KEY.match(value):
        raise ValueError(f'expected "client", "uri", "header:NAME" or "cookie:NAME", got {value!r}')
    return value


HashKey = Annotated[
    str,
    AfterValidator(_checked),
    WithJsonSchema({"type": "string", "pattern": "^" + _KEY.pattern.replace(r"\Z", "$")}),
]
"""A key as it is written: ``client``, ``uri``, ``header:NAME`` or ``cookie:NAME``."""


def compiled_key(text: str) -> Key:
    """Compile a key that was checked."""
    kind, _, name = text.partition(":")
    if kind == "client":
        return lambda exchange: exchange.client_address.encode("ascii") or None
    if kind == "uri":
        return lambda exchange: exchange.request.origin_target
    if kind == "cookie":
        cookie = cookie_reader(name.encode("ascii"))
        return lambda exchange: cookie(exchange.request)
    field = name.lower().encode("ascii")
    return lambda exchange: _field(exchange.request, field)


def _field(request: Request, name: bytes) -> bytes | None:
    headers = request.changed_headers
    return request.section.values.get(name) if headers is None else headers.get(name)
