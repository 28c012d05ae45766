"""The models of a pool and its servers: ``[pool.NAME]``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from ..options import Duration, Options
from .balancer_entry import BalancerEntry, NamedBalancer
from .field_types import Count, ServerUrl
from .sticky import Sticky


class ServerEntry(Options):
    """A server of a pool."""

    url: ServerUrl = Field(description="http://, https:// or unix:.")
    weight: int = Field(
        default=1, ge=0, le=1000, strict=True, description="Its share; 0 for no new clients."
    )
    backup: bool = Field(default=False, description="Serves only when no other server can.")


class PoolTls(Options):
    """How a pool's https servers are verified."""

    ca: str | None = Field(default=None, description="A PEM file of roots; else the platform's.")
    server_name: str | None = Field(default=None, description="The name to verify and to send.")
    verify: bool = Field(default=True, description="false takes any certificate.")


def _server_entry(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


class Pool(Options):
    """Servers that do the same."""

    balance: NamedBalancer = Field(
        default_factory=lambda: BalancerEntry(use="round-robin"),
        description="The balancer's name, or { use = name, ... } with its options.",
    )
    servers: list[Annotated[ServerEntry, BeforeValidator(_server_entry)]] = Field(min_length=1)
    host: str = Field(
        default="keep",
        pattern=r"^[A-Za-z0-9.:\[\]_-]+$",
        description='What Host says upstream: "keep" the client\'s, "server", or a name.',
    )
    connect_timeout: Duration = Field(default=3.0, description="For a connection.")
    response_timeout: Duration = Field(default=30.0, description="For a server to go on.")
    idle_timeout: Duration = Field(default=60.0, description="How long an idle connection is kept.")
    retries: int = Field(default=1, ge=0, le=10, strict=True, description="Where that is safe.")
    max_connections: Count = Field(default=100, description="To one server.")
    queue_size: int = Field(default=1000, ge=0, strict=True, description="Who may wait for one.")
    queue_timeout: Duration = Field(default=5.0, description="And how long.")
    tls: PoolTls | None = Field(default=None, description="For https servers.")
    slow_start: Duration = Field(
        default=0.0, description="How long a server that comes back takes to its full share."
    )
    sticky: Sticky | None = Field(default=None, description="Binds clients to servers.")
    send_proxy: Literal["v1", "v2"] | None = Field(
        default=None, description="Tell servers the client's address by the PROXY protocol."
    )

    @field_validator("servers")
    @classmethod
    def _are_different(cls, value: list[ServerEntry]) -> list[ServerEntry]:
        urls = [each.url for each in value]
        for url in urls:
            if urls.count(url) > 1:
                raise ValueError(f"{url} is there twice: give it a weight instead")
        return value
