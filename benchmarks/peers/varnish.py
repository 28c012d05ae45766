"""Varnish, as a cache in front of the origin: it can be nothing else."""

from __future__ import annotations

from benchmarks.cases import Service
from benchmarks.peers.base import IDLE_SECONDS, Peer, Place, first_match

# The log is read out of shared memory by a second program, which waits until there is one.
START = """
varnishncsa -n {directory}/run -t off -w {access_log} &
exec varnishd -F -j none -n {directory}/run -a {listen} -f {vcl} -s malloc,256m \
    -p timeout_idle={idle} -p thread_pools=1
"""

VCL = """
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{origin}"; }}
"""


class Varnish(Peer):
    """Varnish with its objects in memory, and varnishncsa for its log."""

    name = "varnish"
    services = {Service.CACHE: ""}
    log = "combined, by varnishncsa, whose CPU time counts"
    tuning = "malloc storage; one thread pool"
    speaks_connect = False

    def version(self) -> str:
        """Return what `varnishd -V` says."""
        return first_match(r"varnish-([0-9.]+)", "varnishd", "-V")

    def command(self, service: Service, place: Place) -> list[str]:
        """Write its VCL and return the command."""
        vcl = place.write("default.vcl", VCL.format(origin=place.origin))
        return [
            "sh",
            "-c",
            START.format(
                directory=place.directory,
                access_log=place.access_log,
                listen=f"127.0.0.1:{place.port}",
                vcl=vcl,
                idle=IDLE_SECONDS,
            ),
        ]
