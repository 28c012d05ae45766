"""The model of a forward listener: ``[forward.NAME]``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ..options import Duration, Options, PortNumber, Size
from .cache import CacheReference
from .field_types import Count, Endpoints, HostNameOrNone, Networks, TcpEndpoint
from .filter_entry import FilterEntry
from .listener_tls import ListenerTls
from .pac import PacSwitch
from .parent import OutgoingEntry, Parents, Siblings


class Interception(Options):
    """Where the network leads connections that were meant for others; Linux alone."""

    listen: TcpEndpoint = Field(description="Where it leads them.")
    mode: Literal["redirect", "tproxy"] = Field(
        default="redirect", description="By which target of netfilter."
    )
    host_check: Literal["note", "strict", "off"] = Field(
        default="note",
        description="A name that does not resolve to the address the client connected to is noted "
        "in the log, refused, or not looked up.",
    )


class ForwardListener(Options):
    """A forward proxy."""

    listen: Endpoints = Field(default=[], description="Where clients connect.")
    tls: ListenerTls | None = Field(
        default=None, description="And where they do with TLS: an https:// proxy."
    )
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
    siblings: Siblings = Field(
        default=[], description="Caches to ask for what they have stored, before all others."
    )
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
    intercept: list[Interception] = Field(
        default=[], description="Where the network leads clients that know of no proxy."
    )
    ftp: bool = Field(default=False, description="Fetch ftp:// targets, too.")
    pac: PacSwitch = Field(
        default=None, description="Serve a PAC file at /proxy.pac and /wpad.dat."
    )
    info_host: HostNameOrNone = Field(
        default="proxykit.internal",
        description='The page about the client has this name; "" for none.',
    )
    filters: list[FilterEntry] = Field(default=[], description="In the order in which they run.")

    @model_validator(mode="after")
    def _fits_together(self) -> ForwardListener:
        if not (self.listen or self.socks or self.intercept or self.tls):
            raise ValueError("it listens nowhere: give listen, tls, socks or intercept")
        if self.siblings and self.cache is None:
            raise ValueError("siblings are asked for what the cache does not hold: give a cache")
        if self.direct is not None and not self.parents:
            raise ValueError("direct says what goes without a parent, and there are no parents")
        if self.direct is False and (self.ftp or self.intercept):
            raise ValueError(
                "ftp and intercept go straight to servers, which direct = false forbids"
            )
        if self.proxy_protocol and not self.trust_proxy:
            raise ValueError("proxy_protocol needs trust_proxy: whose headers are believed?")
        return self
