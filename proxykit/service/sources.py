"""Compiles where a pool's servers come from."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from ..balancing.dns_source import AddressSource, DnsTimes, ServiceSource
from ..balancing.file_source import FileSource
from ..balancing.sources import FoundServer
from ..config.pool import ServerEntry
from ..config.resilience import SourceOptions
from .compilation import Compilation


def compile_source(compilation: Compilation, pool: str, model: SourceOptions) -> Any:
    """Make the ``IServerSource`` of a pool.

    :param pool: its name, for the log.
    """
    reactor = compilation.environment.reactor
    if model.file is not None:
        return FileSource(compilation.context.directory / model.file, pool, reactor, found_server)
    times = DnsTimes(model.min_ttl, model.max_ttl)
    servers = [_name_server(each) for each in model.nameservers]
    families = {"any": (4, 6), "ipv4": (4,), "ipv6": (6,)}[model.family]
    if model.srv is not None:
        scheme = "https" if model.tls else "http"
        return ServiceSource(model.srv, scheme, pool, servers, reactor, times, families)
    assert model.dns is not None
    parts = urlsplit(model.dns)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return AddressSource(
        parts.hostname or "", parts.scheme, port, pool, servers, reactor, times, families
    )


def found_server(entry: object) -> FoundServer:
    """Check a server that a file names.

    :param entry: a URL, or a mapping with what a server of the configuration can say.
    :raises ValueError: for what is wrong with it.
    """
    try:
        model = ServerEntry.model_validate({"url": entry} if isinstance(entry, str) else entry)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ValueError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from error
    return FoundServer(model.url, model.weight, model.backup)


def _name_server(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, int(port.removeprefix(":") or 53)
    host, _, port = text.partition(":")
    return host, int(port or 53)
