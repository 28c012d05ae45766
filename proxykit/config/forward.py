"""The model of a forward listener: ``[forward.NAME]``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..options import Duration, Options, PortNumber, Size
from .field_types import Count, Endpoints, HostNameOrNone, Networks, TcpEndpoint
from .filter_entry import FilterEntry
from .pac import PacSwitch


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

    listen: Endpoints = Field(description="Where clients connect.", min_length=1)
    allow_private: bool = Field(
        default=False, description="May reach loopback, private and link-local destinations."
    )
    connect_ports: list[PortNumber] = Field(default=[443], description="Ports CONNECT may reach.")
    trust_proxy: Networks = Field(default=[], description="Whose X-Forwarded-For is believed.")
    connect_timeout: Duration = Field(default=10.0, description="For a connection to an origin.")
    response_timeout: Duration = Field(default=60.0, description="For an origin to go on.")
    max_connections: Count = Field(default=100, description="To one origin.")
    response_buffer: Size = Field(
        default=64 * 1024, description="Held of a response for a client slower than the server."
    )
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
