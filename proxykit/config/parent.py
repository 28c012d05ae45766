"""The models of a forward listener's parents and of the addresses that it goes out by."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from ..message.domain import checked_domain
from ..options import Duration, IPNetwork, OneOrMore, Options, PortNumber, parse_network
from ..upstream.parent import ParentAddress, parse_parent
from .field_types import Networks
from .pool import PoolTls


def _destination(value: object) -> str | IPNetwork:
    """Take a domain, or a network for destinations that are addresses."""
    if not isinstance(value, str):
        raise ValueError(f'expected a domain or a network such as "10.0.0.0/8", got {value!r}')
    try:
        return parse_network(value)
    except ValueError:
        return checked_domain(value)


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(f"expected an IP address of this machine, got {value!r}") from None


Destinations = OneOrMore[
    Annotated[str | IPNetwork, BeforeValidator(_destination), WithJsonSchema({"type": "string"})]
]
Ports = OneOrMore[PortNumber]


class Selection(Options):
    """What exchanges an entry is for: those that meet every condition that is given."""

    for_: Destinations = Field(
        default=[],
        alias="for",
        description="Domains as in `access`, and networks for addresses; any if none.",
    )
    not_for: Destinations = Field(default=[], description="And none of these.")
    client: Networks = Field(default=[], description="Clients' networks.")
    port: Ports = Field(default=[], description="The destination's ports.")


class ProxyEntry(Selection):
    """A proxy that some exchanges are sent to."""

    url: Annotated[
        ParentAddress, BeforeValidator(parse_parent), WithJsonSchema({"type": "string"})
    ] = Field(
        description="http://, https://, socks5:// or socks4://, with user:password@ if asked for."
    )
    password_file: str | None = Field(
        default=None, description="Holds the password, in the place of the URL."
    )
    tls: PoolTls | None = Field(default=None, description="How an https:// parent is verified.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.password_file is not None:
            if not self.url.user or self.url.password:
                raise ValueError("password_file goes with a user in the url, and no password there")
            if self.url.scheme == "socks4":
                raise ValueError("SOCKS4 has no password")
        if self.tls is not None and self.url.scheme != "https":
            raise ValueError("tls is for an https:// parent")
        return self


class ParentEntry(ProxyEntry):
    """A proxy that is asked instead of the origin."""

    send_proxy: Literal["v1", "v2"] | None = Field(
        default=None, description="Tell it the client's address by the PROXY protocol."
    )


class SiblingEntry(ProxyEntry):
    """A proxy that is asked for what it has stored, before the origin or a parent."""

    timeout: Duration = Field(
        default=0.5, description="For it to begin its answer, the connection included."
    )

    @model_validator(mode="after")
    def _is_an_http_proxy(self) -> Self:
        if not self.url.takes_requests:
            raise ValueError("a sibling is an http:// or https:// proxy: SOCKS knows no caches")
        return self


class OutgoingEntry(Selection):
    """A local address, and what goes out by it; the first of a family that takes it, does."""

    address: Annotated[str, AfterValidator(_address)] = Field(
        description="An IP address of this machine."
    )


def parent_entry(value: object) -> object:
    """Let a URL alone stand for a parent."""
    return {"url": value} if isinstance(value, str) else value


Parents = OneOrMore[Annotated[ParentEntry, BeforeValidator(parent_entry)]]
# Each of them may cost every miss a round trip.
Siblings = Annotated[
    OneOrMore[Annotated[SiblingEntry, BeforeValidator(parent_entry)]], Field(max_length=16)
]
