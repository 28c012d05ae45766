"""How often each way of forgetting finds what is asked for, on traces of a known shape.

    .venv/bin/python -m benchmarks.cache_trace
    .venv/bin/python -m benchmarks.cache_trace --requests 1000000 --objects 100000 --skew 0.9

Requests are drawn by Zipf's law, optionally with scans between them: runs of objects that are
asked for once and never again, as crawlers do. Each policy may hold a part of the objects' number.
The ratios are of requests; all objects are of one size. ``optimal`` knows the future (Belady).
"""

from __future__ import annotations

import argparse
import random
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import accumulate
from time import perf_counter

from proxykit.caching.eviction import Entry, S3Fifo

Trace = Sequence[int]


def zipf_trace(requests: int, objects: int, skew: float, scan: float, seed: int) -> list[int]:
    """Draw a trace.

    Args:
        requests: how many.
        objects: among how many objects, those of scans not counted.
        skew: Zipf's exponent; 0 is uniform, the web is at 0.6 to 1.
        scan: the part of the requests that belongs to scans.
        seed: the same gives the same trace.
    """
    drawn = random.Random(seed)
    weights = list(accumulate(1 / (rank**skew) for rank in range(1, objects + 1)))
    names = list(range(objects))
    drawn.shuffle(names)
    trace: list[int] = []
    once = objects
    while len(trace) < requests:
        if scan and drawn.random() < scan / 500:
            trace += range(once, once + 500)
            once += 500
        else:
            trace.append(names[bisect_left(weights, drawn.random() * weights[-1])])
    return trace[:requests]


def s3_fifo(trace: Trace, capacity: int) -> int:
    """Proxykit's own: what its memory store runs."""
    queues = S3Fifo(capacity)
    held: dict[int, Entry] = {}
    hits = 0
    for name in trace:
        entry = held.get(name)
        if entry is not None:
            hits += 1
            entry.touch()
            continue
        entry = held[name] = Entry(name.to_bytes(8, "big"), 1)
        queues.add(entry)
        for evicted in queues.evict():
            del held[int.from_bytes(evicted.key, "big")]
    return hits


def lru(trace: Trace, capacity: int) -> int:
    """The least recently used goes."""
    held: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for name in trace:
        if name in held:
            hits += 1
            held.move_to_end(name)
            continue
        held[name] = None
        if len(held) > capacity:
            held.popitem(last=False)
    return hits


def arc(trace: Trace, capacity: int) -> int:
    """ARC (Megiddo and Modha, FAST 2003)."""
    recent: OrderedDict[int, None] = OrderedDict()
    frequent: OrderedDict[int, None] = OrderedDict()
    recent_gone: OrderedDict[int, None] = OrderedDict()
    frequent_gone: OrderedDict[int, None] = OrderedDict()
    target, hits = 0, 0

    def replace(*, was_frequent: bool) -> None:
        if recent and (len(recent) > target or (was_frequent and len(recent) == target)):
            recent_gone[recent.popitem(last=False)[0]] = None
        elif frequent:
            frequent_gone[frequent.popitem(last=False)[0]] = None

    for name in trace:
        if name in recent or name in frequent:
            hits += 1
            recent.pop(name, None)
            frequent.pop(name, None)
        elif name in recent_gone:
            target = min(capacity, target + max(1, len(frequent_gone) // len(recent_gone)))
            replace(was_frequent=False)
            del recent_gone[name]
        elif name in frequent_gone:
            target = max(0, target - max(1, len(recent_gone) // len(frequent_gone)))
            replace(was_frequent=True)
            del frequent_gone[name]
        else:
            if len(recent) + len(recent_gone) == capacity:
                if len(recent) < capacity:
                    recent_gone.popitem(last=False)
                    replace(was_frequent=False)
                else:
                    recent.popitem(last=False)
            else:
                total = len(recent) + len(frequent) + len(recent_gone) + len(frequent_gone)
                if total >= capacity:
                    if total >= 2 * capacity:
                        frequent_gone.popitem(last=False)
                    replace(was_frequent=False)
            recent[name] = None
            continue
        frequent[name] = None
    return hits


def w_tiny_lfu(trace: Trace, capacity: int) -> int:
    """W-TinyLFU (Einziger and others, 2017), with exact counts where it has a sketch."""
    window: OrderedDict[int, None] = OrderedDict()
    probation: OrderedDict[int, None] = OrderedDict()
    protected: OrderedDict[int, None] = OrderedDict()
    most_window = max(1, capacity // 100)
    most_protected = (capacity - most_window) * 8 // 10
    counts: Counter[int] = Counter()
    counted, hits = 0, 0
    for name in trace:
        counts[name] = min(15, counts[name] + 1)
        counted += 1
        if counted >= 10 * capacity:
            counts = Counter({each: half for each, count in counts.items() if (half := count // 2)})
            counted //= 2
        if name in window:
            hits += 1
            window.move_to_end(name)
        elif name in protected:
            hits += 1
            protected.move_to_end(name)
        elif name in probation:
            hits += 1
            del probation[name]
            protected[name] = None
            if len(protected) > most_protected:
                probation[protected.popitem(last=False)[0]] = None
        else:
            window[name] = None
            if len(window) > most_window:
                candidate = window.popitem(last=False)[0]
                if len(probation) + len(protected) < capacity - most_window:
                    probation[candidate] = None
                else:
                    victim = next(iter(probation))
                    if counts[candidate] > counts[victim]:
                        del probation[victim]
                        probation[candidate] = None
    return hits


def optimal(trace: Trace, capacity: int) -> int:
    """What is asked for last of all goes: no policy can do better."""
    never = len(trace)
    next_use = [never] * len(trace)
    seen: dict[int, int] = {}
    for position in range(len(trace) - 1, -1, -1):
        next_use[position] = seen.get(trace[position], never)
        seen[trace[position]] = position
    held: dict[int, int] = {}
    farthest: list[tuple[int, int]] = []
    hits = 0
    for position, name in enumerate(trace):
        hits += name in held
        held[name] = next_use[position]
        heappush(farthest, (-next_use[position], name))
        while len(held) > capacity:
            use, victim = heappop(farthest)
            if held.get(victim) == -use:
                del held[victim]
    return hits


POLICIES: dict[str, Callable[[Trace, int], int]] = {
    "s3-fifo": s3_fifo,
    "w-tinylfu": w_tiny_lfu,
    "arc": arc,
    "lru": lru,
    "optimal": optimal,
}


def main() -> None:
    """Print a table: policies down, sizes across."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cache_trace", description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--skew", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=9111)
    chosen = parser.parse_args()
    sizes = [0.001, 0.01, 0.05, 0.1, 0.25]
    for scan in (0.0, 0.25):
        trace = zipf_trace(chosen.requests, chosen.objects, chosen.skew, scan, chosen.seed)
        print(
            f"{chosen.requests} requests, {chosen.objects} objects, Zipf {chosen.skew}, "
            f"{scan:.0%} of the requests in scans; ratio of hits by size of the cache"
        )
        print(f"{'':12}" + "".join(f"{size:>9.1%}" for size in sizes) + "   µs a request")
        for name, policy in POLICIES.items():
            began = perf_counter()
            hits = [policy(trace, max(2, int(chosen.objects * size))) for size in sizes]
            spent = (perf_counter() - began) / len(sizes) / len(trace)
            ratios = "".join(f"{each / len(trace):>9.1%}" for each in hits)
            print(f"{name:12}{ratios}{spent * 1e6:>11.2f}")


if __name__ == "__main__":
    main()
