"""Compiles pools and their servers."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlsplit

from ..balancing.slow_start import SlowStart
from ..config.pool import Pool as PoolModel
from ..config.pool import PoolTls, ServerEntry
from ..net.tls import client_context
from ..reverse.pool import Pool, StickyPool
from ..upstream.connector import Connector, TcpConnector, UnixConnector
from ..upstream.server import PoolLimits, Server
from ..upstream.telling import TellingServer
from .compilation import Compilation
from .sticky import compile_sticky


def compile_pool(compilation: Compilation, name: str, model: PoolModel) -> Pool:
    """Compile one pool; the plan retires it."""
    limits = PoolLimits(
        connections=model.max_connections,
        queue=model.queue_size,
        queue_seconds=model.queue_timeout,
        response_seconds=model.response_timeout,
        idle_seconds=model.idle_timeout,
    )
    servers = [_server(compilation, each, model, limits) for each in model.servers]
    balancer = model.balance.factory.build(model.balance.options)
    slow_start = None
    if model.slow_start:
        slow_start = SlowStart(compilation.environment.reactor, model.slow_start)
    if model.sticky is None:
        pool = Pool(name, servers, balancer, model.retries, slow_start)
    else:
        sticky = compile_sticky(compilation, name, model.sticky)
        pool = StickyPool(name, servers, balancer, sticky, model.retries, slow_start)
    compilation.plan.retiring.append(pool.retire)
    return pool


def _server(
    compilation: Compilation, entry: ServerEntry, model: PoolModel, limits: PoolLimits
) -> Server:
    environment = compilation.environment
    url = entry.url
    connector: Connector
    if url.startswith("unix:"):
        name = url.removeprefix("unix:")
        host = "localhost"
        connector = UnixConnector(environment.reactor, name, model.connect_timeout)
    else:
        parts = urlsplit(url)
        server_host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        bracketed = f"[{server_host}]" if ":" in server_host else server_host
        name = f"{bracketed}:{port}"
        host = parts.netloc
        connector = TcpConnector(
            environment.reactor,
            environment.resolver,
            server_host,
            port,
            client_tls(compilation, server_host, model.tls) if parts.scheme == "https" else None,
            model.connect_timeout,
        )
    make = Server if model.send_proxy is None else partial(TellingServer, version=model.send_proxy)
    return make(
        name,
        connector,
        limits,
        environment.reactor,
        environment.sweeper,
        compilation.head_limits,
        entry.weight,
        _host_field(model.host, host),
        backup=entry.backup,
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
