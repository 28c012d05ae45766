"""The models of a configuration: the whole of it, and what every kind of listener shares.

Keys are the words of the interface; what a later version will know is unknown here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, field_validator

from ..options import Duration, Options, Size, SizeOrNone
from .admin import Admin
from .cache import Cache
from .field_types import Count
from .forward import ForwardListener
from .pool import Pool
from .problems import Origin
from .reverse import ReverseListener


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
    level: Literal["debug", "info", "warn", "error"] = Field(
        default="info", description="From which level on the proxy's own log is written."
    )
    addresses: Literal["full", "hash", "omit"] = Field(
        default="full", description="Clients' addresses: as they are, as pseudonyms, or not at all."
    )
    queries: Literal["full", "hash", "omit"] = Field(
        default="full", description="The same of queries, those of Referer too."
    )
    secret_file: str | None = Field(
        default=None,
        description="What pseudonyms are made with, 16 bytes at least; else it is forgotten with "
        "the process.",
    )
    pseudonyms: Literal["lasting", "daily"] = Field(
        default="lasting", description="Whether a client has another one each day (UTC)."
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


class Configuration(Options):
    """A whole configuration."""

    process: Process = Process()
    log: Log = Log()
    limits: Limits = Limits()
    admin: Admin | None = None
    cache: dict[str, Cache] = Field(default={})
    forward: dict[str, ForwardListener] = Field(default={})
    pool: dict[str, Pool] = Field(default={})
    reverse: dict[str, ReverseListener] = Field(default={})
    _directory: Path = PrivateAttr(default=Path("."))
    _origin: Origin = PrivateAttr(default=Origin())

    @property
    def directory(self) -> Path:
        """What relative paths are relative to: the configuration file's directory."""
        return self._directory

    @property
    def origin(self) -> Origin:
        """Where it came from, to say in which line something is wrong."""
        return self._origin

    def place(self, directory: Path, origin: Origin) -> None:
        """Say what relative paths are relative to, and where it came from."""
        self._directory = directory
        self._origin = origin

    @field_validator("cache", "forward", "pool", "reverse")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not re.match(r"[A-Za-z0-9_-]{1,64}\Z", name):
                raise ValueError(f"{name!r} is no name: use letters, digits, - and _")
        return value
