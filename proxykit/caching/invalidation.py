"""Invalidation by what changes things (RFC 9111 section 4.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urljoin, urlsplit

from ..errors import BadRequest
from .keys import uri_prefix

_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"PROPFIND", b"REPORT"})


def is_safe(method: bytes) -> bool:
    """Say whether a method changes nothing (RFC 9110 section 9.2.1); an unknown one may."""
    return method in _SAFE


def is_error(status: int) -> bool:
    """Say whether a response says that nothing changed: what is no error is 2xx or 3xx."""
    return not 200 <= status < 400


def changed_uris(key: bytes, namespace: bytes, values: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Give the keys of what an unsafe request has changed: its target, and what it points to.

    Location and Content-Location count only where their origin (RFC 9110 section 4.3.1) is the
    target's: "to help prevent denial-of-service attacks".

    :param key: of the target, see ``caching.keys``.
    :param values: the response's fields' values, by names in lower case.
    """
    yield key
    base = key.removeprefix(namespace + b" ").decode("ascii")
    origin = _origin_prefix(namespace, base)
    for name in (b"location", b"content-location"):
        value = values.get(name)
        if value is None or not value.isascii() or len(value) > 8192:
            continue
        try:
            uri = urljoin(base, value.decode("ascii")).partition("#")[0]
            parts = urlsplit(uri)
            prefix = _origin_prefix(namespace, uri)
        except (ValueError, BadRequest):
            continue
        if prefix == origin:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            yield prefix + target.encode("ascii")


def _origin_prefix(namespace: bytes, uri: str) -> bytes:
    parts = urlsplit(uri)
    return uri_prefix(namespace, parts.scheme.lower(), parts.netloc.encode("ascii"))
