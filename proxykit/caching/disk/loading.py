"""Reads what is under a key in a thread: records, files, and the first block of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..pieces import Pieces
from ..stored import StoredResponse
from .body import Disk, DiskBody
from .files import Damaged, checksums_of
from .opened import OpenedDirectory
from .records import Record

_log = Logger()


@frozen(slots=True, eq=False)
class Loaded:
    """What was read.

    :ivar value: what the index's ``keys`` held, ``None`` for nothing.
    :ivar good: the responses, the newest first.
    :ivar bad: the numbers of those that are not what was stored.
    """

    value: bytes | None = None
    good: tuple[StoredResponse, ...] = ()
    bad: tuple[int, ...] = ()


class Loader:
    """Reads each key once, however many ask for it at a time."""

    def __init__(
        self, store: Disk, loaded: Callable[[bytes, Loaded], tuple[StoredResponse, ...]]
    ) -> None:
        """Make one.

        :param store: what bodies belong to.
        :param loaded: is given what was read, and gives what is the answer.
        """
        self._store = store
        self._loaded = loaded
        self._waiting: dict[bytes, list[Deferred[Sequence[StoredResponse]]]] = {}

    def load(self, disk: OpenedDirectory, key: bytes) -> Deferred[Sequence[StoredResponse]]:
        """Have a key read."""
        deferred: Deferred[Sequence[StoredResponse]] = Deferred()
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(deferred)
            return deferred
        self._waiting[key] = [deferred]
        disk.in_thread(self._read, disk, key).addErrback(self._failed).addCallback(
            partial(self._answer, key)
        )
        return deferred

    def _failed(self, failure: Any) -> Loaded:
        _log.failure("the cache on disk cannot be read", failure)
        return Loaded()

    def _answer(self, key: bytes, loaded: Loaded) -> None:
        responses = self._loaded(key, loaded)
        for deferred in self._waiting.pop(key):
            deferred.callback(responses)

    def _read(self, disk: OpenedDirectory, key: bytes) -> Loaded:
        """In a thread: see ``Loaded``."""
        index = disk.index
        if index is None:
            return Loaded()
        value, found = index.load(key)
        good, bad = [], []
        for number, record, content in found:
            response = self.response(key, number, record, content)
            try:
                if response is None:
                    raise Damaged("its record is wrong")
                response.body.check()
            except (OSError, Damaged) as error:
                bad.append(number)
                _log.warn("a stored response is lost: {error}", error=str(error))
            else:
                good.append(response)
        return Loaded(value, tuple(good), tuple(bad))

    def response(
        self, key: bytes, number: int, record: Record | None, content: bytes | None
    ) -> StoredResponse | None:
        """Make a response of what the index says, ``None`` when that cannot be right.

        :param content: where the index holds that.
        """
        if record is None:
            return None
        pieces = None
        if content is not None or record.size == 0:
            content = content or b""
            if len(content) != record.size or checksums_of(content) != record.checksums:
                return None
            pieces = Pieces.of(content)
        body = DiskBody(
            self._store,
            key,
            number,
            record.size,
            content=pieces,
            in_file=record.size,
            checksums=record.checksums,
        )
        return StoredResponse(record.head, body)
