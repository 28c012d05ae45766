"""The types that a configuration's keys have, as operators write them."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from ..message.path import checked_path_match
from ..message.pattern import Pattern
from ..options import Network, OneOrMore
from .endpoints import endpoint_description


def _endpoint(value: str) -> str:
    return endpoint_description(value)


def _tcp_endpoint(value: str) -> str:
    description = endpoint_description(value)
    if not description.startswith("tcp:"):
        raise ValueError(f'expected an address and a port such as "0.0.0.0:3129", got {value!r}')
    return description


def _server_url(value: str) -> str:
    if value.startswith("unix:/"):
        return value
    parts = urlsplit(value)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.path not in ("", "/") or parts.query or parts.username is not None:
        raise ValueError(
            f'expected a server such as "http://127.0.0.1:9001", "https://a.example" or '
            f'"unix:/path", got {value!r}'
        )
    return value.rstrip("/")


def _host_match(value: str) -> str:
    if value.startswith("~"):
        Pattern.of(value[1:].strip(), case_sensitive=False)
        return value
    if value.startswith("["):
        value = value.removeprefix("[").removesuffix("]")
    if ":" in value:
        try:
            return str(ipaddress.IPv6Address(value))
        except ValueError:
            raise ValueError(f"a route's host has no port, got {value!r}") from None
    if value != "*" and not re.match(r"(\*\.)?[A-Za-z0-9._-]+\Z", value):
        raise ValueError(
            f'expected a host such as "a.example", "*.a.example" or "~ regex", got {value!r}'
        )
    return value.lower().rstrip(".")


Endpoint = Annotated[str, AfterValidator(_endpoint)]
TcpEndpoint = Annotated[str, AfterValidator(_tcp_endpoint)]
Endpoints = OneOrMore[Endpoint]
ServerUrl = Annotated[str, AfterValidator(_server_url)]
PathPattern = Annotated[str, AfterValidator(checked_path_match)]
HostPatterns = OneOrMore[Annotated[str, AfterValidator(_host_match)]]
Methods = OneOrMore[Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]]
HostNameOrNone = Annotated[
    str,
    Field(pattern=r"^(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)?$", max_length=253),
    AfterValidator(str.lower),
]
"""A name without a port, or ``""`` for none."""
Networks = OneOrMore[Network]
Count = Annotated[int, Field(ge=1, strict=True)]
