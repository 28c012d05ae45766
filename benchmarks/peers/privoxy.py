"""Privoxy, a forward proxy only, with no filter switched on."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cases import Service
from benchmarks.peers.base import IDLE_SECONDS, Peer
from benchmarks.programs.base import Place, first_match

CONFIGURATION = """
confdir @DIRECTORY@
templdir /etc/privoxy/templates
debug 512
receive-buffer-size 16384
listen-address 127.0.0.1:@PORT@
listen-backlog 4096
toggle 0
accept-intercepted-requests 0
keep-alive-timeout @IDLE@
default-server-timeout @IDLE@
connection-sharing 1
tolerate-pipelining 1
socket-timeout @IDLE@
max-client-connections @CONNECTIONS@
"""


class Privoxy(Peer):
    """Privoxy: a thread for each client connection."""

    name = "privoxy"
    services = {Service.FORWARD: "", Service.TUNNEL: ""}
    log = "common format (debug 512), unbuffered: Privoxy has no buffer for it"
    tuning = (
        "no action files; keep-alive on both sides, connection-sharing 1; receive-buffer-size 16384"
    )

    def version(self) -> str:
        """Return what `privoxy --version` says."""
        return first_match(r"version (\S+)", "privoxy", "--version")

    def error_output(self, place: Place) -> Path:
        """Return the access log: in the foreground Privoxy logs to its standard error."""
        return place.access_log

    def command(self, service: Service, place: Place) -> list[str]:
        """Write `config` and return the command."""
        configuration = place.write(
            "config",
            CONFIGURATION,
            idle=IDLE_SECONDS,
            connections=place.files_limit // 2 - 100,
        )
        return ["privoxy", "--no-daemon", str(configuration)]
