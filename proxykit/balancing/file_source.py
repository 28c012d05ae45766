"""Servers out of a file that is watched."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from ..interfaces import IServerSource
from .sources import MOST_SERVERS, Found, FoundServer

_log = Logger()

_LOOK_SECONDS = 1.0
_MOST_BYTES = 1024 * 1024


@implementer(IServerSource)
class FileSource:
    """Reads a file when it has changed; what makes no sense in it changes nothing.

    A file that ends in ``.toml`` has a list ``servers``, one that ends in ``.json`` is a list or
    has one by that name. Any other has a URL a line, behind it ``weight=N`` and ``backup``, and
    comments from ``#`` on. Replace it by renaming another over it, for one that is written in
    place may be read half-way.
    """

    def __init__(
        self, path: Path, pool: str, clock: Any, parse: Callable[[object], FoundServer]
    ) -> None:
        """Make a source that has not looked yet.

        :param pool: for the log.
        :param clock: an ``IReactorTime``.
        :param parse: makes a server out of a URL or a mapping, or raises ``ValueError``.
        """
        self._path = path
        self._pool = pool
        self._clock = clock
        self._parse = parse
        self._found: Found | None = None
        self._seen: object = None
        self._servers: list[FoundServer] | None = None
        self._call: IDelayedCall | None = None

    def start(self, found: Found) -> None:
        """See ``IServerSource``."""
        self._found = found
        self._look()

    def stop(self) -> None:
        """See ``IServerSource``."""
        self._found = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = self._clock.callLater(_LOOK_SECONDS, self._look)
        try:
            status = self._path.stat()
            state: object = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError as error:
            state = error.errno
        if state == self._seen:
            return
        self._seen = state
        try:
            servers = self._read()
        except (OSError, ValueError, RecursionError) as error:
            _log.error(
                "{path} changes nothing in the pool {pool}: {error}",
                path=self._path,
                pool=self._pool,
                error=error,
            )
            return
        if servers != self._servers and self._found is not None:
            self._servers = servers
            self._found(servers)

    def _read(self) -> list[FoundServer]:
        with self._path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ValueError("it is larger than 1 MiB")
        entries = _entries(self._path.suffix.lower(), data.decode("utf-8"))
        if not entries:
            raise ValueError("it names no server")
        if len(entries) > MOST_SERVERS:
            raise ValueError(f"it names more than {MOST_SERVERS} servers")
        servers = []
        for number, entry in enumerate(entries, 1):
            try:
                servers.append(self._parse(entry))
            except ValueError as error:
                raise ValueError(f"server {number}: {error}") from error
        if len({each.url for each in servers}) < len(servers):
            raise ValueError("it names a server twice")
        return servers


def _entries(suffix: str, text: str) -> list[object]:
    if suffix not in (".toml", ".json"):
        return [_line(each) for line in text.splitlines() if (each := line.split("#")[0].strip())]
    data = tomllib.loads(text) if suffix == ".toml" else json.loads(text)
    servers = data.get("servers") if isinstance(data, dict) else data
    if not isinstance(servers, list):
        raise ValueError("it has no list of servers")
    return servers


def _line(line: str) -> object:
    url, *words = line.split()
    entry: dict[str, object] = {"url": url}
    for word in words:
        key, _, value = word.partition("=")
        if word == "backup":
            entry["backup"] = True
        elif key == "weight" and value.isdigit():
            entry["weight"] = int(value)
        else:
            entry[word] = True  # which says by name that it is unknown
    return entry
