"""What filters, routers, balancers and observers see of one request and its response."""

from __future__ import annotations

import os
from itertools import count
from time import time
from typing import Any, Protocol

from ..message.request import Request
from ..message.response import Response
from ..message.target import DEFAULT_PORTS, Authority
from ..net.original_destination import Destination
from ..upstream.resolution import Addresses, Resolver
from .forwarding import ForwardingRules
from .record import ExchangeRecord

_PREFIX = os.urandom(4).hex()
_NUMBERS = count(1)
_NO_GROUPS: frozenset[str] = frozenset()


class Policy(Protocol):
    """What all who see an exchange know of the policy that it is under, of a ``Pipeline``."""

    @property
    def name(self) -> str:
        """The listener's."""

    @property
    def rules(self) -> ForwardingRules:
        """How fields are rewritten, and whose are believed."""

    @property
    def resolver(self) -> Resolver:
        """Resolves the hosts that requests are for."""


class TakenRoute(Protocol):
    """What they know of the route that it took, of a ``pipeline.Route``."""

    @property
    def name(self) -> str:
        """For the log."""

    @property
    def transforms_requests(self) -> bool:
        """Whether a filter may change the length of a request's content."""


class Exchange:
    """One request and its response.

    :ivar request: as filters have left it by now.
    :ivar response: the final response's head once there is one, else ``None``.
    :ivar client_address: the client's IP address (as trusted proxies told it), ``""`` for UNIX.
    :ivar peer_address: the address at the other end of the client's connection.
    :ivar scheme: ``"http"`` or ``"https"``: how the request came, or what a forward proxy's
        client asked for.
    :ivar user: who authenticated; ``""`` if nobody did.
    :ivar groups: the groups that the user is in.
    :ivar notes: what filters keep of it for later, each under itself; ``None`` until one does.
    :ivar pipeline: the policy that it began under and stays under.
    :ivar protocol: what the client speaks where that is not HTTP/1, ``"SOCKS5"`` for instance.
    :ivar route: the route that took it, once one has.
    :ivar destination: the address and port that an intercepted client meant to connect to.
    :ivar addresses: the destination's addresses once they were resolved; only these are used.
    :ivar upstream: the name of the server it was sent to, or ``""``.
    :ivar attempts: how often it was given to a server, hedges among them.
    :ivar cache: what a cache did: ``hit``, ``miss``, ``stale``, ``revalidated``, ``bypass`` or
        ``collapsed``; ``""`` where there is none.
    :ivar started: on the clock of ``time.monotonic``, in seconds.
    """

    __slots__ = (
        "_authority",
        "_id",
        "addresses",
        "attempts",
        "cache",
        "client_address",
        "destination",
        "detail",
        "error_type",
        "groups",
        "notes",
        "peer_address",
        "pipeline",
        "protocol",
        "received_bytes",
        "request",
        "response",
        "responded",
        "reused",
        "route",
        "scheme",
        "sent_bytes",
        "started",
        "status",
        "tunnel",
        "upstream",
        "user",
    )

    def __init__(
        self,
        pipeline: Policy,
        request: Request,
        client_address: str,
        peer_address: str,
        scheme: str,
        started: float,
    ) -> None:
        """Begin an exchange with a request whose head was read."""
        self.pipeline = pipeline
        self.request = request
        self.client_address = client_address
        self.peer_address = peer_address
        self.scheme = scheme
        self.started = started
        self.response: Response | None = None
        self.route: TakenRoute | None = None
        self.destination: Destination | None = None
        self.addresses: Addresses | None = None
        self.user = ""
        self.groups = _NO_GROUPS
        self.notes: dict[object, Any] | None = None
        self.upstream = ""
        self.attempts = 0
        self.cache = ""
        self.status = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.responded: float | None = None
        self.error_type = ""
        self.detail = ""
        self.tunnel = False
        self.reused = False
        self.protocol = ""
        self._id = ""
        self._authority: Authority | None = None

    @property
    def id(self) -> str:
        """The exchange's id: unique on this machine, in the log and on error pages."""
        if not self._id:
            self._id = f"{_PREFIX}-{next(_NUMBERS):x}"
        return self._id

    @property
    def now(self) -> float:
        """The wall clock, in seconds since 1970."""
        return time()

    @property
    def authority(self) -> Authority:
        """The host and port that the request is for."""
        if self._authority is None:
            self._authority = self.request.authority
            if self.destination is not None and not self._authority.host:
                # HTTP/1.0 without Host: an intercepted client said it by connecting.
                self._authority = Authority(*self.destination)
        return self._authority

    @property
    def host(self) -> str:
        """The host that the request is for: lower case, no port, no brackets."""
        return self.authority.host

    @property
    def port(self) -> int:
        """The port that the request is for."""
        if self.destination is not None:
            return self.destination[1]
        port = self.authority.port
        if port is None:
            scheme = self.request.target.scheme or self.scheme
            port = DEFAULT_PORTS.get(scheme, DEFAULT_PORTS[self.scheme])
        return port

    async def resolve_destination(self) -> Addresses:
        """Resolve the request's host.

        :returns: its addresses. A forward proxy will connect to one of these and no other.
        :raises NameNotResolved: when there is none.
        """
        if self.addresses is None:
            resolver = self.pipeline.resolver
            self.addresses = await resolver.resolve(self.host, self.client_address)
        return self.addresses

    def record(self, ended: float) -> ExchangeRecord:
        """Make the finished record.

        :param ended: on the clock of ``time.monotonic``, in seconds.
        """
        request = self.request
        values = request.section.values
        duration = ended - self.started
        return ExchangeRecord(
            self.id,
            self.pipeline.name,
            self.client_address,
            self.user,
            request.method,
            request.received_target,
            request.version,
            self.authority.host,
            self.status,
            self.upstream,
            self.route.name if self.route is not None else "",
            time() - duration,
            duration,
            None if self.responded is None else self.responded - self.started,
            self.received_bytes,
            self.sent_bytes,
            values.get(b"referer", b""),
            values.get(b"user-agent", b""),
            self.error_type,
            self.detail,
            self.tunnel,
            self.reused,
            self.protocol,
            self.attempts,
            self.cache,
        )

    def __repr__(self) -> str:
        return f"<Exchange {self.id} {self.request!r} {self.status}>"
