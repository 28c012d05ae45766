"""Kills a proxy under load again and again, and looks at what its store on disk does then.

    python -m benchmarks.kill_disk [--kills 100] [--seconds 1.0] [--workers 2]

Several proxies share one directory, as the workers of a machine do; at a random moment one of them
is killed with SIGKILL and started again. All the while clients ask for objects whose every byte
follows from their name, purge some of them, and compare what they get. It fails when a byte is
wrong, when a proxy does not start, or when the directory grows past its limit.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import lmdb
from attrs import define, field

from demo.proxies import Proxy, ProxyDidNotStart, free_port
from proxykit.caching.disk.changes import RANGE

SIZES = (0, 100, 3000, 9000, 64 * 1024, 200_000, 900_000)
OBJECTS = 400

CONFIGURATION = """
[cache.main]
store = "disk"
directory = "{directory}"
size = {size}
memory = "1MiB"
min_free = 0
[pool.a]
servers = ["http://127.0.0.1:{origin}"]
[log]
access = "access-{port}.log"
[reverse.a]
listen = ["127.0.0.1:{port}"]
[[reverse.a.routes]]
pool = "a"
cache = {{ use = "main", purge_from = ["127.0.0.1"] }}
"""


class Wrong(Exception):
    """The store did what it must not do."""


def content_of(path: str, version: str) -> bytes:
    """Give the only right content of a path: its name and version, over and over, hashed."""
    size = SIZES[int(path.rpartition("/")[2]) % len(SIZES)]
    seed = blake2b(f"{path} {version}".encode("ascii"), digest_size=32).digest()
    return random.Random(seed).randbytes(size)


class _Origin(BaseHTTPRequestHandler):
    """Answers each path with content that says which version it is."""

    protocol_version = "HTTP/1.1"
    versions: Counter[str] = Counter()

    def do_GET(self) -> None:
        """Answer with a version that was never given before."""
        self.versions[self.path] += 1
        version = str(self.versions[self.path])
        body = content_of(self.path, version)
        self.send_response(200)
        self.send_header("Cache-Control", "max-age=3600")
        self.send_header("ETag", f'"{version}"')
        self.send_header("Surrogate-Key", f"tag-{len(body) % 5}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # In two parts, so that some kills come in the middle.
        self.wfile.write(body[: len(body) // 2])
        self.wfile.write(body[len(body) // 2 :])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    """Does not mind proxies that are killed while they talk to it."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


@define(slots=True)
class _Seen:
    """What the clients saw."""

    answers: int = 0
    hits: int = 0
    broken_off: int = 0
    wrong: list[str] = field(factory=list)


class _Client(threading.Thread):
    """Asks, compares, and purges now and then."""

    def __init__(self, ports: list[int], seen: _Seen, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._ports, self._seen, self._stopped = ports, seen, stop
        self._random = random.Random()

    def run(self) -> None:
        """Ask until told to stop."""
        while not self._stopped.is_set():
            # Squared: some are asked for often, most seldom.
            path = f"/object/{int(self._random.random() ** 2 * OBJECTS)}"
            try:
                self._ask(self._random.choice(self._ports), path)
            except (OSError, http.client.HTTPException):
                self._seen.broken_off += 1
                time.sleep(0.005)

    def _ask(self, port: int, path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            chance = self._random.random()
            if chance < 0.01:
                connection.request("PURGE", path)
                connection.getresponse().read()
                return
            if chance < 0.012:
                connection.request("PURGE", "/", headers={"Surrogate-Key": "tag-0"})
                connection.getresponse().read()
                return
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status in (502, 503, 504):
            self._seen.broken_off += 1
            return
        version = (answer.getheader("ETag") or "").strip('"')
        if answer.status != 200 or body != content_of(path, version):
            self._seen.wrong.append(f"{path}: {answer.status}, {len(body)} bytes")
        self._seen.answers += 1
        self._seen.hits += "hit" in (answer.getheader("Cache-Status") or "")


class Killing:
    """Proxies on one directory, a load on them, and their death."""

    def __init__(self, directory: Path, size: int, workers: int) -> None:
        """Prepare; ``run`` does it.

        :param size: the store's limit in bytes.
        """
        self.store = directory / "store"
        self.size = size
        self.seen = _Seen()
        self.slowest_start = 0.0
        self.largest = 0
        self._directory = directory
        self._origin = _Server(("127.0.0.1", 0), _Origin)
        self._proxies = [self._proxy(free_port()) for _ in range(workers)]
        self._last_words: list[str] = []

    def run(self, kills: int, seconds: float, clients: int = 4) -> None:
        """Kill a proxy so many times, one about every so many seconds.

        :raises Wrong: for the first thing that is.
        """
        stop = threading.Event()
        threading.Thread(target=self._origin.serve_forever, daemon=True).start()
        ports = [proxy.port for proxy in self._proxies]
        started: list[Proxy] = []
        crowd = [_Client(ports, self.seen, stop) for _ in range(clients)]
        try:
            for proxy in self._proxies:
                self._start(proxy)
                started.append(proxy)
            for each in crowd:
                each.start()
            for _ in range(kills):
                time.sleep(random.uniform(0.2, 1.8) * seconds)
                proxy = random.choice(self._proxies)
                proxy.process.kill()
                proxy.process.wait()
                self._last_words.append(proxy.output.read_text(errors="replace"))
                self._start(proxy)
                self.check()
        finally:
            stop.set()
            for each in crowd:
                if each.is_alive():
                    each.join(15)
            for proxy in started:
                proxy.stop(20)
            self._origin.shutdown()
            self._origin.server_close()
        self.check()

    def check(self) -> None:
        """Compare what is with what may be.

        :raises Wrong: when it is not right.
        """
        if self.seen.wrong:
            raise Wrong("; ".join(self.seen.wrong[:5]))
        used = bytes_below(self.store)
        self.largest = max(self.largest, used)
        if used > self.size:
            raise Wrong(f"the directory takes {used} bytes, which is more than {self.size}")

    def log(self) -> str:
        """Give all that the proxies said."""
        outputs = [proxy.output for proxy in self._proxies if proxy.output.exists()]
        said = [output.read_text(errors="replace") for output in outputs]
        return "".join([*self._last_words, *said])

    def _proxy(self, port: int) -> Proxy:
        """Give a proxy that does not run yet."""
        configuration = CONFIGURATION.format(
            directory=self.store, size=self.size, origin=self._origin.server_port, port=port
        )
        return Proxy.serving(self._directory, configuration, port)

    def _start(self, proxy: Proxy) -> None:
        began = time.monotonic()
        try:
            proxy.begin().wait_until_it_listens()
        except ProxyDidNotStart as error:
            raise Wrong(f"a proxy did not start\n{str(error)[-2000:]}") from None
        self.slowest_start = max(self.slowest_start, time.monotonic() - began)


def bytes_below(directory: Path) -> int:
    """Give how many bytes a folder's files take of the disk."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def orphans(store: Path) -> list[Path]:
    """Give the files of bodies that a store's index does not know; nobody uses the store.

    What a killed process was writing is known: it stands in ``reserved`` until it is removed.
    """
    with lmdb.open(str(store / "v1/index"), max_dbs=16, map_size=2**40) as environment:
        known = set()
        for table in (b"entries", b"doomed", b"reserved"):
            database = environment.open_db(table)
            with environment.begin(db=database) as transaction:
                for name in transaction.cursor().iternext(values=False):
                    number = int.from_bytes(name, "big")
                    known.update(range(number, number + (RANGE if table == b"reserved" else 1)))
    files = (store / "v1/bodies").glob("*/*")
    return [file for file in files if int(file.name, 16) not in known]


def main() -> int:
    """Run it as a program; give its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1.0, help="between two kills, about")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--size", type=int, default=24 * 1024 * 1024, help="of the store, bytes")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        killing = Killing(Path(name), chosen.size, chosen.workers)
        try:
            killing.run(chosen.kills, chosen.seconds)
        except Wrong as error:
            print(f"WRONG: {error}")
            return 1
        left = len(orphans(killing.store))
        said = re.findall(r"#(?:warn|error|critical)\] .*", killing.log())
        seen = killing.seen
        print(
            f"{chosen.kills} kills: {seen.answers} answers, {seen.hits} of them hits, all right; "
            f"{seen.broken_off} broken off; slowest start {killing.slowest_start:.2f} s; "
            f"at most {killing.largest} of {chosen.size} bytes; {left} files left over"
        )
        for line, count in Counter(re.sub(r"\d+", "N", each) for each in said).items():
            print(f"  said {count} times: {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
