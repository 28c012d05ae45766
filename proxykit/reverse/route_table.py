"""The route table: finds the first route that takes a request without trying them all.

Routes are sorted twice when they are compiled. By host: into one bucket for each exact name, one
for each wildcard, and one for the rest (any host, and regular expressions). Within a bucket by
path: by exact path, by prefix, and the rest. A request then looks into the few buckets that can
hold a route for it, and within these at the few groups; a group is in the order written, and
nothing behind the best that was found so far is looked at. Each candidate is asked all of its
conditions, so the sorting only ever saves work: it cannot change an answer
(tests/reverse/test_route_table.py compares it with trying one after the other).

What cannot be sorted is tried in order: regular expressions that do not begin with ``^`` and whole
segments, and routes that differ in fields, query, client or method only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from ..message.path import PathMatch
from .conditions import Conditions, Subject
from .split import Choice

# Below this, trying one after the other costs less than the look-ups.
_FEW = 4


@frozen(slots=True, eq=False)
class Entry:
    """A route in the table.

    :ivar number: its place in the order written; lower is tried earlier.
    """

    number: int
    conditions: Conditions
    choice: Choice


Group = list[Entry]


class RouteTable:
    """Routes, sorted by what they ask for."""

    def __init__(self, routes: Sequence[tuple[Conditions, Choice]]) -> None:
        """Sort routes that are given in the order in which they are to be tried."""
        self._none = Entry(len(routes), Conditions(), None)  # type: ignore[arg-type]
        exact: dict[str, Group] = {}
        wildcards: dict[str, Group] = {}
        rest: Group = []
        for number, (conditions, choice) in enumerate(routes):
            entry = Entry(number, conditions, choice)
            host = conditions.host
            if host is None or host.patterns:
                rest.append(entry)
                continue
            for name in host.exact:
                exact.setdefault(name, []).append(entry)
            for suffix in host.suffixes:
                _append(wildcards, suffix, entry)
        self._exact = {name: _Bucket(group) for name, group in exact.items()}
        self._wildcards = {suffix: _Bucket(group) for suffix, group in wildcards.items()}
        self._rest = _Bucket(rest) if rest else None

    def find(self, subject: Subject) -> Choice | None:
        """Give what the first route that takes a request leads to, ``None`` when none does."""
        best = self._none
        host = subject.host
        bucket = self._exact.get(host)
        if bucket is not None:
            best = bucket.first(subject, best)
        if self._wildcards:
            dot = host.find(".", 1)
            while dot > 0:
                bucket = self._wildcards.get(host[dot:])
                if bucket is not None:
                    best = bucket.first(subject, best)
                dot = host.find(".", dot + 1)
        if self._rest is not None:
            best = self._rest.first(subject, best)
        return None if best is self._none else best.choice


class _Bucket:
    """The routes of one host, sorted by path."""

    __slots__ = ("_deepest", "_exact", "_few", "_prefixes", "_rest")

    def __init__(self, entries: Group) -> None:
        self._few = entries if len(entries) <= _FEW else None
        self._exact: dict[str, Group] = {}
        self._prefixes: dict[str, Group] = {}
        self._rest: Group = []
        self._deepest = 0
        for entry in entries:
            path = entry.conditions.path
            if path is not None and path.exact is not None:
                _append(self._exact, path.exact, entry)
                continue
            prefix = _whole_segments(path)
            if prefix:
                _append(self._prefixes, prefix, entry)
                self._deepest = max(self._deepest, prefix.count("/"))
            else:
                self._rest.append(entry)

    def first(self, subject: Subject, best: Entry) -> Entry:
        """Give the first route here that takes a request and stands before ``best``, or that."""
        if self._few is not None:
            return _first(self._few, subject, best)
        group = self._exact.get(subject.path)
        if group is not None:
            best = _first(group, subject, best)
        if self._prefixes:
            for group in self._below(subject.path):
                best = _first(group, subject, best)
        return _first(self._rest, subject, best)

    def _below(self, path: str) -> Iterator[Group]:
        """Give the groups of the prefixes that end where a segment of the path does."""
        prefixes = self._prefixes
        slash = 0
        for _ in range(self._deepest):
            slash = path.find("/", slash + 1)
            if slash < 0:
                slash = len(path)
            group = prefixes.get(path[:slash])
            if group is not None:
                yield group
            if slash == len(path):
                return


def _first(group: Group, subject: Subject, best: Entry) -> Entry:
    limit = best.number
    for entry in group:
        if entry.number >= limit:
            break
        if entry.conditions.hold(subject):
            return entry
    return best


def _append(groups: dict[str, Group], key: str, entry: Entry) -> None:
    """Put a route into a group once; a host may be written twice."""
    group = groups.setdefault(key, [])
    if not group or group[-1] is not entry:
        group.append(entry)


def _whole_segments(path: PathMatch | None) -> str:
    """Give the segments with which every path begins that matches, ``""`` when that is not known.

    :returns: ``/a/b``, without a slash at its end.
    """
    if path is None:
        return ""
    if path.prefix is not None:
        return path.prefix.rstrip("/")
    # What stands behind the last slash may be a part of a segment only.
    front = path.pattern.front if path.pattern is not None else ""
    return front[: front.rfind("/")] if front.startswith("/") else ""
