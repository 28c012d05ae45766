"""Compiles a forward listener's parents, siblings, and the addresses that it goes out by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from time import monotonic

from ..config.parent import OutgoingEntry, ParentEntry, ProxyEntry, Selection, SiblingEntry
from ..config.places import KeyPath
from ..errors import ConfigurationError
from ..forward.health import Health
from ..forward.parents import MakeServer, Parent, Parents
from ..forward.rules import OutgoingAddress, OutgoingAddresses, Rule, destinations
from ..forward.siblings import Sibling, Siblings
from ..net.proxy_protocol import Version
from ..upstream.connector import TcpConnector
from ..upstream.parent import ParentAddress, ParentWays
from ..upstream.server import Server
from .compilation import Compilation
from .pool import client_tls


def compile_parents(
    compilation: Compilation,
    key: KeyPath,
    entries: Sequence[ParentEntry],
    make_server: Callable[[Version | None], MakeServer],
    seconds: float,
    *,
    direct: bool | None,
) -> Parents | None:
    """Compile parents.

    :param key: the listener's.
    :param make_server: gives what makes servers, told by the PROXY protocol or not.
    :param seconds: for a connection to one, and again for its handshake.
    :param direct: see ``Parents``.
    :returns: ``None`` when there are none.
    """
    if not entries:
        return None
    environment = compilation.environment
    parents = []
    for index, entry in enumerate(entries):
        with compilation.at(*key, "parents", index):
            ways = _ways(compilation, entry, seconds)
            server = make_server(entry.send_proxy)
            health = Health(monotonic)
            parents.append(Parent(entry.url.name, _rule(entry), ways, server, health))
    return Parents(parents, environment.reactor, environment.sweeper, direct=direct)


def compile_siblings(
    compilation: Compilation,
    key: KeyPath,
    entries: Sequence[SiblingEntry],
    make_server: MakeServer,
    seconds: float,
) -> Siblings | None:
    """Compile siblings; see ``compile_parents``."""
    if not entries:
        return None
    siblings = []
    for index, entry in enumerate(entries):
        with compilation.at(*key, "siblings", index):
            ways = _ways(compilation, entry, seconds)
            servers = _sibling_servers(entry.url.name, ways, make_server)
            health = Health(monotonic)
            siblings.append(Sibling(entry.url.name, _rule(entry), servers, health, entry.timeout))
    return Siblings(siblings, compilation.environment.reactor)


def _sibling_servers(
    name: str, ways: Callable[[tuple[str, ...]], ParentWays], make_server: MakeServer
) -> Callable[[tuple[str, ...]], Server]:
    def make(outgoing: tuple[str, ...]) -> Server:
        way = ways(outgoing)
        server = make_server(name, way.to_parent())
        server.parent_fields = way.address.fields
        return server

    return make


def compile_outgoing(entries: Sequence[OutgoingEntry]) -> OutgoingAddresses | None:
    """Compile addresses to go out by; ``None`` when there are none."""
    if not entries:
        return None
    return OutgoingAddresses([OutgoingAddress(each.address, _rule(each)) for each in entries])


def _ways(
    compilation: Compilation, entry: ProxyEntry, seconds: float
) -> Callable[[tuple[str, ...]], ParentWays]:
    """Give what makes the ways through a parent from local addresses; few of these exist."""
    environment = compilation.environment
    address = _with_password(compilation, entry)
    tls = client_tls(compilation, address.host, entry.tls) if address.scheme == "https" else None

    @lru_cache(maxsize=256)
    def ways(outgoing: tuple[str, ...]) -> ParentWays:
        connector = TcpConnector(
            environment.reactor,
            environment.resolver,
            address.host,
            address.port,
            tls,
            seconds,
            outgoing,
        )
        return ParentWays(address, environment.reactor, connector, seconds)

    return ways


def _with_password(compilation: Compilation, entry: ProxyEntry) -> ParentAddress:
    if entry.password_file is None:
        return entry.url
    path = compilation.context.directory / entry.password_file
    try:
        return entry.url.with_password(path.read_bytes().rstrip(b"\r\n"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} holds no usable password: {error}") from error


def _rule(entry: Selection) -> Rule:
    return Rule(
        destinations(entry.for_) if entry.for_ else None,
        destinations(entry.not_for) if entry.not_for else None,
        tuple(entry.client),
        frozenset(entry.port),
    )
