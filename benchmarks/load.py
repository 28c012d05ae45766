"""The load of ordinary cases: wrk, and what it says afterwards."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

from attrs import frozen

from benchmarks.cases import Case, Service

SCRIPT = Path(__file__).with_name("requests.lua")
HEAD_LIMIT = 4096
"""More bytes than any answer's head has here: an answer longer than its body and this is wrong."""


class BadLoad(Exception):
    """A load whose answers were not the ones asked for; the message says what was wrong."""


@frozen
class Load:
    """What wrk counted.

    Attributes:
        requests: exchanges that were completed.
        bytes: what was read, heads and answers that were cut off by the end of time included.
        microseconds: how long it lasted.
        bad_status: answers of status 400 and above.
        connect_errors, read_errors, write_errors, timeouts: sockets that failed.
        median_us, p99_us: of the times from request to answer, in microseconds.
    """

    requests: int
    bytes: int
    microseconds: int
    bad_status: int
    connect_errors: int
    read_errors: int
    write_errors: int
    timeouts: int
    median_us: int
    p99_us: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests * 1e6 / self.microseconds

    @property
    def socket_errors(self) -> int:
        """How often a socket failed, of whatever kind."""
        return self.connect_errors + self.read_errors + self.write_errors + self.timeouts

    def check(self, case: Case) -> None:
        """Judge the load as a whole.

        Raises:
            BadLoad: there was no answer, an answer of the wrong status or size, or more than one
                socket error in a hundred requests.
        """
        if not self.requests:
            raise BadLoad("no request was answered")
        if self.bad_status:
            raise BadLoad(f"{self.bad_status} of {self.requests} answers had a status over 399")
        if self.bytes < self.requests * case.size:
            raise BadLoad(f"answers were too short: {self.bytes} bytes in {self.requests}")
        if self.bytes > (self.requests + case.connections) * (case.size + HEAD_LIMIT):
            raise BadLoad(f"answers were too long: {self.bytes} bytes in {self.requests}")
        if self.socket_errors * 100 > self.requests:
            raise BadLoad(f"{self.socket_errors} socket errors in {self.requests} requests")


def parse(output: str) -> Load:
    """Read the line that `requests.lua` adds to what wrk prints.

    Raises:
        BadLoad: there is none, so wrk did not get to its end.
    """
    for line in output.splitlines():
        if line.startswith("SUMMARY "):
            return Load(**json.loads(line.removeprefix("SUMMARY ")))
    raise BadLoad(f"wrk did not finish: {output.strip().splitlines()[-1:]}")


def command(case: Case, *, port: int, origin: int, seconds: float) -> list[str]:
    """Return the command that puts the load of a case on a proxy.

    Args:
        case: what to send.
        port: the proxy's.
        origin: the origin's.
        seconds: how long; wrk knows whole seconds, so it is rounded up.
    """
    scheme = "https" if case.service is Service.TLS else "http"
    host = f"127.0.0.1:{origin}"
    target = f"http://{host}{case.path}" if case.service is Service.FORWARD else case.path
    return [
        "wrk",
        "--threads=1",
        f"--connections={case.connections}",
        f"--duration={math.ceil(seconds)}s",
        "--timeout=10s",
        f"--script={SCRIPT}",
        f"{scheme}://127.0.0.1:{port}/",
        "--",
        target,
        case.heads.value,
        host,
    ]


def put_load(load_command: list[str], seconds: float) -> Load:
    """Run wrk to its end.

    Raises:
        BadLoad: it did not get there.
    """
    try:
        ran = subprocess.run(
            load_command, capture_output=True, text=True, check=False, timeout=seconds + 30
        )
    except subprocess.TimeoutExpired:
        raise BadLoad("wrk did not end in time") from None
    return parse(ran.stdout + ran.stderr)
