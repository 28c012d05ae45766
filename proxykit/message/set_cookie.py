"""Set-Cookie fields (RFC 6265 section 4.1) as they are changed on the way."""

from __future__ import annotations

import re
from collections.abc import Callable

Mapping = Callable[[str], str]
"""Gives an attribute's value as the client should see it; ``""`` takes the attribute away."""


def map_cookie(value: str, domain: Mapping, path: Mapping) -> str:
    """Map a cookie's Domain and Path; all else stays as it is.

    :param domain: is given the Domain without a leading dot, in lower case.
    """
    pair, *attributes = value.split(";")
    if pair.lstrip().lower().startswith("__host-"):
        return value  # its Path is "/" and it has no Domain, or no browser keeps it
    kept = [pair]
    for attribute in attributes:
        name, equals, text = attribute.partition("=")
        key = name.strip().lower()
        old = text.strip()
        if equals and key == "domain":
            new = domain(old.lstrip(".").lower())
            same = new == old.lstrip(".").lower()
        elif equals and key == "path":
            new = path(old)
            same = new == old
        else:
            same, new = True, old
        if same:
            kept.append(attribute)
        elif new:
            kept.append(f"{name}={new}")
    return ";".join(kept)


_LIFETIME = re.compile(rb";[ \t]*(?:expires|max-age)[ \t]*=[^;]*", re.IGNORECASE)


def session_cookie(value: bytes) -> bytes:
    """Give a cookie that ends with the browser's session (RFC 6265 section 5.3 step 3)."""
    return _LIFETIME.sub(b"", value).strip(b" \t")
