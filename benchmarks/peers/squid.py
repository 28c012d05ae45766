"""Squid, in both directions; with its cache in memory where that is what is measured."""

from __future__ import annotations

from benchmarks.cases import Service
from benchmarks.peers.base import IDLE_SECONDS, Peer
from benchmarks.programs import squid
from benchmarks.programs.base import Place

CONFIGURATION = """
access_log stdio:@ACCESS_LOG@ squid
buffered_logs on
logfile_rotate 0
workers 1
max_filedescriptors @FILES_LIMIT@
client_persistent_connections on
server_persistent_connections on
client_idle_pconn_timeout @IDLE@ seconds
server_idle_pconn_timeout @IDLE@ seconds
client_db off
read_ahead_gap 256 KB
"""

PLAIN = "http_port 127.0.0.1:@PORT@\n"
ACCELERATE = """
http_port 127.0.0.1:@PORT@ accel no-vhost defaultsite=127.0.0.1
cache_peer 127.0.0.1 parent @ORIGIN@ 0 no-query originserver name=origin
"""
ACCELERATE_TLS = ACCELERATE.replace("http_port", "https_port").replace(
    "defaultsite=127.0.0.1", "defaultsite=127.0.0.1 tls-cert=@CERTIFICATE@ tls-key=@KEY@"
)
NO_CACHE = "cache deny all\n"
CACHE = "cache_mem 256 MB\nmaximum_object_size_in_memory 4 MB\n"


class Squid(squid.Squid, Peer):
    """Squid as a forward proxy, and as an accelerator with the origin as its only peer."""

    services = {each: "" for each in Service if each is not Service.DISK}
    log = "native format, stdio module, buffered_logs on"
    tuning = (
        "one worker; cache deny all; client_db off; read_ahead_gap 256 KB; persistent "
        "connections on both sides"
    )

    def command(self, service: Service, place: Place) -> list[str]:
        """Write `squid.conf` and return the command."""
        listen = {
            Service.CACHE: ACCELERATE,
            Service.REVERSE: ACCELERATE,
            Service.TLS: ACCELERATE_TLS,
        }.get(service, PLAIN)
        cache = CACHE if service is Service.CACHE else NO_CACHE
        return self.in_foreground(place, listen + cache + CONFIGURATION, idle=IDLE_SECONDS)
