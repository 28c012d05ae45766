"""``proxykit purge``, ``cache`` and ``warm``: the caches of a running instance."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from .instance import (
    Instance,
    NoAnswer,
    add_options,
    print_json,
    print_table,
    printable,
    run,
    segment,
)

# How many URLs the API takes at a time.
_MOST_URLS = 10_000
_POLL_SECONDS = 0.2


def add_to(commands: Any) -> None:
    """Add the commands; see ``commands.configurations``."""
    purge = commands.add_parser("purge", help="have a cache forget responses, or make them stale")
    purge.add_argument("cache")
    what = purge.add_mutually_exclusive_group(required=True)
    what.add_argument("--url", help="what is stored for this URL, all its variants")
    what.add_argument("--prefix", metavar="URL", help="for all URLs that begin so")
    what.add_argument("--tag", help="all that carries this tag")
    what.add_argument("--all", action="store_true", help="everything")
    purge.add_argument("--soft", action="store_true", help="only make it stale")
    purge.set_defaults(run=run(_purge))
    cache = commands.add_parser("cache", help="see and switch caches").add_subparsers(required=True)
    stats = cache.add_parser("stats", help="sum up")
    stats.add_argument("cache", nargs="?", help="only this one")
    stats.set_defaults(run=run(_stats))
    listing = cache.add_parser("ls", help="list what is stored")
    listing.add_argument("cache")
    listing.add_argument("prefix", nargs="?", help="only for URLs that begin so")
    listing.add_argument("--limit", type=int, default=100, help="no more than so many URLs: 100")
    listing.set_defaults(run=run(_list))
    show = cache.add_parser("show", help="show what is stored for a URL")
    show.add_argument("cache")
    show.add_argument("url")
    show.set_defaults(run=run(_show))
    offline = cache.add_parser("offline", help="answer with what is stored, however stale")
    offline.add_argument("cache")
    offline.add_argument("--undo", action="store_true", help="ask servers again")
    offline.set_defaults(run=run(_offline))
    warm = commands.add_parser("warm", help="ask for a list of URLs, so that a cache holds them")
    warm.add_argument("file", type=Path, help="a URL a line; - is standard input")
    warm.add_argument("--listener", metavar="NAME", help="which one, if there are several")
    warm.add_argument("--cache", metavar="NAME", help="the listener that uses this cache")
    warm.add_argument("--header", action="append", default=[], help='"Name: value"; repeats')
    warm.add_argument("--concurrency", type=int, default=4, help="so many at a time: 4")
    warm.set_defaults(run=run(_warm))
    for parser in (purge, stats, listing, show, offline, warm):
        add_options(parser)


def _purge(chosen: argparse.Namespace, instance: Instance) -> None:
    content = {"soft": chosen.soft, "all": chosen.all}
    for name in ("url", "prefix", "tag"):
        if (value := getattr(chosen, name)) is not None:
            content[name] = value
    answer = instance.post(f"caches/{segment(chosen.cache)}/purge", content)
    if chosen.json:
        print_json(answer)
    else:
        print(f"{answer['purged']} {'made stale' if answer['soft'] else 'purged'}")


def _stats(chosen: argparse.Namespace, instance: Instance) -> None:
    caches = instance.get("caches")["caches"]
    if chosen.cache is not None:
        caches = [cache for cache in caches if cache["name"] == chosen.cache]
        if not caches:
            raise NoAnswer(f"there is no cache {chosen.cache}")
    if chosen.json:
        print_json({"caches": caches})
        return
    rows = []
    for cache in caches:
        results = cache["results"]
        asked = sum(n for name, n in results.items() if name != "bypass")
        hits = sum(results.get(name, 0) for name in ("hit", "stale", "revalidated", "collapsed"))
        name = cache["name"] + (" (offline)" if cache["offline"] else "")
        rows.append(
            (
                name, cache["entries"], cache["bytes"], cache["limit"], cache["evicted"],
                cache["stored"], results.get("hit", 0), results.get("stale", 0),
                results.get("revalidated", 0), results.get("collapsed", 0),
                results.get("miss", 0), results.get("bypass", 0),
                round(100 * hits / asked, 1) if asked else None,
            )
        )  # fmt: skip
    heads = (
        "CACHE", "ENTRIES", "BYTES", "LIMIT", "EVICTED", "STORED", "HIT", "STALE", "REVALIDATED",
        "COLLAPSED", "MISS", "BYPASS", "SPARED %",
    )  # fmt: skip
    print_table(heads, rows)


def _list(chosen: argparse.Namespace, instance: Instance) -> None:
    path = f"caches/{segment(chosen.cache)}/entries"
    answer = instance.get(path, prefix=chosen.prefix, limit=chosen.limit)
    if chosen.json:
        print_json(answer)
        return
    print_table(
        ("STATUS", "SIZE", "AGE", "TTL", "URL"),
        [
            (each["status"], each["size"], int(each["age"]), int(each["ttl"]), _named(each))
            for each in answer["entries"]
        ],
    )
    if answer["more"]:
        print("there is more: --limit, or a longer prefix", file=sys.stderr)


def _named(entry: Any) -> str:
    return " ".join([entry["url"], *(f"[{part}]" for part in entry["key"])])


def _show(chosen: argparse.Namespace, instance: Instance) -> None:
    answer = instance.get(f"caches/{segment(chosen.cache)}/entry", url=chosen.url)
    if chosen.json:
        print_json(answer)
        return
    for index, entry in enumerate(answer["entries"]):
        if index:
            print()
        ttl = entry["ttl"]
        left = f"fresh for {ttl:.0f} s" if ttl > 0 else f"stale for {-ttl:.0f} s"
        print(printable(_named(entry)), f"({printable(entry['namespace'])})")
        print(f"status {entry['status']}, {entry['size']} bytes, {entry['age']:.0f} s old, {left}")
        if entry["tags"]:
            print("tags:", printable(", ".join(entry["tags"])))
        for name, value in entry["vary"].items():
            print(printable(f"varies by {name}: {'(not sent)' if value is None else value}"))
        for name, value in entry["fields"]:
            print(printable(f"  {name}: {value}"))


def _offline(chosen: argparse.Namespace, instance: Instance) -> None:
    content = {"offline": not chosen.undo}
    answer = instance.post(f"caches/{segment(chosen.cache)}/offline", content)
    if chosen.json:
        print_json(answer)
    else:
        print(f"{printable(answer['cache'])} is {'offline' if answer['offline'] else 'online'}")


def _warm(chosen: argparse.Namespace, instance: Instance) -> int:
    urls = _urls(chosen.file)
    headers = {}
    for line in chosen.header:
        name, colon, value = line.partition(":")
        if not colon:
            raise NoAnswer(f'--header takes "Name: value", got {line!r}')
        headers[name.strip()] = value.strip()
    failed = 0
    answers = []
    for start in range(0, len(urls), _MOST_URLS):
        content = {"urls": urls[start : start + _MOST_URLS], "headers": headers}
        content |= {"concurrency": chosen.concurrency}
        content |= {"listener": chosen.listener} if chosen.listener else {}
        content |= {"cache": chosen.cache} if chosen.cache else {}
        answers.append(_wait(instance, instance.post("warm", content)))
        failed += answers[-1]["failed"]
        if not chosen.json:
            _say(answers[-1])
    if chosen.json:
        print_json({"warmed": answers})
    return 1 if failed else 0


def _urls(file: Path) -> list[str]:
    """Read the list: a URL a line; what begins with # and what is empty is none."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NoAnswer(f"{file} cannot be read: {error}") from error
    lines = [line.strip() for line in text.splitlines()]
    urls = [line for line in lines if line and not line.startswith("#")]
    if not urls:
        raise NoAnswer(f"{file} holds no URL")
    return urls


def _wait(instance: Instance, status: Any) -> Any:
    """Wait until a warm-up is over, and say how it goes where somebody watches."""
    watched = sys.stderr.isatty()
    while status["running"]:
        if watched:
            print(f"\r{status['done']} of {status['total']} ", end="", file=sys.stderr, flush=True)
        time.sleep(_POLL_SECONDS)
        status = instance.get(f"warm/{status['id']}")
    if watched:
        print("\r", end="", file=sys.stderr)
    return status


def _say(status: Any) -> None:
    results = ", ".join(f"{name} {n}" for name, n in sorted(status["results"].items()))
    print(
        f"{status['done']} URLs through {printable(status['listener'])}, "
        f"{status['bytes']} bytes: {printable(results)}"
    )
    for url, why in status["failures"]:
        print(printable(f"failed: {url}: {why}"), file=sys.stderr)
