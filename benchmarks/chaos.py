"""Chaos: servers are killed, hung, slowed, and so on at random, under load.

Run as `python -m benchmarks.chaos`. It holds when no idempotent request failed while at least one
server was healthy, when no POST was carried out twice, and when every server is in use again
within a few seconds after the last fault.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from attrs import Factory, define, frozen

from demo.proxies import Proxy, free_port

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = """
[log]
access = "access.log"
format = "{{local_time}} {{method}} {{target}} {{status}} {{upstream}} {{attempts}} {{detail}}"

[pool.app]
servers = [{servers}]
connect_timeout = "1s"
attempt_timeout = "500ms"
response_timeout = "5s"
retries = {retries}
retry = {{ statuses = [502, 503, 504] }}
when_unusable = "try-all"

[pool.app.health]
path = "/health"
interval = "1s"
fast_interval = "200ms"
timeout = "1s"
rise = 2
fall = 2

[reverse.site]
listen = "127.0.0.1:{port}"

[[reverse.site.routes]]
pool = "app"
"""


class Server:
    """One origin process and what is wrong with it.

    Attributes:
        fault: the name of what is wrong with it, "" when nothing is.
        healthy_since: on the monotonic clock; infinity while something is wrong.
    """

    def __init__(self, name: str, directory: Path) -> None:
        """Choose a port; the process is started by `start`."""
        self.name = name
        self.port = free_port()
        self.fault = ""
        self.healthy_since = float("inf")
        self._log = directory / "posts"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, and wait until it listens."""
        command = [sys.executable, "-m", "benchmarks.chaos_origin"]
        self._process = subprocess.Popen(
            [*command, str(self.port), self.name, str(self._log)], stdin=subprocess.PIPE, cwd=ROOT
        )

    def stop(self) -> None:
        """Kill the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def say(self, line: str) -> None:
        """Tell the process its mode."""
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(line.encode("ascii") + b"\n")
            self._process.stdin.flush()

    async def heal(self) -> None:
        """Make it well again, and wait until it answers."""
        fault, self.fault = self.fault, ""
        if fault == "killed":
            self.start()
        elif fault == "hung":
            self.signal(signal.SIGCONT)
        else:
            self.say("well")
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                if b" 200 " in await reader.readline():
                    writer.close()
                    break
                writer.close()
            await asyncio.sleep(0.02)
        self.healthy_since = time.monotonic()

    async def hurt(self, fault: str, seconds: float) -> None:
        """Do something bad to it for some time."""
        self.healthy_since = float("inf")
        self.fault = fault
        if fault == "killed":
            self.stop()
        elif fault == "hung":
            self.signal(signal.SIGSTOP)
        elif fault == "flapping":
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                self.say(random.choice(("refuse", "well", "fail", "reset")))
                await asyncio.sleep(random.uniform(0.05, 0.4))
            return
        else:
            self.say({"slowed": "slow 3", "refusing": "refuse"}.get(fault, fault))
        await asyncio.sleep(seconds)


FAULTS = ("killed", "hung", "slowed", "refusing", "flapping", "fail", "reset")


@define
class Outcome:
    """What the load has seen.

    Attributes:
        requests: by method.
        failures: what went wrong with idempotent requests.
        posts_failed: how many POSTs failed, which they may.
        seconds: of each idempotent request.
        served: when each server last answered, on the monotonic clock.
    """

    requests: Counter[str] = Factory(Counter)
    failures: list[str] = Factory(list)
    posts_failed: int = 0
    seconds: list[float] = Factory(list)
    served: dict[str, float] = Factory(dict)


@frozen
class Load:
    """Clients that ask one request after the other, each on its connection.

    Attributes:
        port: of the proxy.
        outcome: where what happens is noted.
        is_over: says whether to stop.
    """

    port: int
    outcome: Outcome
    is_over: Callable[[], bool]

    async def client(self, number: int) -> None:
        """Ask until it is over."""
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        count = 0
        while not self.is_over():
            count += 1
            kinds, weights = ("GET", "HEAD", "PUT", "POST"), (70, 5, 15, 10)
            method = random.choices(kinds, weights)[0]
            identity = f"/{number}-{count}"
            began = time.monotonic()
            try:
                if streams is None:
                    streams = await asyncio.open_connection("127.0.0.1", self.port)
                good = await asyncio.wait_for(self._ask(streams, method, identity), 20)
                problem = "" if good else "closed"
            except (OSError, ValueError, EOFError, TimeoutError) as error:
                problem = f"{type(error).__name__}: {error}"
                good = False
            if not good and streams is not None:
                streams[1].close()
                streams = None
            self.outcome.requests[method] += 1
            if method != "POST":
                self.outcome.seconds.append(time.monotonic() - began)
                if problem and problem != "closed":
                    self.outcome.failures.append(f"{method} {identity} {problem}")
            elif problem and problem != "closed":
                self.outcome.posts_failed += 1
        if streams is not None:
            streams[1].close()

    async def _ask(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        method: str,
        identity: str,
    ) -> bool:
        """Ask once.

        Returns:
            Whether the connection can be used again.

        Raises:
            ValueError: for an answer that is not the right one.
        """
        reader, writer = streams
        content = random.randbytes(random.randrange(1, 8192)) if method in ("PUT", "POST") else b""
        length = f"Content-Length: {len(content)}\r\n" if content else ""
        writer.write(f"{method} {identity} HTTP/1.1\r\nHost: a\r\n{length}\r\n".encode() + content)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = b""
        if method != "HEAD":
            body = await reader.readexactly(int(fields.get("Content-Length", 0)))
        if not head.startswith("HTTP/1.1 200 "):
            raise ValueError(head.split("\r\n")[0] + " " + body.decode("utf-8", "replace")[:200])
        expected = f"{method} {identity} {len(content)}".encode()
        if method != "HEAD" and body != expected:
            raise ValueError(f"got {body!r} instead of {expected!r}")
        self.outcome.served[fields["X-Server"]] = time.monotonic()
        return fields.get("Connection") != "close"


class Chaos:
    """Hurts servers at random, never all at once.

    Attributes:
        faults: how often each was done.
    """

    def __init__(self, servers: list[Server], overlap: float, rng: random.Random) -> None:
        """Take the servers.

        Args:
            servers: all well.
            overlap: how long, in seconds, another server has been healthy before the last one
                that is may be hurt.
            rng: where chance comes from.
        """
        self.faults: Counter[str] = Counter()
        self._servers = servers
        self._overlap = overlap
        self._rng = rng

    async def run(self, seconds: float) -> None:
        """Hurt servers for some time, then heal them all."""
        ends = time.monotonic() + seconds
        await asyncio.gather(*(self._torment(server, ends) for server in self._servers))

    async def _torment(self, server: Server, ends: float) -> None:
        while time.monotonic() < ends:
            await asyncio.sleep(self._rng.uniform(0.1, 1.5))
            now = time.monotonic()
            healthy = [
                each
                for each in self._servers
                if each is not server and each.healthy_since + self._overlap < now
            ]
            if not healthy or now >= ends:
                continue
            fault = self._rng.choice(FAULTS)
            self.faults[fault] += 1
            await server.hurt(fault, min(self._rng.uniform(0.3, 6.0), ends - now))
            await server.heal()


async def heal_all(servers: list[Server]) -> None:
    """Make all servers well."""
    await asyncio.gather(*(server.heal() for server in servers))


async def run(port: int, servers: list[Server], options: argparse.Namespace) -> list[str]:
    """Run load and chaos.

    Returns:
        What did not hold.
    """
    outcome = Outcome()
    over = False
    load = Load(port, outcome, lambda: over)
    clients = [asyncio.create_task(load.client(number)) for number in range(options.clients)]
    chaos = Chaos(servers, options.overlap, random.Random(options.seed))
    await chaos.run(options.seconds)
    healed = time.monotonic()
    back: dict[str, float] = {}
    while time.monotonic() < healed + options.recovery and len(back) < len(servers):
        await asyncio.sleep(0.05)
        for server in servers:
            served = outcome.served.get(server.name, 0.0)
            if served > healed and server.name not in back:
                back[server.name] = served - healed
    over = True
    await asyncio.gather(*clients)
    return tell(outcome, chaos, back, servers)


def tell(
    outcome: Outcome, chaos: Chaos, back: dict[str, float], servers: list[Server]
) -> list[str]:
    """Print what happened, and give what did not hold."""
    times = sorted(outcome.seconds)
    print(f"requests {dict(outcome.requests)}, faults {dict(chaos.faults)}")
    print(
        f"seconds of an idempotent request: median {times[len(times) // 2]:.4f}, "
        f"99% {times[len(times) * 99 // 100]:.3f}, longest {times[-1]:.3f}"
    )
    print(f"POSTs that failed, which they may: {outcome.posts_failed}")
    in_use = ", ".join(f"{name} {seconds:.2f}" for name, seconds in sorted(back.items()))
    print(f"seconds until each server was in use again: {in_use}")
    problems = [f"failed: {each}" for each in outcome.failures]
    gone = [server.name for server in servers if server.name not in back]
    problems += [f"not in use again: {name}" for name in gone]
    return problems


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    made.add_argument("--seconds", type=float, default=60.0, help="of chaos (60)")
    made.add_argument("--clients", type=int, default=64, help="at a time (64)")
    made.add_argument("--servers", type=int, default=5, help="behind the proxy (5)")
    made.add_argument("--retries", type=int, default=8, help="of the pool (8)")
    made.add_argument("--overlap", type=float, default=0.5, help="of healthy servers (0.5 s)")
    made.add_argument("--recovery", type=float, default=10.0, help="seconds allowed (10)")
    made.add_argument("--seed", type=int, default=None, help="of chance")
    made.add_argument("--keep", type=Path, metavar="DIR", help="where logs are kept")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for.

    Returns:
        The exit status: 0 when everything held.
    """
    options = parser().parse_args(arguments)
    if options.seed is None:
        options.seed = random.randrange(1_000_000)
    print(f"seed {options.seed}")
    with ExitStack() as stack:
        directory = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        directory.mkdir(exist_ok=True)
        servers = [Server(f"s{number}", directory) for number in range(options.servers)]
        for server in servers:
            stack.callback(server.stop)
            server.fault = "killed"  # which healing starts
        asyncio.run(heal_all(servers))
        port = free_port()
        urls = ", ".join(f'"http://127.0.0.1:{server.port}"' for server in servers)
        text = CONFIGURATION.format(servers=urls, retries=options.retries, port=port)
        stack.enter_context(Proxy.serving(directory, text, port))
        problems = asyncio.run(run(port, servers, options))
        posts = Counter((directory / "posts").read_text().split())
    problems += [f"carried out twice: POST {each}" for each, times in posts.items() if times > 1]
    for problem in problems[:50]:
        print(problem)
    print(f"{len(problems)} problems" if problems else "it held")
    return 1 if problems else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(ROOT))
    sys.exit(main())
