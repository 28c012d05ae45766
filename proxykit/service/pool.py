"""Compiles pools and their servers."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from ..balancing.slow_start import SlowStart
from ..balancing.sources import FoundServer, ListSource
from ..config.pool import Pool as PoolModel
from ..config.pool import PoolTls
from ..net.tls import client_context
from ..reverse.pool import Pool, StickyPool
from ..upstream.connector import Connector, TcpConnector, UnixConnector
from ..upstream.server import PoolLimits, Server
from ..upstream.telling import TellingServer
from .compilation import Compilation
from .resilience import pool_settings, retry_policy
from .sources import compile_source
from .sticky import compile_sticky


def compile_pool(compilation: Compilation, name: str, model: PoolModel) -> Pool:
    """Compile one pool; the plan starts and retires it."""
    limits = PoolLimits(
        connections=model.max_connections,
        queue=model.queue_size,
        queue_seconds=model.queue_timeout,
        response_seconds=model.response_timeout,
        idle_seconds=model.idle_timeout,
    )

    def make_server(found: FoundServer) -> Server:
        return _server(compilation, found, model, limits)

    def make_connector(found: FoundServer, port: int | None, tls: bool | None) -> Connector:
        return _connector(compilation, found, model, port, tls)

    reactor = compilation.environment.reactor
    if model.source is None:
        source: Any = ListSource(
            [FoundServer(each.url, each.weight, each.backup) for each in model.servers]
        )
    else:
        source = compile_source(compilation, name, model.source)
    pool = (Pool if model.sticky is None else StickyPool)(
        name,
        make_server,
        model.balance.factory.build(model.balance.options),
        source=source,
        settings=pool_settings(model, make_connector),
        clock=reactor,
        slow_start=SlowStart(reactor, model.slow_start) if model.slow_start else None,
    )
    if isinstance(pool, StickyPool) and model.sticky is not None:
        with compilation.at("pool", name, "sticky", "secret_file"):
            pool.bind(compile_sticky(compilation, name, model.sticky))
    pool.policy = retry_policy(model, lambda: pool.requests, monotonic, reactor)
    compilation.plan.retiring.append(pool.retire)
    return pool


def _server(
    compilation: Compilation, found: FoundServer, model: PoolModel, limits: PoolLimits
) -> Server:
    environment = compilation.environment
    if found.url.startswith("unix:"):
        name = found.url.removeprefix("unix:")
        host = "localhost"
    else:
        parts = urlsplit(found.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        server_host = parts.hostname or ""
        name = f"[{server_host}]:{port}" if ":" in server_host else f"{server_host}:{port}"
        host = found.server_name or parts.netloc
    make = Server if model.send_proxy is None else partial(TellingServer, version=model.send_proxy)
    return make(
        name,
        _connector(compilation, found, model),
        limits,
        environment.reactor,
        environment.sweeper,
        compilation.head_limits,
        found.weight,
        _host_field(model.host, host),
        backup=found.backup,
    )


def _connector(
    compilation: Compilation,
    found: FoundServer,
    model: PoolModel,
    port: int | None = None,
    tls: bool | None = None,
) -> Connector:
    """Make the way to a server.

    :param port: another one than the server's, for its checks.
    :param tls: whether TLS is spoken; ``None`` for as the URL says.
    """
    environment = compilation.environment
    if found.url.startswith("unix:"):
        path = found.url.removeprefix("unix:")
        return UnixConnector(environment.reactor, path, model.connect_timeout)
    parts = urlsplit(found.url)
    host = parts.hostname or ""
    is_https = parts.scheme == "https"
    speaks_tls = is_https if tls is None else tls
    return TcpConnector(
        environment.reactor,
        environment.resolver,
        host,
        port or parts.port or (443 if is_https else 80),
        client_tls(compilation, found.server_name or host, model.tls) if speaks_tls else None,
        model.connect_timeout,
    )


def client_tls(compilation: Compilation, host: str, tls: PoolTls | None) -> Any:
    """Make what begins TLS with a server or a parent.

    :param tls: how it is verified, ``None`` for the usual.
    """
    if tls is None:
        return client_context(host)
    ca_file = compilation.context.directory / tls.ca if tls.ca is not None else None
    return client_context(tls.server_name or host, ca_file, verify=tls.verify)


def _host_field(rule: str, server_host: str) -> bytes | None:
    """Give what Host says upstream: ``keep``, ``server``, or a name."""
    if rule == "keep":
        return None
    return (server_host if rule == "server" else rule).encode("ascii")
