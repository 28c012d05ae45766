"""Domain names as lists write them and as requests ask for them."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

# Letters, digits, hyphens, and the underscores that services have; the last label is no number,
# or it would be an address that is cut off (RFC 1123 section 2.1).
_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*+(?![0-9]+\Z)"
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z"
)


def domain_name(text: str) -> str | None:
    """Give a domain name or an IP address in its one form.

    :param text: in any case, perhaps with a dot at its end, perhaps in Unicode (RFC 5890).
    :returns: lower case and ASCII, an IPv6 address without brackets; ``None`` when it is no name.
    """
    name = text.lower().removesuffix(".")
    if not name.isascii():
        encoded = _ascii(name)
        if encoded is None:
            return None
        name = encoded
    if _NAME.match(name):
        return name
    try:
        return str(ip_address(name.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None


def _ascii(name: str) -> str | None:
    import idna  # slow to import, and few lists need it

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return None


def suffix_keys(host: str) -> list[bytes]:
    """Give a name and every name that it lies below, the longest first, as keys of a table.

    :param host: in lower case; an IP address lies below none.
    """
    name = host.encode("ascii", "replace").removesuffix(b".")
    found = [name]
    if b":" not in name and not (name[-1:].isdigit() and name.replace(b".", b"").isdigit()):
        at = name.find(b".")
        while at >= 0:
            found.append(name[at + 1 :])
            at = name.find(b".", at + 1)
    return found


def suffixes(host: str) -> list[str]:
    """Give the same as text."""
    return [key.decode("ascii") for key in suffix_keys(host)]


@lru_cache(maxsize=1)
def public_suffixes() -> PublicSuffixList:
    """Give the Public Suffix List that came with its package; reading it takes 40 ms."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


@lru_cache(maxsize=4096)
def site(host: str) -> str:
    """Give the site of a host: the name that its owner registered, or the host itself.

    ``a.b.example.co.uk`` is of ``example.co.uk``.
    """
    if ":" in host or host.replace(".", "").isdigit():
        return host
    return public_suffixes().privatesuffix(host) or host
