"""Fills caches: asks for a list of URLs through a listener's own pipeline, a few at a time."""

from __future__ import annotations

import secrets
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from ..engine.client import UnseenClient
from ..engine.exchange import Exchange
from ..engine.forwarding import Direction
from ..engine.pipeline import Pipeline
from ..engine.relay import Relay
from ..errors import BadRequest, ProxykitError
from ..message.fields import FieldSection
from ..message.framing import Framing
from ..message.response import Response
from ..net.files import FileRegion
from ..observe.admin.control import Refused, WarmUp, WarmUpStatus
from ..upstream.connection import UpstreamConnection
from .asking import exchange_for

_log = Logger()

_MOST_RUNNING = 4
_MOST_REMEMBERED = 32
_MOST_FAILURES = 100
_MOST_SECONDS = 120.0
_CLIENT = "127.0.0.1"


class WarmUps:
    """The warm-ups that run, and some that did."""

    def __init__(self, reactor: Any) -> None:
        """Begin with none.

        :param reactor: an ``IReactorTime``.
        """
        self._reactor = reactor
        self._known: dict[str, _Running] = {}

    def begin(self, what: WarmUp, listener: str, pipeline: Callable[[], Pipeline]) -> WarmUpStatus:
        """Begin one.

        :param listener: the listener's name.
        :param pipeline: gives its pipeline as it is then; it may be reloaded meanwhile.
        :raises Refused: when enough are running.
        """
        running = [each for each in self._known.values() if each.is_running]
        if len(running) >= _MOST_RUNNING:
            raise Refused(f"{len(running)} warm-ups are running: wait for one to end", 429)
        over = [number for number, each in self._known.items() if not each.is_running]
        for number in over[: max(0, len(self._known) - _MOST_REMEMBERED + 1)]:
            del self._known[number]
        number = secrets.token_hex(8)
        begun = self._known[number] = _Running(number, listener, what, pipeline, self._reactor)
        begun.start()
        _log.info(
            "warm-up {number}: {count} URLs through {listener}",
            number=number,
            count=len(what.urls),
            listener=listener,
        )
        return begun.status()

    def status(self, number: str) -> WarmUpStatus:
        """Say how one goes.

        :raises Refused: when it is not known, or not any more.
        """
        known = self._known.get(number)
        if known is None:
            raise Refused(f"there is no warm-up {number}", 404)
        return known.status()

    def stop(self) -> None:
        """Ask for nothing more."""
        for each in self._known.values():
            each.stop()


class _Running:
    """One warm-up."""

    def __init__(
        self,
        number: str,
        listener: str,
        what: WarmUp,
        pipeline: Callable[[], Pipeline],
        reactor: Any,
    ) -> None:
        self._number = number
        self._listener = listener
        self._total = len(what.urls)
        self._waiting = deque(what.urls)
        self._fields = tuple(f"{name}: {value}" for name, value in what.fields)
        self._concurrency = what.concurrency
        self._pipeline = pipeline
        self._reactor = reactor
        self._next: IDelayedCall | None = None
        self._asking: set[_Asking] = set()
        self._done = 0
        self._failed = 0
        self._bytes = 0
        self._results: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._failures: list[tuple[str, str]] = []

    @property
    def is_running(self) -> bool:
        return bool(self._waiting or self._asking)

    def status(self) -> WarmUpStatus:
        return WarmUpStatus(
            self._number,
            self._listener,
            self._total,
            self._done,
            self._failed,
            self._bytes,
            self.is_running,
            dict(self._results),
            dict(self._statuses),
            tuple(self._failures),
        )

    def start(self) -> None:
        """Ask on, in a turn of the reactor of its own: hits would else be one long turn."""
        if self._next is None and self._waiting and len(self._asking) < self._concurrency:
            self._next = self._reactor.callLater(0, self._ask_on)

    def stop(self) -> None:
        self._waiting.clear()
        if self._next is not None:
            self._next.cancel()
            self._next = None
        for each in list(self._asking):
            each.give_up("the proxy stops")

    def _ask_on(self) -> None:
        self._next = None
        free = self._concurrency - len(self._asking)
        urls = list(islice(self._waiting, free))
        for url in urls:
            self._waiting.popleft()
            self._ask(url)
        self.start()

    def _ask(self, url: str) -> None:
        try:
            pipeline = self._pipeline()
            if pipeline.rules.direction is Direction.FORWARD and not url.startswith("http://"):
                raise BadRequest("a forward proxy sees nothing of https")
            exchange = exchange_for(pipeline, url, _CLIENT, "GET", self._fields)
        except (ProxykitError, Refused) as error:
            self._fail(url, str(error))
            return
        asking = _Asking(pipeline, exchange, partial(self._asked, url))
        self._asking.add(asking)
        asking.start(self._reactor)

    def _asked(self, url: str, asking: _Asking, why: str) -> None:
        self._asking.discard(asking)
        exchange = asking.exchange
        self._bytes += asking.size
        if asking.status:
            self._statuses[str(asking.status)] += 1
        self._results[exchange.cache or "none"] += 1
        if why or asking.status >= 400:
            self._fail(url, why or exchange.detail or f"answered {asking.status}")
        else:
            self._done += 1
            self.start()

    def _fail(self, url: str, why: str) -> None:
        self._done += 1
        self._failed += 1
        if len(self._failures) < _MOST_FAILURES:
            self._failures.append((url, why))
        self.start()


class _Asking(UnseenClient):
    """The client's side of one request; see ``engine.client.Client``. It throws content away.

    :ivar status: of the response, 0 while there is none.
    :ivar size: how many bytes of content came.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        exchange: Exchange,
        ended: Callable[[_Asking, str], None],
    ) -> None:
        self.exchange = exchange
        self.identity: object = (pipeline.rules, exchange.peer_address, exchange.scheme)
        self.status = 0
        self.size = 0
        self._ended: Callable[[_Asking, str], None] | None = ended
        self._relay = Relay(pipeline, exchange, self)
        self._timer: IDelayedCall | None = None

    def start(self, reactor: Any) -> None:
        self._timer = reactor.callLater(
            _MOST_SECONDS, self.give_up, f"it took longer than {_MOST_SECONDS:.0f} s"
        )
        self._relay.start()

    def give_up(self, why: str) -> None:
        """Leave: what the cache has begun to store, it may finish."""
        self._end(why)
        self._relay.client_lost()

    def _end(self, why: str) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self, why)

    def send_response(self, response: Response, fields: bytes, framing: Framing) -> None:
        self.status = response.status

    def send_content(self, data: bytes) -> None:
        self.size += len(data)

    def send_file(self, region: FileRegion) -> None:
        self.size += len(region)

    def end_response(self, trailers: FieldSection) -> None:
        self._end("")

    def abort_response(self) -> None:
        self._end(self.exchange.detail or "the response was cut short")

    def start_tunnel(self, head: bytes, upstream: UpstreamConnection, data: bytes) -> None:
        super().start_tunnel(head, upstream, data)
        self.give_up("it became a tunnel")
