"""The ``blocklist`` filter itself: asks the lists, and answers what they block."""

from __future__ import annotations

import os
from collections.abc import Coroutine, Generator, Sequence
from time import monotonic
from typing import Any

from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from ...engine.exchange import Exchange
from ...errors import BlockedByList, ConfigurationError, Unavailable
from ...interfaces import IBackground, IChecked, IExplaining, IFilterFactory, IRequestFilter
from ...lists.blocking import Blocking, Verdict
from ...lists.compiling import BLOCKLIST
from ...lists.fetched import Source, fetched_list
from ...lists.names import public_suffixes
from ...lists.table import TableError
from ...lists.watched import WatchedList, report_lines, watched_list
from ...message.response import Response
from ...options import BuildContext
from .asked import Asked
from .options import BlocklistOptions

_log = Logger()

# What one request may take before others have their turn. Rules that take this long together are
# no list's that was ever seen.
_SLICE_SECONDS = 0.010

# A GIF of one transparent pixel.
_PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)

_Steps = Generator[None, None, Verdict | None]


@implementer(IRequestFilter, IBackground, IChecked, IExplaining)
class Blocklist:
    """Answers requests that the lists block; the others go on."""

    def __init__(self, options: BlocklistOptions, lists: Sequence[WatchedList], reactor: Any):
        """Take the lists, which may not have been read yet.

        :param reactor: for what has to wait.
        """
        self._lists = tuple(lists)
        self._reactor = reactor
        self._pixel = options.images == "pixel"
        self._dry_run = options.dry_run
        self._blocking: Blocking | None = None  # None until every list was tried to read
        if all(each.table is not None for each in self._lists):
            self._changed()

    # --- what is asked ------------------------------------------------------------------------

    def request(self, exchange: Exchange) -> Response | Coroutine[Any, Any, Any] | None:
        """See ``IRequestFilter``; waits until the lists were read, and for what takes long."""
        blocking = self._blocking
        if blocking is None:
            return self._when_read(exchange)
        verdict, stands = blocking.of_host(exchange.host)
        if stands and verdict is None:
            return None
        asked = Asked(exchange)
        if stands:
            return self._decided(exchange, asked, verdict)
        steps = blocking.judge(asked)
        try:
            _run(steps)
        except StopIteration as end:
            return self._decided(exchange, asked, end.value)
        return self._go_on(exchange, asked, steps)

    async def _when_read(self, exchange: Exchange) -> Response | None:
        await gatherResults([each.tried() for each in self._lists])
        for each in self._lists:
            if each.table is None and each.required:
                # Nobody can say what it would have blocked.
                raise Unavailable(f"the blocklist {each.name} could not be read")
        if self._blocking is None:
            self._changed()
        answer = self.request(exchange)
        return answer if answer is None or isinstance(answer, Response) else await answer

    async def _go_on(self, exchange: Exchange, asked: Asked, steps: _Steps) -> Response | None:
        """Try the rest of the rules, a slice in each turn of the reactor."""
        while True:
            await deferLater(self._reactor, 0)
            try:
                _run(steps)
            except StopIteration as end:
                return self._decided(exchange, asked, end.value)

    def _decided(
        self, exchange: Exchange, asked: Asked, verdict: Verdict | None
    ) -> Response | None:
        """Answer by a verdict.

        :raises BlockedByList: when the answer is the page.
        """
        if verdict is None or verdict.exception is not None:
            return None
        hit = verdict.hit
        if self._dry_run:
            _log.info(
                "dry run: {hit} would block {method} {host} for {client}",
                hit=str(hit),
                method=exchange.request.method.decode("ascii"),
                host=exchange.host,
                client=exchange.client_address,
            )
            return None
        error = BlockedByList(hit.list_name, hit.rule)
        if self._pixel and asked.resource_type == "image" and asked.method in ("get", "head"):
            exchange.error_type = error.error_type
            exchange.detail = str(error)
            fields = [(b"Content-Type", b"image/gif"), (b"Cache-Control", b"no-store")]
            return Response(200, fields, _PIXEL)
        raise error

    # --- the lists ----------------------------------------------------------------------------

    def _changed(self) -> None:
        """Take the lists as they are now."""
        if any(each.table is None and each.required for each in self._lists):
            return
        self._blocking = Blocking(
            [(each.name, each.table) for each in self._lists if each.table is not None]
        )

    def _list_changed(self) -> None:
        if self._blocking is not None:
            self._changed()

    def start(self) -> None:
        """See ``IBackground``."""
        for each in self._lists:
            each.start(self._reactor, self._list_changed)

    def stop(self) -> None:
        """See ``IBackground``."""
        for each in self._lists:
            each.stop(self._list_changed)

    def check(self) -> list[str]:
        """See ``IChecked``: read the lists and say what became of their lines."""
        lines: list[str] = []
        for each in self._lists:
            if each.required or each.path.exists():
                try:
                    lines += report_lines(each.name, each.load_now())
                except TableError as error:
                    raise ConfigurationError(f"blocklist: {each.name}: {error}") from error
        self._changed()
        return lines

    def explain(self, exchange: Exchange) -> list[str]:
        """See ``IExplaining``."""
        blocking = self._blocking
        if blocking is None:
            return ["the lists were not read"]
        asked = Asked(exchange)
        verdict, stands = blocking.of_host(exchange.host)
        if not stands:
            steps = blocking.judge(asked)
            try:
                while True:
                    next(steps)
            except StopIteration as end:
                verdict = end.value
        lines = [
            f"asked for {asked.url} as {asked.resource_type or 'a tunnel'}, "
            f"page {asked.page_host or 'unknown'}"
        ]
        if verdict is None:
            return [*lines, "no line of any list blocks it"]
        lines.append(f"{verdict.hit} blocks it")
        if verdict.exception is not None:
            lines.append(f"{verdict.exception} lets it through all the same")
        elif self._dry_run:
            lines.append("dry run: that is only logged")
        return lines


def _run(steps: _Steps) -> None:
    """Take steps for a slice of time; ends with ``StopIteration`` when there are no more."""
    until = monotonic() + _SLICE_SECONDS
    while True:
        next(steps)
        if monotonic() > until:
            return


@implementer(IPlugin, IFilterFactory)
class BlocklistFactory:
    """Makes ``blocklist`` filters."""

    name = "blocklist"
    description = "blocks by hosts files, domain lists and Adblock filter lists"
    options = BlocklistOptions

    def build(self, options: BlocklistOptions, context: BuildContext) -> Blocklist:
        """See ``IFilterFactory``."""
        lists: list[WatchedList] = []
        for entry in options.lists:
            path = context.directory / entry.file
            if entry.url is not None:
                source = Source(entry.url, entry.refresh, entry.max_size)
                lists.append(fetched_list(path, BLOCKLIST, source))
            elif path.is_file() and os.access(path, os.R_OK):
                lists.append(watched_list(path, BLOCKLIST))
            else:
                raise ConfigurationError(f"blocklist: the list {path} cannot be read")
        public_suffixes()  # now, for it takes as long as many requests
        return Blocklist(options, lists, context.reactor)
