"""A program as the kernel sees it: started on one core, its time and memory read, stopped for sure.

Linux only: the figures come from /proc and from the processes' own CPU clocks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from demo.proxies import listens

READY_SECONDS = 20.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.02


class DidNotStart(Exception):
    """A program could not be started, or never listened; the message says why, in a line."""


def cpu_spent(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """Return the CPU seconds that a tree of processes spent between two readings.

    Raises:
        ValueError: a process of the first reading is gone, so its last share is not known.
    """
    ended = before.keys() - after.keys()
    if ended:
        raise ValueError(f"{len(ended)} of its processes ended during the measurement")
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def core_busy_seconds(core: int, stat: str | None = None) -> float:
    """Return how long a core has worked since boot, for whomever, in seconds."""
    for line in (stat or Path("/proc/stat").read_text()).splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            busy = user + nice + system + irq + softirq + steal
            return busy / os.sysconf("SC_CLK_TCK")
    raise ValueError(f"this machine has no core {core}")


def own_memory(rollup: str) -> int:
    """Return the bytes of a process in what `smaps_rollup` says: anonymous and shared memory.

    The pages of mapped files are left out, for their share grows and falls with the number of
    other processes that map the same libraries.
    """
    kibibytes = 0
    for line in rollup.splitlines()[1:]:
        name, amount, _ = line.split()
        if name in {"Pss_Anon:", "Pss_Shmem:"}:
            kibibytes += int(amount)
    return kibibytes * 1024


def resident_bytes() -> int:
    """Return this process's resident set."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@frozen
class Process:
    """A running program: the process that was started and every process below it."""

    popen: subprocess.Popen[bytes]
    errors: Path

    def tree(self) -> list[int]:
        """Return the process ids, the first one's own first."""
        found = [self.popen.pid]
        for pid in found:  # grows while it is walked
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    found += map(int, (thread / "children").read_text().split())
        return found

    def cpu_seconds(self) -> dict[int, float]:
        """Return the CPU time, user and system, of every process, by process id.

        The process's own clock is read and not /proc/PID/stat, which counts in hundredths of
        a second.
        """
        seconds = {}
        for pid in self.tree():
            with contextlib.suppress(OSError):
                # The clock id of a process, as clock_getcpuclockid(3) makes it.
                seconds[pid] = time.clock_gettime((~pid << 3) | 2)
        return seconds

    def memory_bytes(self) -> int:
        """Return the memory that the tree has taken: anonymous and shared, without mapped files.

        It is counted as PSS: a page that several processes share counts once in all.
        """
        total = 0
        for pid in self.tree():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += own_memory(Path(f"/proc/{pid}/smaps_rollup").read_text())
        return total

    def wait_until_listening(self, port: int) -> None:
        """Return as soon as a connection to `port` on 127.0.0.1 is taken.

        Raises:
            DidNotStart: the program ended, or did not listen in time.
        """
        if listens(self.popen, ("127.0.0.1", port), READY_SECONDS):
            return
        status = self.popen.poll()
        late = f"did not listen within {READY_SECONDS:.0f} s"
        how = late if status is None else f"ended with status {status}"
        raise DidNotStart(f"{how}: {self.last_error()}")

    def wait_until_quiet(self) -> None:
        """Return when the program has finished what the last load left behind; a second at most."""
        deadline = time.monotonic() + 1.0
        last = sum(self.cpu_seconds().values())
        while time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            now = sum(self.cpu_seconds().values())
            if now - last < POLL_SECONDS / 20:
                return
            last = now

    def running(self) -> bool:
        """Say whether the program is still there."""
        return self.popen.poll() is None

    def last_error(self) -> str:
        """Return the last line that the program wrote to its standard error, or `nothing said`."""
        text = self.errors.read_text(errors="replace").strip()
        return text.splitlines()[-1].strip() if text else "nothing said"

    def stop(self) -> None:
        """End the program, politely first; nothing of it is left when this returns."""
        with contextlib.suppress(ProcessLookupError):
            self.popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(timeout=STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            # The program leads a session of its own, so this reaches its workers and no others.
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def start(
    command: Sequence[str],
    *,
    core: int,
    directory: Path,
    output: Path | None = None,
    errors: Path | None = None,
    environment: Mapping[str, str] | None = None,
    working_directory: Path | None = None,
) -> Process:
    """Start a program on one core.

    Args:
        command: the program and its arguments.
        core: the number of the only core that it may use.
        directory: a folder of its own.
        output: the file that receives its standard output; `stdout` there when not given.
        errors: the file that receives its standard error; `stderr` there when not given.
        environment: variables beside those of this process.
        working_directory: where it runs; `directory` when not given.

    Raises:
        DidNotStart: the program is not installed.
    """
    if shutil.which(command[0]) is None:
        raise DidNotStart("not installed")
    errors = errors or directory / "stderr"
    # If this process is killed outright, the programs under test are asked to end as well.
    pinned = ["setpriv", "--pdeathsig", "TERM", "taskset", "--cpu-list", str(core), *command]
    with errors.open("ab") as stderr, (output or directory / "stdout").open("ab") as stdout:
        popen = subprocess.Popen(
            pinned,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=working_directory or directory,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    return Process(popen, errors)
