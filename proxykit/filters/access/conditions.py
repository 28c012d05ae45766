"""Conditions compiled across rules: one look-up a kind of condition, however many rules there are.

A set of rules is a number whose bit n stands for rule n. Each kind of condition has a table or a
remembered answer that says, for what an exchange has, which rules' conditions of that kind match.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from ...engine.exchange import Exchange
from ...message.domain import domain_glob
from ...message.pattern import Pattern
from .options import WEEKDAYS, Rule, is_list, minutes
from .tables import Condition, InLists, Lists, bits_of, rules_by
from .urls import path_condition, url_condition

# Clients, hosts and users come again and again; to look one up anew costs some microseconds.
_REMEMBERED = 4096


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
        found.append(path_condition(entries))
    if entries := having("url"):
        found.append(url_condition(entries, lists))
    return found


# --- networks ---------------------------------------------------------------------------------


class Networks:
    """Which rules' networks an address lies in."""

    def __init__(self, entries: Sequence[tuple[int, Any]], condition: str, lists: Lists) -> None:
        """Compile networks; entries that name lists look there."""
        self.rules = bits_of(entries)
        self._in_lists = InLists(entries, condition, lists)
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
        "client",
        bits_of(entries),
        lambda exchange: known(exchange.client_address),
        known.cache_clear,
    )


# --- names ------------------------------------------------------------------------------------


def _user(entries: Sequence[tuple[int, Any]], lists: Lists) -> Condition:
    table = rules_by(entries)
    anybody = table.get("*", 0)
    in_lists = InLists(entries, "user", lists)

    @lru_cache(maxsize=_REMEMBERED)
    def known(user: str) -> int:
        return table.get(user, 0) | anybody | in_lists.rules(user) if user else 0

    return Condition(
        "user", bits_of(entries), lambda exchange: known(exchange.user), known.cache_clear
    )


def _group(entries: Sequence[tuple[int, Any]], lists: Lists) -> Condition:
    table = rules_by(entries)
    in_lists = InLists(entries, "group", lists)

    @lru_cache(maxsize=_REMEMBERED)
    def known(groups: frozenset[str]) -> int:
        found = 0
        for group in groups:
            found |= table.get(group, 0) | in_lists.rules(group)
        return found

    return Condition(
        "group", bits_of(entries), lambda exchange: known(exchange.groups), known.cache_clear
    )


def _domain(entries: Sequence[tuple[int, Any]], lists: Lists) -> Condition:
    exact: list[tuple[int, str]] = []
    below: list[tuple[int, str]] = []
    globs: list[tuple[int, Pattern]] = []
    everything = 0
    for bit, text in entries:
        if is_list(text):
            continue
        name = text.removeprefix("*.").removeprefix(".")
        if text == "*":
            everything |= bit
        elif "*" in name:
            globs.append((bit, domain_glob(text)))
        else:
            if not text.startswith("*."):
                exact.append((bit, name))
            if name != text:
                below.append((bit, name))
    exactly, belows = rules_by(exact), rules_by(below)
    in_lists = InLists(entries, "domain", lists)

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
            if glob.search(host):
                found |= bit
        return found

    return Condition(
        "domain", bits_of(entries), lambda exchange: known(exchange.host), known.cache_clear
    )


# --- what needs no table ----------------------------------------------------------------------


def _method(entries: Sequence[tuple[int, Any]]) -> Condition:
    table = rules_by((bit, method.upper().encode("ascii", "replace")) for bit, method in entries)
    return Condition(
        "method", bits_of(entries), lambda exchange: table.get(exchange.request.method, 0)
    )


def _port(entries: Sequence[tuple[int, Any]]) -> Condition:
    table = rules_by(entries)
    return Condition("port", bits_of(entries), lambda exchange: table.get(exchange.port, 0))


def _weekdays(entries: Sequence[tuple[int, Any]], now: Callable[[], float]) -> Condition:
    days = [0] * 7
    for bit, text in entries:
        first, _, last = text.partition("-")
        start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
        for day in range(start, (end if end >= start else end + 7) + 1):
            days[day % 7] |= bit
    return Condition(
        "weekdays", bits_of(entries), _in_minute(now, lambda local: days[local.tm_wday])
    )


def _time(entries: Sequence[tuple[int, Any]], now: Callable[[], float]) -> Condition:
    spans = [(bit, *minutes(text)) for bit, text in entries]

    def at(local: clock.struct_time) -> int:
        minute = local.tm_hour * 60 + local.tm_min
        found = 0
        for bit, start, end in spans:
            if start <= minute < end if start < end else minute >= start or minute < end:
                found |= bit
        return found

    return Condition("time", bits_of(entries), _in_minute(now, at))


def _in_minute(
    now: Callable[[], float], at: Callable[[clock.struct_time], int]
) -> Callable[[Exchange], int]:
    """Ask once a minute: no clock on earth changes its minutes in between."""

    @lru_cache(maxsize=2)
    def known(minute: float) -> int:
        return at(clock.localtime(minute * 60))

    return lambda exchange: known(now() // 60)
