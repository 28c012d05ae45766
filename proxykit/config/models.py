"""The models of a configuration: every key, its type, its default, what it means.

Keys are the words of the interface; what a later version will know is unknown here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from ..message.path import checked_path_match
from ..options import Duration, Network, Options, PortNumber, Size, SizeOrNone
from .endpoints import endpoint_description


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _endpoint(value: str) -> str:
    return endpoint_description(value)


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
    if not re.match(r"(\*\.)?[A-Za-z0-9._:-]+\Z", value):
        raise ValueError(f'expected a host such as "a.example" or "*.a.example", got {value!r}')
    return value.lower()


Endpoint = Annotated[str, AfterValidator(_endpoint)]
Endpoints = Annotated[list[Endpoint], BeforeValidator(_as_list)]
ServerUrl = Annotated[str, AfterValidator(_server_url)]
PathPattern = Annotated[str, AfterValidator(checked_path_match)]
HostPatterns = Annotated[
    list[Annotated[str, AfterValidator(_host_match)]], BeforeValidator(_as_list)
]
Methods = Annotated[
    list[Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]], BeforeValidator(_as_list)
]
Networks = Annotated[list[Network], BeforeValidator(_as_list)]
Count = Annotated[int, Field(ge=1, strict=True)]


class FilterEntry(Options):
    """A filter, by the name of its kind; the other keys are that kind's options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: str = Field(description="The filter's name; `proxykit plugins` lists them.")
    _factory: Any = PrivateAttr(default=None)
    _options: Any = PrivateAttr(default=None)

    def resolve(self, factory: Any, options: Any) -> None:
        """Take what the registry found for this entry."""
        self._factory = factory
        self._options = options

    @property
    def factory(self) -> Any:
        """The ``IFilterFactory``."""
        return self._factory

    @property
    def options(self) -> Any:
        """The checked options, an instance of the factory's model."""
        return self._options


class Process(Options):
    """How the process behaves."""

    grace: Duration = Field(
        default=30.0,
        description="How long a stop waits for what is in flight.",
        validate_default=False,
    )


class Log(Options):
    """What is written about exchanges."""

    access: str = Field(default="-", description='A file, or "-" for standard output.')
    format: str = Field(
        default="combined",
        description="common, combined, json, or a format string with {fields}.",
    )


class Limits(Options):
    """Limits on what a client may make the proxy hold or wait for."""

    head_size: Size = Field(default=32 * 1024, description="A request's or response's head.")
    target_size: Size = Field(default=8 * 1024, description="A request's target.")
    headers: Count = Field(default=128, description="Fields in a head.")
    body_size: SizeOrNone = Field(default=None, description='A request\'s content, or "none".')
    head_timeout: Duration = Field(default=10.0, description="For a whole head to arrive.")
    body_timeout: Duration = Field(default=60.0, description="Without progress in content.")
    idle_timeout: Duration = Field(default=60.0, description="Between two requests.")
    tunnel_timeout: Duration = Field(default=600.0, description="Without a byte in a tunnel.")
    connections: Count = Field(default=10_000, description="Clients' connections to a listener.")
    connections_per_client: Count = Field(default=256, description="Of these, from one address.")
    requests_per_connection: Count = Field(default=10_000, description="Then it is closed.")


class ForwardListener(Options):
    """A forward proxy."""

    listen: Endpoints = Field(description="Where clients connect.", min_length=1)
    allow_private: bool = Field(
        default=False, description="May reach loopback, private and link-local destinations."
    )
    connect_ports: list[PortNumber] = Field(default=[443], description="Ports CONNECT may reach.")
    trust_proxy: Networks = Field(default=[], description="Whose X-Forwarded-For is believed.")
    connect_timeout: Duration = Field(default=10.0, description="For a connection to an origin.")
    response_timeout: Duration = Field(default=60.0, description="For an origin to go on.")
    max_connections: Count = Field(default=100, description="To one origin.")
    filters: list[FilterEntry] = Field(default=[], description="In the order in which they run.")


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
    _balancer: Any = PrivateAttr(default=None)

    def resolve(self, factory: Any) -> None:
        """Take the balancer's factory that the registry found."""
        self._balancer = factory

    @property
    def balancer(self) -> Any:
        """The ``IBalancerFactory``."""
        return self._balancer


class Redirect(Options):
    """An answer that sends the client elsewhere."""

    to: Annotated[str, Field(pattern=r"^[!-~]+$")] = Field(
        description="May hold {uri} (path and query) and {host}."
    )
    status: Literal[301, 302, 303, 307, 308] = 308


class Route(Options):
    """Where a kind of request goes; the first route that matches takes it."""

    name: str | None = Field(default=None, description="For the log; else its number.")
    host: HostPatterns = Field(default=[], description='Names, "*.a.example" for all below one.')
    path: PathPattern | None = Field(default=None, description='"/x" prefix, "= /x", "~ regex".')
    methods: Methods = Field(default=[], description="Any when there are none.")
    pool: str | None = Field(default=None, description="Where it goes.")
    redirect: Redirect | None = Field(default=None, description="Or what is answered.")
    strip_prefix: str | None = Field(
        default=None, pattern=r"^/[!-~]*$", description="Taken off the path."
    )
    filters: list[FilterEntry] = Field(default=[], description="Run behind the listener's.")

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Route:
        if (self.pool is None) == (self.redirect is None):
            raise ValueError("a route needs either pool or redirect")
        return self


class CertificatePair(Options):
    """A certificate with its key."""

    certificate: str = Field(description="A PEM file, the chain behind the certificate.")
    key: str = Field(description="A PEM file without a passphrase.")


class ListenerTls(Options):
    """TLS on a reverse proxy's listener."""

    listen: Endpoints = Field(description="Where clients connect with TLS.", min_length=1)
    certificates: list[CertificatePair] = Field(min_length=1, max_length=1)


class ReverseListener(Options):
    """A reverse proxy."""

    listen: Endpoints = Field(default=[], description="Where clients connect.")
    tls: ListenerTls | None = Field(default=None, description="And where they do with TLS.")
    trust_proxy: Networks = Field(default=[], description="Whose forwarding fields are believed.")
    filters: list[FilterEntry] = Field(default=[], description="In the order in which they run.")
    routes: list[Route] = Field(default=[], description="In the order in which they are tried.")

    @model_validator(mode="after")
    def _listens_somewhere(self) -> ReverseListener:
        if not self.listen and self.tls is None:
            raise ValueError("it listens nowhere: give listen or tls")
        return self


class Configuration(Options):
    """A whole configuration."""

    process: Process = Process()
    log: Log = Log()
    limits: Limits = Limits()
    forward: dict[str, ForwardListener] = Field(default={})
    pool: dict[str, Pool] = Field(default={})
    reverse: dict[str, ReverseListener] = Field(default={})
    _directory: Path = PrivateAttr(default=Path("."))

    @property
    def directory(self) -> Path:
        """What relative paths are relative to: the configuration file's directory."""
        return self._directory

    def place(self, directory: Path) -> None:
        """Say what relative paths are relative to."""
        self._directory = directory

    @field_validator("forward", "pool", "reverse")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not re.match(r"[A-Za-z0-9_-]{1,64}\Z", name):
                raise ValueError(f"{name!r} is no name: use letters, digits, - and _")
        return value
