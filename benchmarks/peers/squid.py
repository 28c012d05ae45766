"""Squid, in both directions; with its cache in memory where that is what is measured."""

from __future__ import annotations

import os

from benchmarks.cases import Service
from benchmarks.peers.base import IDLE_SECONDS, Peer, Place, first_match

CONFIGURATION = """
{listen}
{parent}
acl all_ports port 1-65535
http_access allow all_ports
{cache}
access_log stdio:{access_log} squid
buffered_logs on
logfile_rotate 0
cache_log {directory}/cache.log
cache_store_log none
pid_filename {directory}/pid
coredump_dir {directory}
netdb_filename none
pinger_enable off
icp_port 0
workers 1
max_filedescriptors {files_limit}
client_persistent_connections on
server_persistent_connections on
client_idle_pconn_timeout {idle} seconds
server_idle_pconn_timeout {idle} seconds
client_db off
read_ahead_gap 256 KB
shutdown_lifetime 1 second
visible_hostname benchmark
{user}
"""

PARENT = "cache_peer 127.0.0.1 parent {origin} 0 no-query originserver name=origin"


class Squid(Peer):
    """Squid as a forward proxy, and as an accelerator with the origin as its only peer."""

    name = "squid"
    services = {each: "" for each in Service if each is not Service.DISK}
    log = "native format, stdio module, buffered_logs on"
    tuning = (
        "one worker; cache deny all; client_db off; read_ahead_gap 256 KB; persistent "
        "connections on both sides"
    )
    account = "proxy"

    def version(self) -> str:
        """Return what `squid -v` says."""
        return first_match(r"Version (\S+)", "squid", "-v")

    def command(self, service: Service, place: Place) -> list[str]:
        """Write `squid.conf` and return the command."""
        address = f"127.0.0.1:{place.port}"
        certificate = place.certificate
        cached = service is Service.CACHE
        listen = {
            Service.CACHE: f"http_port {address} accel no-vhost defaultsite=127.0.0.1",
            Service.REVERSE: f"http_port {address} accel no-vhost defaultsite=127.0.0.1",
            Service.TLS: f"https_port {address} accel no-vhost defaultsite=127.0.0.1 "
            f"tls-cert={certificate.certificate} tls-key={certificate.key}",
        }.get(service, f"http_port {address}")
        reverse = service in {Service.REVERSE, Service.TLS, Service.CACHE}
        configuration = place.write(
            "squid.conf",
            CONFIGURATION.format(
                listen=listen,
                cache="cache_mem 256 MB\nmaximum_object_size_in_memory 4 MB"
                if cached
                else "cache deny all",
                parent=PARENT.format(origin=place.origin) if reverse else "",
                access_log=place.access_log,
                directory=place.directory,
                files_limit=place.files_limit,
                idle=IDLE_SECONDS,
                user=f"cache_effective_user {self.account}" if os.geteuid() == 0 else "",
            ),
        )
        return ["squid", "-N", "-f", str(configuration)]
