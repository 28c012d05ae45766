"""The lists that ``access`` rules name: domains, networks, names and URLs, one a line.

Each kind is a way to read a line into a record, and a way to look a value up in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from ..options import parse_network
from .names import domain_name, suffix_keys
from .table import Table

_MOST_SEGMENTS = 32


def _read_domain(text: str) -> tuple[bytes, bytes]:
    """``a.example`` itself, ``.a.example`` with all below, ``*.a.example`` all below."""
    mark = b"*" if text.startswith("*.") else b"." if text.startswith(".") else b"="
    name = domain_name(text.removeprefix("*").removeprefix("."))
    if name is None:
        raise ValueError(f"expected a domain, got {text!r}")
    return name.encode("ascii"), mark


def has_domain(table: Table, host: str) -> bool:
    """Say whether a list of domains has a host in it."""
    for depth, name in enumerate(suffix_keys(host)):
        for value in table.find(name):
            mark = value[:1]
            if mark == b"." or mark == (b"*" if depth else b"="):
                return True
    return False


def _read_network(text: str) -> tuple[bytes, bytes]:
    network = parse_network(text)
    return _network_key(network.version, network.prefixlen, int(network.network_address)), b""


def _network_key(version: int, prefix: int, address: int) -> bytes:
    return b"%d/%d:%x" % (version, prefix, address)


def has_address(table: Table, address: str) -> bool:
    """Say whether a list of networks has an address in it; an IPv4-mapped one counts as IPv4."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    number, bits = int(parsed), parsed.max_prefixlen
    for text in table.report["prefixes"]:
        version, _, prefix = text.partition("/")
        if int(version) == parsed.version:
            host_bits = bits - int(prefix)
            key = _network_key(parsed.version, int(prefix), number >> host_bits << host_bits)
            if key in table:
                return True
    return False


def _read_name(text: str) -> tuple[bytes, bytes]:
    return text.encode("utf-8"), b""


def has_name(table: Table, name: str) -> bool:
    """Say whether a list of names has one in it."""
    return bool(name) and name.encode("utf-8", "replace") in table


def _read_url(text: str) -> tuple[bytes, bytes]:
    """A URL with or without its scheme; with a query for that one only; ``/*`` for all below."""
    if any(character <= " " for character in text) or not text.isascii():
        raise ValueError(f"expected a URL, got {text!r}")
    _, scheme_end, rest = text.partition("://")
    host, slash, path = (rest if scheme_end else text).partition("/")
    if not host or "*" in host:
        raise ValueError(f"expected a URL, got {text!r}")
    return f"{host.lower()}/{path if slash else ''}".encode("ascii"), b""


def has_url(table: Table, url: str) -> bool:
    """Say whether a list of URLs has one in it, with its query or without, or what it is below.

    :param url: ``HOST[:PORT]/PATH[?QUERY]``.
    """
    if url.encode("utf-8", "replace") in table:
        return True
    url = url.partition("?")[0]
    if url.encode("utf-8", "replace") in table:
        return True
    at = url.find("/")
    for _ in range(_MOST_SEGMENTS):
        if at < 0:
            break
        if (url[: at + 1] + "*").encode("utf-8", "replace") in table:
            return True
        at = url.find("/", at + 1)
    return False


DOMAINS, NETWORKS, NAMES, URLS = "domains", "networks", "names", "urls"

ENTRY_READERS: dict[str, Callable[[str], tuple[bytes, bytes]]] = {
    DOMAINS: _read_domain,
    NETWORKS: _read_network,
    NAMES: _read_name,
    URLS: _read_url,
}
"""What reads a line of each kind; raises ``ValueError`` when it is none."""

ENTRY_FINDERS: dict[str, Callable[[Table, str], bool]] = {
    DOMAINS: has_domain,
    NETWORKS: has_address,
    NAMES: has_name,
    URLS: has_url,
}
"""What looks a value of each kind up."""
