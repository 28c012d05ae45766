"""HAProxy, a reverse proxy only."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cases import Service
from benchmarks.peers.base import IDLE_SECONDS, Peer
from benchmarks.programs.base import Place, first_match

CONFIGURATION = """
global
    # Two descriptors are counted for each connection; idle ones have one, so more fit.
    no strict-limits
    maxconn @CONNECTIONS@
    nbthread 1
    tune.bufsize 32768
    log stdout format raw local0 info
defaults
    mode @MODE@
    log global
    option @LOG_OPTION@
    timeout connect 5s
    timeout client @IDLE@s
    timeout server @IDLE@s
    timeout http-keep-alive @IDLE@s
    timeout http-request 60s
frontend clients
    bind 127.0.0.1:@PORT@ backlog 4096@TLS@
    default_backend origin
backend origin
    @HTTP@
    server origin 127.0.0.1:@ORIGIN@ pool-max-conn 64
"""


class HAProxy(Peer):
    """HAProxy with its pool of idle server connections shared by all clients."""

    name = "haproxy"
    services = {
        Service.REVERSE: "",
        Service.TLS: "",
        Service.TUNNEL: "no CONNECT: its TCP pass-through, as nginx's",
    }
    log = "httplog to standard output, a file; HAProxy cannot buffer this: one write an exchange"
    tuning = "one thread; http-reuse always; option forwardfor; tune.bufsize 32768"
    speaks_connect = False

    def version(self) -> str:
        """Return what `haproxy -v` says."""
        return first_match(r"version (\S+)", "haproxy", "-v")

    def output(self, place: Place) -> Path:
        """Return the access log, which is what HAProxy writes there."""
        return place.access_log

    def command(self, service: Service, place: Place) -> list[str]:
        """Write `haproxy.cfg` and return the command."""
        tcp = service is Service.TUNNEL
        configuration = place.write(
            "haproxy.cfg",
            CONFIGURATION,
            connections=place.files_limit - 1000,
            mode="tcp" if tcp else "http",
            log_option="tcplog" if tcp else "httplog",
            http="" if tcp else "http-reuse always\n    option forwardfor",
            idle=IDLE_SECONDS,
            tls=" ssl crt @CERTIFICATE_WITH_KEY@" if service is Service.TLS else "",
        )
        return ["haproxy", "-db", "-f", str(configuration)]
