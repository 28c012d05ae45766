"""What is being fetched right now, for whoever asks for the same and may wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..errors import ProxykitError
from .answering import Asked
from .keys import selecting

TableKey = tuple[object, ...]


class Joinable(Protocol):
    """A fetch, as those see it who come later."""

    @property
    def is_outdated(self) -> bool:
        """Whether what it brings was purged since it began: nobody who comes later may have it."""

    @property
    def varies_on(self) -> tuple[bytes, ...]:
        """The fields that the response varies on, none while it is not known."""

    def may_join(self, asked: Asked) -> bool:
        """Say whether another request can have what this one brings."""

    def join(self, reader: Any) -> None:
        """Take a ``Reader``."""

    def when_done(self, then: Callable[[ProxykitError | None], None]) -> None:
        """Have something called once nothing more will come: with the error, if there was one."""


class FetchTable:
    """The fetches of one cache that others may join, by what these have in common."""

    __slots__ = ("_fetches",)

    def __init__(self) -> None:
        """Begin with none."""
        self._fetches: dict[TableKey, Joinable] = {}

    def __len__(self) -> int:
        return len(self._fetches)

    def find(self, asked: Asked, names: tuple[bytes, ...]) -> tuple[TableKey, Joinable | None]:
        """Find a fetch that a request may wait for.

        :param names: the fields that responses under its key vary on, as far as that is known.
        :returns: where others are to find the request's own if there is none, and the fetch.
        """
        table_key = table_key_of(asked, names)
        fetch = self._fetches.get(table_key)
        if fetch is not None and fetch.varies_on != names and not fetch.may_join(asked):
            table_key = table_key_of(asked, fetch.varies_on)
            fetch = self._fetches.get(table_key)
        if fetch is not None and not fetch.may_join(asked):
            fetch = None
        return table_key, fetch

    def current(self, table_key: TableKey) -> Joinable | None:
        """Give the fetch that is there, unless what it brings was purged meanwhile."""
        fetch = self._fetches.get(table_key)
        return None if fetch is None or fetch.is_outdated else fetch

    def put(self, table_key: TableKey, fetch: Joinable) -> None:
        """Let others find a fetch, in the place of any that was there."""
        self._fetches[table_key] = fetch

    def remove(self, table_key: TableKey | None, fetch: Joinable) -> None:
        """Let nobody else find a fetch, if it is there."""
        if table_key is not None and self._fetches.get(table_key) is fetch:
            del self._fetches[table_key]


def table_key_of(asked: Asked, names: tuple[bytes, ...]) -> TableKey:
    """Give what two requests have in common that may wait for each other.

    :param names: the fields that what they ask for varies on.
    """
    asked_range = asked.values.get(b"range") if asked.range is not None else None
    return (asked.key, asked_range, selecting(names, asked.values))
