"""Finds those of many URL patterns that match a URL, without trying them all.

Hosts repeat: what of the patterns is decided by the host is remembered for each. To find that,
patterns are kept by the labels at their end, else by a label anywhere in them; few have neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import re2
from attrs import frozen

from .url_pattern import HostPattern, UrlPattern, is_literal

_HOSTS = 4096
_LONGEST_HOST = 253

Entry = tuple[int, UrlPattern]
"""A pattern, and what it is for."""


@frozen(slots=True, eq=False)
class _OfHost:
    """What a host decides.

    :ivar sure: what matches whatever the port and the path.
    :ivar unsure: the rest.
    """

    sure: tuple[int, ...]
    unsure: tuple[Entry, ...]


class UrlIndex:
    """Patterns, each for a number: the place of what it selects."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Index the patterns."""
        self._suffixes: dict[str, list[Entry]] = {}
        self._labels: dict[str, list[Entry]] = {}
        self._others: list[Entry] = []
        everywhere: list[Entry] = []
        paths: list[Entry] = []
        for entry in entries:
            pattern = entry[1]
            if pattern.host.labels:
                self._keep(entry)
            elif pattern.ports is None and pattern.path is not None:
                paths.append(entry)
            else:
                everywhere.append(entry)
        self._everywhere = tuple(everywhere)
        self._paths = _Paths(paths) if paths else None
        self._of_host = lru_cache(maxsize=_HOSTS)(self._found)

    def _keep(self, entry: Entry) -> None:
        host = entry[1].host
        suffix = "" if host.open_right else _literal_end(host)
        literal = next(filter(is_literal, host.labels), None)
        if suffix:
            self._suffixes.setdefault(suffix, []).append(entry)
        elif literal is not None:
            self._labels.setdefault(literal, []).append(entry)
        else:
            self._others.append(entry)

    def matching(self, host: str, port: int, path: bytes) -> tuple[int, ...]:
        """Give the numbers of all patterns that match, each once, from the lowest.

        :param host: in lower case, an IPv6 address without brackets.
        :param path: with the query.
        """
        of_host = self._of_host(host[:_LONGEST_HOST].rstrip("."))
        if not of_host.unsure and self._paths is None:
            return of_host.sure
        found = set(of_host.sure)
        for number, pattern in of_host.unsure:
            if number not in found and _matches_rest(pattern, port, path):
                found.add(number)
        if self._paths is not None:
            found.update(self._paths.matching(path))
        return tuple(sorted(found))

    def _found(self, host: str) -> _OfHost:
        sure: set[int] = set()
        unsure: list[Entry] = []
        for entry in self._everywhere:
            _sort(entry, sure, unsure)
        for entry in self._candidates(host):
            if _host_matches(entry[1], host):
                _sort(entry, sure, unsure)
        return _OfHost(
            tuple(sorted(sure)), tuple(entry for entry in unsure if entry[0] not in sure)
        )

    def _candidates(self, host: str) -> Iterator[Entry]:
        end = host
        while end:
            yield from self._suffixes.get(end, ())
            end = end.partition(".")[2] if ":" not in end else ""
        for label in set(host.split(".")):
            yield from self._labels.get(label, ())
        yield from self._others


def _sort(entry: Entry, sure: set[int], unsure: list[Entry]) -> None:
    number, pattern = entry
    if pattern.ports is None and pattern.path is None:
        sure.add(number)
    else:
        unsure.append(entry)


def _matches_rest(pattern: UrlPattern, port: int, path: bytes) -> bool:
    if pattern.ports is not None and not any(port in each for each in pattern.ports):
        return False
    return pattern.matches_path is None or pattern.matches_path(path)


def _literal_end(host: HostPattern) -> str:
    """Give the labels at a pattern's end that stand for themselves."""
    end: list[str] = []
    for label in reversed(host.labels):
        if not is_literal(label):
            break
        end.append(label)
    return ".".join(reversed(end))


def _host_matches(pattern: UrlPattern, host: str) -> bool:
    if ":" in host:
        return pattern.host.labels == (host,)
    if pattern.matches_host is not None:
        return pattern.matches_host(host.encode("ascii", "replace"))
    wanted, labels = pattern.host.labels, tuple(host.split("."))
    size = len(wanted)
    if pattern.host.open_left and pattern.host.open_right:
        return any(labels[i : i + size] == wanted for i in range(len(labels) - size + 1))
    if pattern.host.open_left:
        return labels[-size:] == wanted
    if pattern.host.open_right:
        return labels[:size] == wanted
    return labels == wanted


class _Paths:
    """Patterns of a path on any host, tried all at once."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        options = re2.Options()
        options.log_errors = False
        options.encoding = re2.Options.Encoding.LATIN1
        options.max_mem = 64 << 20
        self._entries = tuple(entries)
        self._set = re2.Set.SearchSet(options)
        # The first matches everything, so that a search that failed is told from one in vain.
        self._set.Add(b"^")
        for _, pattern in entries:
            self._set.Add((pattern.path or "").encode("latin-1"))
        self._set.Compile()

    def matching(self, path: bytes) -> Iterator[int]:
        """Give the numbers of those that match."""
        found = self._set.Match(path)
        if found:
            for index in found:
                if index:
                    yield self._entries[index - 1][0]
            return
        # RE2 ran out of memory for this set: one by one takes longer and always works.
        for number, pattern in self._entries:
            if pattern.matches_path is not None and pattern.matches_path(path):
                yield number
