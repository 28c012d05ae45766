"""The model of a forward listener: ``[forward.NAME]``."""

from __future__ import annotations

from pydantic import Field, model_validator

from ..options import Duration, Options, PortNumber, Size
from .cache import CacheReference
from .field_types import Count, Endpoints, Networks
from .filter_entry import FilterEntry
from .parent import OutgoingEntry, Parents


class ForwardListener(Options):
    """A forward proxy."""

    listen: Endpoints = Field(default=[], description="Where clients connect.")
    socks: Endpoints = Field(
        default=[], description="And where clients do that speak SOCKS4, 4a or 5."
    )
    allow_private: bool = Field(
        default=False, description="May reach loopback, private and link-local destinations."
    )
    connect_ports: list[PortNumber] = Field(default=[443], description="Ports CONNECT may reach.")
    socks_ports: list[PortNumber] = Field(
        default=[], description="Ports SOCKS may reach; any if none."
    )
    udp: bool = Field(default=True, description="Whether SOCKS5 clients may send datagrams.")
    trust_proxy: Networks = Field(
        default=[], description="Whose X-Forwarded-For and PROXY headers are believed."
    )
    proxy_protocol: bool = Field(
        default=False,
        description="Connections begin with a PROXY header, of `trust_proxy` only.",
    )
    parents: Parents = Field(default=[], description="Proxies to ask, the preferred first.")
    direct: bool | None = Field(
        default=None,
        description="Without a parent: none for what no parent is for; true also when the parents "
        "fail; false never.",
    )
    outgoing: list[OutgoingEntry] = Field(
        default=[], description="Local addresses to go out by; else the kernel chooses."
    )
    connect_timeout: Duration = Field(default=10.0, description="For a connection to an origin.")
    response_timeout: Duration = Field(default=60.0, description="For an origin to go on.")
    max_connections: Count = Field(default=100, description="To one origin.")
    response_buffer: Size = Field(
        default=64 * 1024, description="Held of a response for a client slower than the server."
    )
    cache: CacheReference | None = Field(default=None, description="What may answer instead.")
    filters: list[FilterEntry] = Field(default=[], description="In the order in which they run.")

    @model_validator(mode="after")
    def _fits_together(self) -> ForwardListener:
        if not self.listen and not self.socks:
            raise ValueError("it listens nowhere: give listen or socks")
        if self.direct is not None and not self.parents:
            raise ValueError("direct says what goes without a parent, and there are no parents")
        if self.proxy_protocol and not self.trust_proxy:
            raise ValueError("proxy_protocol needs trust_proxy: whose headers are believed?")
        return self
