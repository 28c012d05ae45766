"""Asks servers for what is not stored, or has requests wait for those that ask already."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve

from ..engine.cache import Answerable
from ..engine.exchange import Exchange
from ..errors import ProxykitError
from ..message.fields import Field
from .answering import Asked
from .fetch import Fetch
from .gaps import Parts
from .keys import SLICE
from .plan import Plan
from .reader import Reader
from .requests import own_request
from .storage import Storage
from .stored import StoredHead, StoredResponse
from .under_way import table_key_of
from .validation import conditions
from .variants import choice


class Fetcher:
    """Makes the fetches of one cache; see ``plan.Asks``."""

    def __init__(self, storage: Storage) -> None:
        """Fetch for a cache.

        :param storage: where what comes is stored.
        """
        self._storage = storage
        self._shared = storage.shared

    def fetch(
        self,
        relay: Answerable,
        asked: Asked,
        candidates: Sequence[StoredResponse],
        why: bytes,
        *,
        variants: Sequence[StoredResponse] = (),
        names: tuple[bytes, ...] = (),
        parts: Parts | None = None,
    ) -> None:
        """Ask the server, or wait for who asks already.

        :param variants: stored responses that do not match and that the server may choose.
        :param names: the fields that responses under this key vary on, as far as that is known.
        :param parts: what is stored of it: only their gap is asked for.
        """
        reader = Reader(relay, asked)
        table_key = None
        if self._may_wait(asked):
            table_key, fetch = self._shared.fetches.find(asked, names)
            if fetch is not None:
                relay.attach(reader)
                fetch.join(reader)
                return
        plan = Plan(why, candidates, variants, bool(candidates or variants), table_key, parts=parts)
        self._start(relay, reader, plan)

    def _start(self, relay: Answerable, reader: Reader, plan: Plan) -> None:
        fetch = self._make_fetch(relay, reader.asked, plan)
        if plan.table_key is not None:
            self._shared.fetches.put(plan.table_key, fetch)
        relay.attach(reader)
        fetch.join(reader)
        fetch.begin()

    def _may_wait(self, asked: Asked) -> bool:
        """Say whether a request may be answered by another one's."""
        return not (
            b"authorization" in asked.values
            or b"no-cache" in asked.directives
            or b"no-store" in asked.directives
            or self._shared.is_private(asked.key)
        )

    def ask_alone(
        self,
        relay: Answerable,
        asked: Asked,
        candidates: Sequence[StoredResponse],
        why: bytes,
        detail: bytes,
    ) -> None:
        """Ask the server for one client that must not, or will not, wait for others."""
        plan = Plan(why, candidates, conditional=bool(candidates), detail=detail)
        self._start(relay, Reader(relay, asked), plan)

    def ask_again(self, relay: Answerable, asked: Asked, head: StoredHead) -> None:
        """Ask the server for a client that waited for what turned out to be another variant."""
        names = tuple(name for name, _ in head.selecting)
        self.fetch(relay, asked, (), b"vary-miss", names=names)

    def ask_for_all(self, relay: Answerable, asked: Asked) -> None:
        """Ask the server for the whole: the parts that are stored are none of it any more."""
        self.fetch(relay, asked, (), b"stale")

    def refresh(self, relay: Answerable, asked: Asked, stored: StoredResponse) -> None:
        """Fetch a fresh response behind the back of the client that got a stale one."""
        asked = evolve(asked, range=None, head_only=False, facts=asked.facts.as_get())
        names = tuple(name for name, _ in stored.head.selecting)
        table_key = table_key_of(asked, names)
        if self._shared.fetches.current(table_key) is not None:
            return
        candidates = (stored,) if stored.head.span is None else ()
        plan = Plan(b"stale", candidates, (), bool(candidates), table_key, background=True)
        fetch = self._make_fetch(relay, asked, plan)
        self._shared.fetches.put(table_key, fetch)
        fetch.begin()

    def fetch_part(
        self, relay: Answerable, asked: Asked, then: Callable[[ProxykitError | None], None]
    ) -> None:
        """Fetch a part into the store, for whoever reads it there.

        :param asked: asks for the part, under a key of its own.
        :param then: called when it is there, or will not be, with what went wrong.
        """
        table_key = table_key_of(asked, ()) if self._may_wait(asked) else None
        if table_key is not None:
            under_way = self._shared.fetches.current(table_key)
            if under_way is not None:
                under_way.when_done(then)
                return
        plan = Plan(b"partial", table_key=table_key, background=True)
        fetch = self._make_fetch(relay, asked, plan)
        if table_key is not None:
            self._shared.fetches.put(table_key, fetch)
        fetch.when_done(then)
        fetch.begin()

    def _make_fetch(self, relay: Answerable, asked: Asked, plan: Plan) -> Fetch:
        exchange = relay.exchange
        added: list[Field] = []
        if plan.conditional:
            added = conditions(each.head.section.values for each in plan.candidates)
            added = added or choice(plan.variants)
        conditional = bool(added)
        ranged = asked.range is not None and not plan.conditional
        wanted = asked.values.get(b"range")
        if ranged and wanted is not None and SLICE in asked.key:
            added, ranged = [(b"Range", wanted)], False
        if plan.parts is not None:
            added, ranged = plan.parts.conditions(), False
        own = Exchange(
            exchange.pipeline,
            own_request(exchange.request, added, ranged=ranged),
            exchange.client_address,
            exchange.peer_address,
            exchange.scheme,
            exchange.started,
        )
        own.route = exchange.route
        own.addresses = exchange.addresses
        own.user = exchange.user
        plan = evolve(plan, conditional=conditional)
        return Fetch(self._storage, self, own, relay.identity, asked, plan)
