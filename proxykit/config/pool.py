"""The models of a pool and its servers: ``[pool.NAME]``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr

from ..options import Duration, Options
from .field_types import Count, ServerUrl


class ServerEntry(Options):
    """A server of a pool."""

    url: ServerUrl = Field(description="http://, https:// or unix:.")
    weight: int = Field(default=1, ge=1, le=1000, strict=True, description="Its share.")


class PoolTls(Options):
    """How a pool's https servers are verified."""

    ca: str | None = Field(default=None, description="A PEM file of roots; else the platform's.")
    server_name: str | None = Field(default=None, description="The name to verify and to send.")
    verify: bool = Field(default=True, description="false takes any certificate.")


def _server_entry(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


class Pool(Options):
    """Servers that do the same."""

    balance: str = Field(default="round-robin", description="The balancer's name.")
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
    send_proxy: Literal["v1", "v2"] | None = Field(
        default=None, description="Tell servers the client's address by the PROXY protocol."
    )
    _balancer: Any = PrivateAttr(default=None)

    def resolve(self, factory: Any) -> None:
        """Take the balancer's factory that the registry found."""
        self._balancer = factory

    @property
    def balancer(self) -> Any:
        """The ``IBalancerFactory``."""
        return self._balancer
