"""How often the memory store finds what is asked for, beside the best policies known.

    .venv/bin/python -m benchmarks.cache_trace                     # a tenth of it, half a minute
    .venv/bin/python -m benchmarks.cache_trace --requests 10_000_000 --objects 1_000_000

The trace is a day: each hour has its rate, and requests come in the order in which clients would
send them, drawn by Zipf's law from what is popular in that hour. With ``--drift`` some objects
change their popularity each hour, with ``--scan`` a part of the requests are a crawler's, each for
what is never asked for again.

The store is the real one: it is asked, and written to on a miss, and what it takes of memory is
measured as the process's resident set, not by its own word. The other policies, and Belady's, which
knows the future, are libCacheSim's; they get as many objects as the store had room for.
"""

from __future__ import annotations

import argparse
import gc
import mmap
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import perf_counter, time

import libcachesim
import numpy
from attrs import frozen

from benchmarks.processes import resident_bytes
from proxykit.caching.memory import MemoryStore
from proxykit.caching.policy import Terms
from proxykit.caching.rendering import Rendering
from proxykit.caching.stored import StoredHead
from proxykit.engine.forwarding import Direction, ForwardingRules
from proxykit.http1.limits import HeadLimits
from proxykit.http1.reader import ResponseReader
from proxykit.message.fields import FieldSection
from proxykit.message.response import Response

POLICIES = (
    "WTinyLFU",
    "S3FIFO",
    "Cacheus",
    "ARC",
    "LIRS",
    "Clock2QPlus",
    "SLRU",
    "TwoQ",
    "Sieve",
    "GDSF",
    "LFU",
    "LeCaR",
    "LRU",
)
_SIZE = 1024
_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 21:35:49 GMT\r\nContent-Type: text/html\r\n"
    b'Cache-Control: max-age=3600\r\nETag: "%x"\r\nX-Request-Id: %d\r\n'
    b"Content-Length: 1024\r\n\r\n" + b"x" * _SIZE
)
_ROOM = 3500  # what the store says that one of these responses takes
_HOURS = 24
_LOOKED_AT_EVERY = 10_000  # requests between two looks at the memory


@frozen
class Day:
    """What a trace is like.

    Attributes:
        requests: how many.
        objects: how many there are, those of scans not counted.
        skew: Zipf's exponent; 0 is uniform, the web is at 0.6 to 1.
        drift: the part of the objects whose popularity changes each hour.
        scan: the part of the requests that belongs to scans.
        seed: the same gives the same trace.
    """

    requests: int
    objects: int
    skew: float
    drift: float
    scan: float
    seed: int

    def draw(self) -> numpy.ndarray:
        """Draw the requests: the objects' numbers, in their order."""
        source = numpy.random.default_rng(self.seed)
        weights = numpy.cumsum(1 / numpy.arange(1, self.objects + 1) ** self.skew)
        weights /= weights[-1]
        by_rank = source.permutation(self.objects)
        rates = 1 + 0.6 * numpy.sin((numpy.arange(_HOURS) - 9) / _HOURS * 2 * numpy.pi)
        bounds = numpy.round(numpy.cumsum(rates) / rates.sum() * self.requests).astype(int)
        hours = []
        for count in numpy.diff(bounds, prepend=0):
            hours.append(by_rank[numpy.searchsorted(weights, source.random(count))])
            changed = source.choice(self.objects, int(self.objects * self.drift), replace=False)
            by_rank[changed] = by_rank[source.permutation(changed)]
        names = numpy.concatenate(hours)
        scanned = source.random(len(names)) < self.scan
        names[scanned] = self.objects + numpy.arange(scanned.sum())
        return names


def write_trace(names: numpy.ndarray, path: Path) -> None:
    """Write a trace as libCacheSim reads it, with each request's next one for Belady's policy."""
    rows = numpy.zeros(
        len(names), dtype=[("time", "<u4"), ("name", "<u8"), ("size", "<u4"), ("next", "<i8")]
    )
    order = numpy.argsort(names, kind="stable")
    again = names[order][1:] == names[order][:-1]
    rows["next"] = -1
    rows["next"][order[:-1][again]] = order[1:][again]
    rows["time"] = numpy.linspace(0, _HOURS * 3600 - 1, len(names))
    rows["name"] = names + 1
    rows["size"] = 1
    rows.tofile(path)


def read_trace(path: Path) -> Iterator[int]:
    """Give the objects' numbers of a trace that was written."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        for start in range(0, len(data), 24 * _LOOKED_AT_EVERY):
            rows = numpy.frombuffer(
                data[start : start + 24 * _LOOKED_AT_EVERY],
                dtype=[("time", "<u4"), ("name", "<u8"), ("size", "<u4"), ("next", "<i8")],
            )
            yield from rows["name"].tolist()
            data.madvise(mmap.MADV_DONTNEED)  # or the trace would count as memory of the store


def _receive(name: int) -> tuple[FieldSection, bytes]:
    """Read a response as it would come from a server, so that it takes the memory that it takes."""
    reader = ResponseReader(HeadLimits())
    reader.expect(b"GET")
    reader.feed(_RESPONSE % (name, name))
    response, content = reader.next_event(), reader.next_event()
    assert isinstance(response, Response)
    assert isinstance(content, bytes)
    return response.section, content


@frozen
class StoreRun:
    """What the store did.

    Attributes:
        hits: how many requests it answered.
        held: how many objects it had room for.
        resident: how many bytes more the process took at most.
        seconds: how long it took.
    """

    hits: int
    held: int
    resident: int
    seconds: float


def run_store(path: Path, size: int, *, most: int | None = None) -> StoreRun:
    """Put a trace through a memory store.

    Args:
        path: the trace.
        size: of the store, in bytes.
        most: how many requests of the trace, ``None`` for all.
    """
    store = MemoryStore(size)
    now = time()
    rules = ForwardingRules(Direction.REVERSE, b"proxykit")
    hits = resident = held = 0
    gc.collect()
    before = resident_bytes()
    began = perf_counter()
    for number, name in enumerate(islice(read_trace(path), most)):
        if number % _LOOKED_AT_EVERY == 0:
            resident = max(resident, resident_bytes() - before)
            held = max(held, len(store))
        key = b"site http://www.example.com/object/%d" % name
        found = store.lookup(key)
        if found:
            hits += 1
            if found[0].rendering is None:
                found[0].rendering = Rendering.of(found[0].head, rules, _SIZE)
            found[0].rendering.set_age(found[0].head, now)
            continue
        writer = store.begin(key, _SIZE)
        assert writer is not None
        section, content = _receive(name)
        section = FieldSection(section.fields)  # as a cache stores them
        writer.write(content)
        head = StoredHead(200, b"OK", 1, section, now, 0.0, Terms(3600.0), complete=len(content))
        writer.commit(head, lambda stored: True)
    seconds = perf_counter() - began
    store.close()
    return StoreRun(hits, held, resident, seconds)


def hit_ratio(policy: str, path: Path, capacity: int) -> float:
    """Give the part of a trace's requests that one of libCacheSim's policies answers."""
    cache = getattr(libcachesim, policy)(cache_size=capacity)
    reader = libcachesim.TraceReader(str(path), libcachesim.TraceType.ORACLE_GENERAL_TRACE)
    missed, _ = cache.process_trace(reader)
    return 1 - float(missed)


def main() -> None:
    """Print the store's ratio and memory, then the other policies'."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cache_trace", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--skew", type=float, default=0.8)
    parser.add_argument("--drift", type=float, default=0.0)
    parser.add_argument("--scan", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=9111)
    parser.add_argument(
        "--parts", default="0.01,0.1", help="room, as parts of what all objects would take"
    )
    chosen = parser.parse_args()
    day = Day(chosen.requests, chosen.objects, chosen.skew, chosen.drift, chosen.scan, chosen.seed)
    print(day)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "trace"
        names = day.draw()
        print(f"{len(numpy.unique(names))} objects were asked for")
        write_trace(names, path)
        del names
        run_store(path, 64 * 1024, most=50_000)  # so that what the first run takes is the store's
        for part in map(float, chosen.parts.split(",")):
            compare(path, day, part)


def compare(path: Path, day: Day, part: float) -> None:
    """Compare at one size of the store."""
    size = int(part * day.objects * _ROOM)
    run = run_store(path, size)
    ratio = run.hits / day.requests
    print(
        f"\nstore of {size / 2**20:.0f} MiB, {run.held} objects of 1 KiB: "
        f"{run.resident / 2**20:.0f} MiB resident ({run.resident / size:.0%}), "
        f"{run.seconds / day.requests * 1e6:.1f} µs a request"
    )
    ratios = {name: hit_ratio(name, path, run.held) for name in POLICIES}
    best = max(ratios.values())
    print(f"{'Proxykit':12}{ratio:>8.2%}{ratio - best:>+8.2%}")
    for name, each in sorted(ratios.items(), key=lambda pair: -pair[1]):
        print(f"{name:12}{each:>8.2%}{each - best:>+8.2%}")
    print(f"{'(optimal)':12}{hit_ratio('Belady', path, run.held):>8.2%}")


if __name__ == "__main__":
    main()
