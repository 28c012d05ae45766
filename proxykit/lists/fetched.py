"""A list that is kept up to date from a URL, in a file that outlives the process."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import tempfile
from pathlib import Path
from time import time
from typing import Any, BinaryIO, ClassVar
from weakref import WeakValueDictionary

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikeRedirectAgent, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from .. import __version__
from .compiler import compile_list
from .watched import WatchedList

_log = Logger()

_CONNECT_SECONDS = 10.0
_SECONDS = 120.0
_RETRY_SECONDS = 300.0
# What hotels, and servers whose lists have moved, answer to everything.
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|\?xml|!--)", re.IGNORECASE)


class DownloadFailed(Exception):
    """A list could not be fetched; the message says why."""


@frozen(slots=True)
class Source:
    """Where a list comes from.

    :ivar url: http or https.
    :ivar refresh: how often to ask, in seconds.
    :ivar max_size: the largest list, in bytes.
    """

    url: str
    refresh: float
    max_size: int


class FetchedList(WatchedList):
    """A list that is read from a file and fetched into it.

    What was fetched is read first and takes the file's place after that: a list that is broken,
    empty or too large changes nothing. Without a file and without an answer it is empty.
    """

    required: ClassVar[bool] = False

    def __init__(self, path: Path, kind: str, source: Source) -> None:
        """Make one that was neither read nor fetched."""
        super().__init__(path, kind)
        self._source = source
        self._fetching: Deferred[None] | None = None
        self._next: Any = None
        self._state_file = path.with_name(path.name + ".state")

    def start(self, reactor: Any, changed: Any) -> None:
        """Begin to use it; the first user begins to fetch it."""
        super().start(reactor, changed)
        if self._next is None:
            wait = self._state().get("checked", 0) + self._source.refresh - time()
            fresh = self._signature() is not None and 0 < wait <= self._source.refresh
            self._next = reactor.callLater(wait if fresh else 0.0, self.fetch)

    def stop(self, changed: Any) -> None:
        """Cease to use it."""
        super().stop(changed)
        if not self._users:
            if self._next.active():
                self._next.cancel()
            self._next = None
            if self._fetching is not None:
                self._fetching.cancel()

    def _missing(self) -> None:
        """Wait for what is being fetched."""

    def fetch(self) -> None:
        """Ask for a newer list."""
        self._fetching = Deferred.fromCoroutine(self._fetch())
        self._fetching.addCallbacks(self._fetched, self._failed)

    def _fetched(self, _: object) -> None:
        self._fetching = None
        # Not all at once: many a proxy was started with the same list at the same time.
        self._again(self._source.refresh * random.uniform(0.95, 1.05))

    def _failed(self, failure: Failure) -> None:
        self._fetching = None
        if not self._users:
            return  # it was cancelled
        error = failure.value
        reasons = getattr(error, "reasons", None)
        error = reasons[0].value if reasons else error
        _log.warn(
            "the list {name} could not be updated: {error}",
            name=self.name,
            error=str(error) or type(error).__name__,
        )
        if self._compiling is None:
            self._was_tried()  # else there is a file, which is being read
        self._again(min(_RETRY_SECONDS, self._source.refresh))

    def _again(self, seconds: float) -> None:
        if self._users:
            self._next = self._reactor.callLater(seconds, self.fetch)

    async def _fetch(self) -> None:
        state = self._state() if self._signature() is not None else {}
        headers = Headers({"User-Agent": [f"Proxykit/{__version__}"]})
        # RFC 9110 section 13.1: asked with what the last answer said of itself.
        if state.get("etag"):
            headers.addRawHeader("If-None-Match", state["etag"])
        if state.get("last_modified"):
            headers.addRawHeader("If-Modified-Since", state["last_modified"])
        agent = BrowserLikeRedirectAgent(
            Agent(self._reactor, connectTimeout=_CONNECT_SECONDS), redirectLimit=5
        )
        asking: Any = agent.request(b"GET", self._source.url.encode("ascii"), headers)
        response = await asking.addTimeout(_SECONDS, self._reactor)
        if response.code == 304 and state:
            self._save_state(state)
            return
        if response.code != 200:
            raise DownloadFailed(f"the answer's status is {response.code}")
        await self._take(response)

    async def _take(self, response: Any) -> None:
        """Save an answer's content and use it."""
        descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                saving = _Saving(file, self._source.max_size)
                response.deliverBody(saving)
                await saving.done.addTimeout(_SECONDS, self._reactor)
            with part.open("rb") as file:
                if _PAGE.match(file.read(1024)):
                    raise DownloadFailed("it is a web page, not a list")
            table = await compile_list(self._reactor, self.kind, part)
            if not table.report["names"] + table.report["rules"]:
                raise DownloadFailed("there is not one entry in it")
            part.chmod(0o644)
            part.replace(self.path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink()
        self._save_state(
            {
                "etag": _text(response.headers, "ETag"),
                "last_modified": _text(response.headers, "Last-Modified"),
            }
        )
        self.adopt(table, self._signature())

    # --- what is known of the file ------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        try:
            state = json.loads(self._state_file.read_bytes())
            return state if state.get("url") == self._source.url else {}
        except (OSError, ValueError, AttributeError):
            return {}

    def _save_state(self, state: dict[str, Any]) -> None:
        state = state | {"url": self._source.url, "checked": time()}
        part = self._state_file.with_name(f".{self._state_file.name}.{os.getpid()}")
        try:
            part.write_text(json.dumps(state))
            part.replace(self._state_file)
        except OSError as error:
            _log.warn("{file} cannot be written: {error}", file=str(part), error=error)


def _text(headers: Headers, name: str) -> str:
    values = headers.getRawHeaders(name) or []
    return values[0] if values and values[0].isascii() and values[0].isprintable() else ""


_lists: WeakValueDictionary[tuple[Path, str, Source], FetchedList] = WeakValueDictionary()


def fetched_list(path: Path, kind: str, source: Source) -> FetchedList:
    """Give the list of a file and a source; whoever asks for the same gets the same list."""
    found = _lists.get((path, kind, source))
    if found is None:
        found = _lists[path, kind, source] = FetchedList(path, kind, source)
    return found


class _Saving(Protocol):
    """Writes a response's content to a file."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._left = most
        self._most = most
        self.done: Deferred[None] = Deferred(lambda _: self._abort())

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._fail(f"it is larger than {self._most} bytes")
            return
        if not self.done.called:
            try:
                self._file.write(data)
            except OSError as error:
                self._fail(f"it cannot be written: {error.strerror}")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        # A server that marks the end by closing (RFC 9112 section 6.3) cannot say more than that.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(None)
        else:
            self._fail("the connection ended before the response did")

    def _fail(self, message: str) -> None:
        if not self.done.called:
            self.done.errback(DownloadFailed(message))
            self._abort()

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
