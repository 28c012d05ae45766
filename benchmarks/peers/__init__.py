"""The programs under test, one class each: how it is tuned for speed, and what it can do."""

from __future__ import annotations

from benchmarks.peers.apache import Apache
from benchmarks.peers.base import Peer
from benchmarks.peers.haproxy import HAProxy
from benchmarks.peers.nginx import Nginx
from benchmarks.peers.privoxy import Privoxy
from benchmarks.peers.pythons import Mitmproxy, Proxykit, ProxyPy, StockTwisted
from benchmarks.peers.squid import Squid
from benchmarks.peers.varnish import Varnish

__all__ = ["PEERS", "Peer", "select_peers"]

PEERS: tuple[Peer, ...] = (
    Proxykit(),
    Nginx(),
    HAProxy(),
    Squid(),
    Varnish(),
    Apache(),
    Privoxy(),
    ProxyPy(),
    StockTwisted(),
    Mitmproxy(),
)
"""Every program that is known, in the order in which rounds and tables go through them."""


def select_peers(only: list[str], without: list[str]) -> list[Peer]:
    """Return the programs named in `only` (all when it is empty), less those in `without`.

    Raises:
        ValueError: a name is not known.
    """
    known = {peer.name for peer in PEERS}
    for name in [*only, *without]:
        if name not in known:
            raise ValueError(f"no program is named {name!r}; there are: {', '.join(sorted(known))}")
    return [peer for peer in PEERS if (not only or peer.name in only) and peer.name not in without]
