"""Varnish, as a cache in front of the origin: it can be nothing else."""

from __future__ import annotations

import shlex

from benchmarks.cases import Service
from benchmarks.peers.base import IDLE_SECONDS, Peer
from benchmarks.programs import varnish
from benchmarks.programs.base import Place

# The log is read out of shared memory by a second program, which waits until there is one.
START = """
varnishncsa -n {directory}/run -t off -w {access_log} &
exec {varnishd}
"""


class Varnish(varnish.Varnish, Peer):
    """Varnish with its objects in memory, and varnishncsa for its log."""

    services = {Service.CACHE: ""}
    log = "combined, by varnishncsa, whose CPU time counts"
    tuning = "malloc storage; one thread pool"
    speaks_connect = False

    def command(self, service: Service, place: Place) -> list[str]:
        """Write its VCL and return the command."""
        parameters = ["-p", f"timeout_idle={IDLE_SECONDS}", "-p", "thread_pools=1"]
        start = START.format(
            directory=place.directory,
            access_log=place.access_log,
            varnishd=shlex.join(self.in_foreground(place, "-s", "malloc,256m", *parameters)),
        )
        return ["sh", "-c", start]
