"""The model of a forward listener: ``[forward.NAME]``."""

from __future__ import annotations

from pydantic import Field

from ..options import Duration, Options, PortNumber
from .cache import CacheReference
from .field_types import Count, Endpoints, Networks
from .filter_entry import FilterEntry


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
    cache: CacheReference | None = Field(default=None, description="What may answer instead.")
    filters: list[FilterEntry] = Field(default=[], description="In the order in which they run.")
