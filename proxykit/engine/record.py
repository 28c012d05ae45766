"""The finished record of an exchange: what observers are handed."""

from __future__ import annotations

from attrs import define


@define(slots=True, eq=False)
class ExchangeRecord:
    """What happened in one exchange, from its first byte to its last.

    Written once, when the exchange is over, and not changed afterwards. (It is not an attrs
    ``frozen`` class because making one of those costs a microsecond.)

    :ivar exchange_id: unique within this machine, also on error pages.
    :ivar listener: the name of the listener, ``forward.office`` for instance.
    :ivar client_address: the client's IP address (as trusted proxies told it), ``""`` for UNIX.
    :ivar user: who authenticated, or ``""``.
    :ivar method: as the client sent it; ``b""`` when no request could be read.
    :ivar target: the request target as the client sent it.
    :ivar version: the minor version of the client's HTTP/1 request.
    :ivar host: the host that was asked for, without a port.
    :ivar status: the status sent to the client, 0 if none was.
    :ivar upstream: where it was sent, ``"127.0.0.1:9001"`` for instance, ``""`` if nowhere.
    :ivar route: the name of the route or ``""``.
    :ivar started_at: the wall clock at the request's head, in seconds since 1970.
    :ivar duration_seconds: from the request's head to the last byte.
    :ivar upstream_seconds: from the request's head until the response's head came, or ``None``.
    :ivar received_bytes: content received from the client (for a tunnel: all bytes).
    :ivar sent_bytes: content sent to the client (for a tunnel: all bytes).
    :ivar referer: the client's Referer, ``b""`` if none.
    :ivar user_agent: the client's User-Agent, ``b""`` if none.
    :ivar error_type: the Proxy-Status error type, ``""`` when nothing went wrong.
    :ivar detail: a sentence that says what went wrong, or ``""``.
    :ivar tunnel: whether the exchange became a tunnel.
    :ivar reused: whether the upstream connection had served before.
    :ivar protocol: what the client speaks where that is not HTTP/1, ``"SOCKS5"`` for instance.
    :ivar attempts: how often it was given to a server; more than one after a retry or a hedge.
    :ivar cache: what a cache did, see ``Exchange``.
    """

    exchange_id: str
    listener: str
    client_address: str
    user: str
    method: bytes
    target: bytes
    version: int
    host: str
    status: int
    upstream: str
    route: str
    started_at: float
    duration_seconds: float
    upstream_seconds: float | None
    received_bytes: int
    sent_bytes: int
    referer: bytes
    user_agent: bytes
    error_type: str
    detail: str
    tunnel: bool
    reused: bool
    protocol: str = ""
    attempts: int = 0
    cache: str = ""
