"""Proxy auto-configuration: the script by which browsers find what to fetch how.

The script is the same for everyone (``pac.js``); what a configuration says stands in front of it
as data, in JSON, of which no value can become code.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from ..options import IPNetwork

MEDIA_TYPE = b"application/x-ns-proxy-autoconfig"
"""As Netscape named it; no standard does, and browsers take no other for WPAD."""

_NAME = re.compile(r"(?:\*?\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\Z")
_HOST = re.compile(r"[A-Za-z0-9._-]+\Z")
_KINDS = {"http": ("PROXY", 80), "https": ("HTTPS", 443), "socks4": ("SOCKS4", 1080),
          "socks5": ("SOCKS5", 1080)}  # fmt: skip


def checked_direct(text: str) -> str:
    """Check what is fetched without a proxy: a name, or a network.

    :raises ValueError: when it is neither.
    """
    lowered = text.lower()
    if _network(lowered) is None and not _NAME.match(lowered):
        raise ValueError(
            'expected a name such as "a.lan", ".lan" or "*.lan", or a network such as '
            f'"10.0.0.0/8", got {text!r}'
        )
    return lowered


def pac_proxy(url: str) -> str:
    """Give a proxy as the script names it, ``PROXY a.lan:3128`` for instance.

    :param url: ``http://``, ``https://`` (TLS to the proxy), ``socks4://`` or ``socks5://``.
    :raises ValueError: when it is no proxy's.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        fine = parts.scheme in _KINDS and parts.path in ("", "/")
        fine = fine and parts.username is None and not parts.query and not parts.fragment
        if ":" in host:
            host = f"[{ipaddress.IPv6Address(host)}]"
        elif not _HOST.match(host):
            fine = False
    except ValueError:
        fine = False
    if not fine:
        raise ValueError(f'expected a proxy such as "http://proxy.lan:3128", got {url!r}')
    kind, usual = _KINDS[parts.scheme]
    return f"{kind} {host}:{port or usual}"


class PacScript:
    """The script for one listener."""

    def __init__(
        self,
        direct: Sequence[str],
        *,
        plain_names: bool = True,
        resolve: bool = False,
        fallback: bool = False,
    ) -> None:
        """Compile the rules.

        :param direct: what is fetched without a proxy, as ``checked_direct`` takes it.
        :param plain_names: whether names without a dot are, too.
        :param resolve: whether a name is, too, that resolves to an address of ``direct``.
        :param fallback: whether everything is, when no proxy answers.
        """
        networks = [network for text in direct if (network := _network(text)) is not None]
        self._rules: dict[str, Any] = {
            "plain": plain_names,
            "resolve": resolve,
            "names": [_name(text) for text in direct if _network(text) is None],
            "networks": [_words(network) for network in networks],
        }
        self._fallback = ["DIRECT"] if fallback else []
        self._code = files(__package__).joinpath("pac.js").read_text("utf-8")

    def content(self, proxies: Sequence[str]) -> bytes:
        """Write the script.

        :param proxies: as ``pac_proxy`` gives them, the preferred first.
        """
        rules = self._rules | {"proxies": "; ".join([*proxies, *self._fallback])}
        return f"var RULES = {json.dumps(rules)};\n\n{self._code}".encode("ascii")


def _network(text: str) -> IPNetwork | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _name(text: str) -> dict[str, Any]:
    """Say what a pattern of names takes: itself, what is below it, or both."""
    dotted = text.startswith(".")
    return {
        "text": text.removeprefix("*").removeprefix("."),
        "self": dotted or not text.startswith("*"),
        "below": dotted or text.startswith("*"),
    }


def _words(network: IPNetwork) -> dict[str, Any]:
    packed = network.network_address.packed
    words = [int.from_bytes(packed[n : n + 2], "big") for n in range(0, len(packed), 2)]
    return {"words": words, "length": network.prefixlen}
