"""Conditions compiled across rules: one look-up a kind of condition, however many rules there are.

A set of rules is a number whose bit n stands for rule n. Each kind of condition has a table or a
remembered answer that says, for what an exchange has, which rules' conditions of that kind match.
"""

from __future__ import annotations

import re
import time as clock
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from attrs import frozen

from ...engine.exchange import Exchange
from ...lists.entries import ENTRY_FINDERS
from ...lists.watched import WatchedList
from ...message.path import normalised_path
from ...message.pattern import Pattern
from .options import LIST_KINDS, WEEKDAYS, Rule, is_list, minutes

# Clients, hosts and users come again and again; to look one up anew costs some microseconds.
_REMEMBERED = 4096
_MOST_TOGETHER = 300  # instructions of expressions that are tried as one

Lists = Mapping[tuple[str, str], WatchedList]
"""Lists by their names and their kinds."""

Steps = Generator[None, None, int]


@frozen(slots=True, eq=False)
class Condition:
    """One kind of condition of all rules.

    :ivar name: the rules' key for it.
    :ivar rules: those that have it.
    :ivar matched: gives those of them whose condition an exchange matches.
    :ivar forget: called when a list has changed.
    :ivar steps: the same as ``matched``, to be put off after each step; for what may take long.
    :ivar instructions: the size of its regular expressions together.
    """

    name: str
    rules: int
    matched: Callable[[Exchange], int]
    forget: Callable[[], None] = lambda: None
    steps: Callable[[Exchange], Steps] | None = None
    instructions: int = 0


def compile_conditions(
    rules: Sequence[Rule], lists: Lists, now: Callable[[], float]
) -> list[Condition]:
    """Compile the conditions of requests, the cheapest first.

    :param now: the wall clock, in seconds since 1970.
    """

    def having(name: str) -> list[tuple[int, Any]]:
        """Give the pairs of a rule's bit and a value of a condition."""
        return [(1 << n, value) for n, rule in enumerate(rules) for value in getattr(rule, name)]

    found: list[Condition] = []
    if entries := having("method"):
        found.append(_method(entries))
    if entries := having("port"):
        found.append(_port(entries))
    if entries := having("client"):
        found.append(_client(entries, lists))
    if entries := having("user"):
        found.append(_user(entries, lists))
    if entries := having("group"):
        found.append(_group(entries, lists))
    if entries := having("domain"):
        found.append(_domain(entries, lists))
    if entries := having("weekdays"):
        found.append(_weekdays(entries, now))
    if entries := having("time"):
        found.append(_time(entries, now))
    if entries := having("path"):
        found.append(_path(entries))
    if entries := having("url"):
        found.append(_url(entries, lists))
    return found


def _bits(entries: Iterable[tuple[int, Any]]) -> int:
    bits = 0
    for bit, _ in entries:
        bits |= bit
    return bits


def _table(entries: Iterable[tuple[int, Any]]) -> dict[Any, int]:
    table: dict[Any, int] = {}
    for bit, key in entries:
        table[key] = table.get(key, 0) | bit
    return table


class _InLists:
    """Which rules name a list that has a value in it."""

    def __init__(self, entries: Iterable[tuple[int, Any]], condition: str, lists: Lists) -> None:
        kind = LIST_KINDS[condition]
        self._find = ENTRY_FINDERS[kind]
        named = [(bit, value[1:]) for bit, value in entries if is_list(value)]
        self._lists = tuple((mask, lists[name, kind]) for name, mask in _table(named).items())

    def rules(self, value: str) -> int:
        found = 0
        for bits, each in self._lists:
            if each.table is not None and self._find(each.table, value):
                found |= bits
        return found


# --- networks ---------------------------------------------------------------------------------


class Networks:
    """Which rules' networks an address lies in."""

    def __init__(self, entries: Sequence[tuple[int, Any]], condition: str, lists: Lists) -> None:
        """Compile networks; entries that name lists look there."""
        self.rules = _bits(entries)
        self._in_lists = _InLists(entries, condition, lists)
        self._prefixes: dict[tuple[int, int], dict[int, int]] = {}
        for bit, network in entries:
            if is_list(network):
                continue
            host_bits = network.max_prefixlen - network.prefixlen
            tables = self._prefixes.setdefault((network.version, host_bits), {})
            key = int(network.network_address) >> host_bits
            tables[key] = tables.get(key, 0) | bit

    def matched(self, address: str) -> int:
        """Give the rules with a network that holds an address; an IPv4-mapped one is IPv4.

        :param address: anything that is no address (a UNIX socket's ``""``) lies in none.
        """
        try:
            parsed: IPv4Address | IPv6Address = ip_address(address)
        except ValueError:
            return 0
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        number, version = int(parsed), parsed.version
        found = self._in_lists.rules(address)
        for (each, host_bits), networks in self._prefixes.items():
            if each == version:
                found |= networks.get(number >> host_bits, 0)
        return found


def _client(entries: Sequence[tuple[int, Any]], lists: Lists) -> Condition:
    known = lru_cache(maxsize=_REMEMBERED)(Networks(entries, "client", lists).matched)
    return Condition(
        "client", _bits(entries), lambda exchange: known(exchange.client_address), known.cache_clear
    )


# --- names ------------------------------------------------------------------------------------


def _user(entries: Sequence[tuple[int, Any]], lists: Lists) -> Condition:
    table = _table(entries)
    anybody = table.get("*", 0)
    in_lists = _InLists(entries, "user", lists)

    @lru_cache(maxsize=_REMEMBERED)
    def known(user: str) -> int:
        return table.get(user, 0) | anybody | in_lists.rules(user) if user else 0

    return Condition(
        "user", _bits(entries), lambda exchange: known(exchange.user), known.cache_clear
    )


def _group(entries: Sequence[tuple[int, Any]], lists: Lists) -> Condition:
    table = _table(entries)
    in_lists = _InLists(entries, "group", lists)

    @lru_cache(maxsize=_REMEMBERED)
    def known(groups: frozenset[str]) -> int:
        found = 0
        for group in groups:
            found |= table.get(group, 0) | in_lists.rules(group)
        return found

    return Condition(
        "group", _bits(entries), lambda exchange: known(exchange.groups), known.cache_clear
    )


def _domain(entries: Sequence[tuple[int, Any]], lists: Lists) -> Condition:
    exact: list[tuple[int, str]] = []
    below: list[tuple[int, str]] = []
    globs: list[tuple[int, re.Pattern[str]]] = []
    everything = 0
    for bit, text in entries:
        if is_list(text):
            continue
        name = text.removeprefix("*.").removeprefix(".")
        if text == "*":
            everything |= bit
        elif "*" in name:
            globs.append((bit, re.compile(_glob(text))))
        else:
            if not text.startswith("*."):
                exact.append((bit, name))
            if name != text:
                below.append((bit, name))
    exactly, belows = _table(exact), _table(below)
    in_lists = _InLists(entries, "domain", lists)

    @lru_cache(maxsize=_REMEMBERED)
    def known(host: str) -> int:
        # A name with a dot at its end is the same name to a resolver.
        host = host.rstrip(".")
        found = everything | exactly.get(host, 0) | in_lists.rules(host)
        at = host.find(".") if belows else -1
        while at >= 0:
            found |= belows.get(host[at + 1 :], 0)
            at = host.find(".", at + 1)
        for bit, glob in globs:
            if glob.fullmatch(host):
                found |= bit
        return found

    return Condition(
        "domain", _bits(entries), lambda exchange: known(exchange.host), known.cache_clear
    )


def _glob(pattern: str) -> str:
    """Write a domain with asterisks inside as an expression; each is any text without a dot."""
    prefix = ""
    if pattern.startswith("."):
        prefix, pattern = r"(?:.+\.)?", pattern[1:]
    elif pattern.startswith("*."):
        prefix, pattern = r".+\.", pattern[2:]
    return prefix + re.escape(pattern).replace(r"\*", "[^.]*")


# --- what needs no table ----------------------------------------------------------------------


def _method(entries: Sequence[tuple[int, Any]]) -> Condition:
    table = _table((bit, method.upper().encode("ascii", "replace")) for bit, method in entries)
    return Condition(
        "method", _bits(entries), lambda exchange: table.get(exchange.request.method, 0)
    )


def _port(entries: Sequence[tuple[int, Any]]) -> Condition:
    table = _table(entries)
    return Condition("port", _bits(entries), lambda exchange: table.get(exchange.port, 0))


def _weekdays(entries: Sequence[tuple[int, Any]], now: Callable[[], float]) -> Condition:
    days = [0] * 7
    for bit, text in entries:
        first, _, last = text.partition("-")
        start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
        for day in range(start, (end if end >= start else end + 7) + 1):
            days[day % 7] |= bit
    return Condition("weekdays", _bits(entries), _in_minute(now, lambda local: days[local.tm_wday]))


def _time(entries: Sequence[tuple[int, Any]], now: Callable[[], float]) -> Condition:
    spans = [(bit, *minutes(text)) for bit, text in entries]

    def at(local: clock.struct_time) -> int:
        minute = local.tm_hour * 60 + local.tm_min
        found = 0
        for bit, start, end in spans:
            if start <= minute < end if start < end else minute >= start or minute < end:
                found |= bit
        return found

    return Condition("time", _bits(entries), _in_minute(now, at))


def _in_minute(
    now: Callable[[], float], at: Callable[[clock.struct_time], int]
) -> Callable[[Exchange], int]:
    """Ask once a minute: no clock on earth changes its minutes in between."""

    @lru_cache(maxsize=2)
    def known(minute: float) -> int:
        return at(clock.localtime(minute * 60))

    return lambda exchange: known(now() // 60)


# --- paths and URLs ---------------------------------------------------------------------------


class _Expressions:
    """Regular expressions of rules; those that do not match are tried many at once."""

    def __init__(self, entries: Iterable[tuple[int, str]]) -> None:
        self._groups: list[tuple[Pattern | None, list[tuple[int, Pattern]]]] = []
        together: list[tuple[int, Pattern]] = []
        size = 0
        for text, bits in _table(entries).items():
            pattern = Pattern.of(text)
            if together and size + pattern.instructions > _MOST_TOGETHER:
                self._add(together)
                together, size = [], 0
            together.append((bits, pattern))
            size += pattern.instructions
        if together:
            self._add(together)
        self.instructions = 2 * sum(
            each.instructions for _, group in self._groups for _, each in group
        )

    def _add(self, group: list[tuple[int, Pattern]]) -> None:
        combined = None
        if len(group) > 1:
            text = "|".join(f"(?:{pattern.text})" for _, pattern in group)
            combined = Pattern.of(text, most_instructions=2 * _MOST_TOGETHER)
        self._groups.append((combined, group))

    def steps(self, text: str) -> Steps:
        """Give the rules of which an expression matches a text."""
        found = 0
        for combined, group in self._groups:
            if combined is not None:
                yield
                if not combined.search(text):
                    continue
            for bits, pattern in group:
                yield
                if pattern.search(text):
                    found |= bits
        return found


def _finished(steps: Steps) -> int:
    try:
        while True:
            next(steps)
    except StopIteration as end:
        found: int = end.value
        return found


def _path(entries: Sequence[tuple[int, Any]]) -> Condition:
    exact = _table((bit, text[1:].strip()) for bit, text in entries if text.startswith("="))
    prefixes = _table((bit, text) for bit, text in entries if text.startswith("/"))
    root = prefixes.pop("/", 0)
    # Most paths begin with a segment that no rule's does.
    first_segments = frozenset("/" + text.split("/")[1] for text in prefixes)
    # As many segments as any prefix has, and the one behind.
    depth = max((text.count("/") + 1 for text in prefixes), default=0)
    expressions = _Expressions((b, text[1:].strip()) for b, text in entries if text[0] == "~")

    def in_tables(path: str) -> int:
        found = exact.get(path, 0) | (root if path[:1] == "/" else 0)
        end = path.find("/", 1)
        if (path if end < 0 else path[:end]) not in first_segments:
            return found
        # A prefix ends where a segment does: behind a slash, before one, or at the end.
        found |= prefixes.get(path, 0)
        left, at = depth, end
        while left and at >= 0:
            found |= prefixes.get(path[:at], 0) | prefixes.get(path[: at + 1], 0)
            left, at = left - 1, path.find("/", at + 1)
        return found

    def matched(exchange: Exchange) -> int:
        request = exchange.request
        # Nobody can see a path inside a tunnel.
        return 0 if request.method == b"CONNECT" else in_tables(normalised_path(request.path))

    def steps(exchange: Exchange) -> Steps:
        if exchange.request.method == b"CONNECT":
            return 0
        path = normalised_path(exchange.request.path)
        found = yield from expressions.steps(path)
        return found | in_tables(path)

    if not expressions.instructions:
        return Condition("path", _bits(entries), matched)
    return Condition(
        "path",
        _bits(entries),
        lambda exchange: _finished(steps(exchange)),
        steps=steps,
        instructions=expressions.instructions,
    )


def _url(entries: Sequence[tuple[int, Any]], lists: Lists) -> Condition:
    expressions = _Expressions((bit, text) for bit, text in entries if not is_list(text))
    in_lists = _InLists(entries, "url", lists)

    def steps(exchange: Exchange) -> Steps:
        without_scheme = url_of(exchange)
        found = in_lists.rules(without_scheme)
        if expressions.instructions:
            tunnel = exchange.request.method == b"CONNECT"
            text = without_scheme if tunnel else f"{exchange.scheme}://{without_scheme}"
            found |= yield from expressions.steps(text)
        return found

    return Condition(
        "url",
        _bits(entries),
        lambda exchange: _finished(steps(exchange)),
        steps=steps,
        instructions=expressions.instructions,
    )


def url_of(exchange: Exchange) -> str:
    """Give an exchange's URL without its scheme; of a tunnel ``HOST:PORT``."""
    request = exchange.request
    authority = exchange.authority
    if request.method == b"CONNECT":
        return authority.text()
    host = authority.text(443 if exchange.scheme == "https" else 80)
    query = request.query
    path = normalised_path(request.path)
    return f"{host}{path}?{query}" if query else host + path
