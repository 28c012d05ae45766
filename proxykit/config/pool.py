"""The models of a pool and its servers: ``[pool.NAME]``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from ..options import Duration, OneOrMore, Options, Size
from .balancer_entry import BalancerEntry, NamedBalancer
from .field_types import Count, ServerUrl
from .resilience import (
    CircuitBreaker,
    Deadline,
    DurationOrNone,
    FailureStatuses,
    HealthChecks,
    Hedging,
    OutlierDetection,
    Retry,
    SourceOptions,
    off_or,
)
from .sticky import Sticky

MOST_SERVERS = 1024


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
    servers: OneOrMore[Annotated[ServerEntry, BeforeValidator(_server_entry)]] = Field(
        default=[], min_length=1, max_length=MOST_SERVERS, description="Or source."
    )
    source: SourceOptions | None = Field(default=None, description="Where servers come from.")
    host: str = Field(
        default="keep",
        pattern=r"^[A-Za-z0-9.:\[\]_-]+$",
        description='What Host says upstream: "keep" the client\'s, "server", or a name.',
    )
    connect_timeout: Duration = Field(default=3.0, description="For a connection.")
    response_timeout: Duration = Field(default=30.0, description="For a server to go on.")
    idle_timeout: Duration = Field(default=60.0, description="How long an idle connection is kept.")
    attempt_timeout: DurationOrNone = Field(
        default=None,
        description="For a server to begin its response, while another can be asked instead.",
    )
    retries: int = Field(default=2, ge=0, le=10, strict=True, description="Where that is safe.")
    retry: Retry = Retry()
    body_buffer: Size = Field(
        default=64 * 1024, description="Of a request's content, kept to be sent again."
    )
    failure_statuses: FailureStatuses = Field(
        default=[502, 503, 504], description="Responses that count against a server."
    )
    health: HealthChecks | None = Field(default=None, description="Active checks.")
    outlier: Annotated[OutlierDetection | None, BeforeValidator(off_or)] = Field(
        default=OutlierDetection(), description="Passive ones; false for none."
    )
    breaker: Annotated[CircuitBreaker | None, BeforeValidator(off_or)] = Field(
        default=None, description="A circuit breaker for each server."
    )
    hedge: Hedging | None = Field(default=None, description="A second server for slow requests.")
    deadline: Deadline | None = Field(default=None, description="For all attempts together.")
    when_unusable: Literal["fail", "try-all"] = Field(
        default="fail", description="When no server is usable: a 503, or all of them are tried."
    )
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

    @model_validator(mode="after")
    def _has_servers(self) -> Pool:
        if bool(self.servers) == (self.source is not None):
            raise ValueError("a pool needs either servers or source")
        urls = [each.url for each in self.servers]
        for url in urls:
            if urls.count(url) > 1:
                raise ValueError(f"{url} is there twice: give it a weight instead")
        if self.health is not None and self.health.type == "tls":
            if any(url.startswith("unix:") for url in urls):
                raise ValueError("health checks of type tls are not for servers on UNIX sockets")
        return self
