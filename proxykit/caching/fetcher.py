"""Asks servers for what is not stored, and stores what they answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import evolve

from ..engine.cache import Answerable
from ..engine.exchange import Exchange
from ..errors import ProxykitError
from ..message.fields import Field
from ..message.response import Response
from ..net.sweeper import Sweeper
from .answering import Asked
from .fetch import Fetch
from .gaps import Parts
from .heads import freshened_head, may_stay
from .keys import SLICE, selecting
from .plan import Plan
from .purging import Purged
from .reader import Reader
from .requests import own_request
from .shared import SharedCache
from .stored import StoredHead, StoredResponse
from .validation import conditions, entity_tag, is_strong, validates
from .variants import choice, chosen_by, copy_into


class Fetcher:
    """Makes the fetches of one cache, and finds the one that a request may wait for.

    :ivar store: the ``ICacheStore``.
    """

    def __init__(self, shared: SharedCache) -> None:
        """Fetch for a cache."""
        self._shared = shared
        self.store = shared.store

    async def lookup(self, key: bytes) -> Sequence[StoredResponse]:
        """Look in a store that answers later, and again if something was stored meanwhile."""
        commits = self._shared.commits
        found: Sequence[StoredResponse] = ()
        for _ in range(2):
            asking = self.store.lookup(key)
            found = asking if isinstance(asking, Sequence) else await asking
            if not self._shared.committed_since(key, commits):
                break
        return found

    # --- asking --------------------------------------------------------------------------------

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
            table_key = _table_key(asked, names)
            fetch = self._shared.fetches.get(table_key)
            if fetch is not None and fetch.varies_on != names and not fetch.may_join(asked):
                table_key = _table_key(asked, fetch.varies_on)
                fetch = self._shared.fetches.get(table_key)
            if fetch is not None and fetch.may_join(asked):
                relay.attach(reader)
                fetch.join(reader)
                return
        plan = Plan(why, candidates, variants, bool(candidates or variants), table_key, parts=parts)
        self._start(relay, reader, plan)

    def _start(self, relay: Answerable, reader: Reader, plan: Plan) -> None:
        fetch = self._make_fetch(relay, reader.asked, plan)
        if plan.table_key is not None:
            self._shared.fetches[plan.table_key] = fetch
        relay.attach(reader)
        fetch.join(reader)
        fetch.begin()

    def _may_wait(self, asked: Asked) -> bool:
        """Say whether a request may be answered by another one's."""
        return not (
            b"authorization" in asked.values
            or b"no-cache" in asked.directives
            or b"no-store" in asked.directives
            or self.is_private(asked.key)
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

    def refresh(self, relay: Answerable, asked: Asked, stored: StoredResponse) -> None:
        """Fetch a fresh response behind the back of the client that got a stale one."""
        asked = evolve(asked, range=None, head_only=False, facts=asked.facts.as_get())
        names = tuple(name for name, _ in stored.head.selecting)
        table_key = _table_key(asked, names)
        under_way = self._shared.fetches.get(table_key)
        if under_way is not None and not under_way.is_outdated:
            return
        candidates = (stored,) if stored.head.span is None else ()
        plan = Plan(b"stale", candidates, (), bool(candidates), table_key, background=True)
        fetch = self._make_fetch(relay, asked, plan)
        self._shared.fetches[table_key] = fetch
        fetch.begin()

    def fetch_part(
        self, relay: Answerable, asked: Asked, then: Callable[[ProxykitError | None], None]
    ) -> None:
        """Fetch a part into the store, for whoever reads it there.

        :param asked: asks for the part, under a key of its own.
        :param then: called when it is there, or will not be, with what went wrong.
        """
        table_key = _table_key(asked, ()) if self._may_wait(asked) else None
        fetch = self._shared.fetches.get(table_key) if table_key is not None else None
        if fetch is not None and not fetch.is_outdated:
            fetch.when_done(then)
            return
        plan = Plan(b"partial", table_key=table_key, background=True)
        fetch = self._make_fetch(relay, asked, plan)
        if table_key is not None:
            self._shared.fetches[table_key] = fetch
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
        return Fetch(self, own, relay.identity, asked, evolve(plan, conditional=conditional))

    # --- called by fetches --------------------------------------------------------------------

    @property
    def lock_seconds(self) -> float:
        """How long one client waits for another one's request."""
        return self._shared.lock_seconds

    @property
    def max_object_size(self) -> int:
        """What is larger is not stored, in bytes."""
        return self._shared.max_object_size

    @property
    def sweeper(self) -> Sweeper:
        """The time-outs' clock."""
        return self._shared.sweeper

    def forget(self, table_key: Any, fetch: Fetch) -> None:
        """Let nobody else join a fetch."""
        if self._shared.fetches.get(table_key) is fetch:
            del self._shared.fetches[table_key]

    def is_private(self, key: bytes) -> bool:
        """See ``SharedCache.is_private``."""
        return self._shared.is_private(key)

    def mark_private(self, key: bytes) -> None:
        """See ``SharedCache.mark_private``."""
        self._shared.mark_private(key)

    def moment(self) -> int:
        """See ``SharedCache.moment``."""
        return self._shared.moment()

    def purged_since(
        self, moment: int, asked: Asked, tags: frozenset[bytes] | None
    ) -> Purged | None:
        """See ``SharedCache.purged_since``; what was stored may stand for another key."""
        found = self._shared.purged_since(moment, asked.key, tags)
        if asked.stored_key != asked.key and (found is None or found.soft):
            return self._shared.purged_since(moment, asked.stored_key, tags) or found
        return found

    def commit(self, asked: Asked, head: StoredHead, writer: Any, moment: int) -> None:
        """Store a response whose content is complete.

        :param moment: when it was asked for: what was purged since is not stored, or is stale.
        """
        if head.terms.lifetime > head.initial_age and not head.terms.validated_only:
            self._shared.unmark_private(asked.key)
        else:
            # Nobody gains by waiting for what must be validated for each.
            self._shared.mark_private(asked.key)
        self._shared.aliases.note(asked.key, head.section.values.get(b"no-vary-search"))
        if head.span is not None and SLICE not in asked.key:
            self._shared.parts.put(asked.key, head, writer, partial(self._commit, asked, moment))
            return
        if head.span is None:
            head = evolve(head, complete=writer.body.size)
        self._commit(asked, moment, writer, head, lambda other: other.selecting == head.selecting)

    def _commit(
        self,
        asked: Asked,
        moment: int,
        writer: Any,
        head: StoredHead,
        replaces: Callable[[StoredHead], bool],
    ) -> None:
        """Commit what is stored; parts may have waited for others that were joined meanwhile."""
        purged = self.purged_since(moment, asked, head.tags)
        if purged is not None and not purged.soft:
            writer.abort()
            return
        if purged is not None:
            head = head.expired(head.responded_at)
        self._shared.note_commit(asked.key)
        writer.commit(head, replaces)

    def freshen(
        self,
        asked: Asked,
        candidates: Sequence[StoredResponse],
        response: Response,
        requested_at: float,
        responded_at: float,
        moment: int,
    ) -> StoredResponse | None:
        """Update what a 304 or a HEAD's response is about (RFC 9111 sections 4.3.4 and 4.3.5).

        :param moment: when it was asked for: what was purged since stays as the purge left it.
        :returns: what answers the request now, ``None`` when it is about nothing that is stored.
        """
        values = response.section.values
        chosen: StoredResponse | None = None
        for stored in candidates:
            if not validates(values, stored.head.section.values, only=len(candidates) == 1):
                continue
            head, storable = freshened_head(
                asked, stored.head, response, requested_at, responded_at
            )
            purged = self._shared.purged_since(moment, asked.stored_key, stored.head.tags)
            if purged is not None:
                stored = StoredResponse(head, stored.body)
            elif storable:
                if head.terms.lifetime > head.initial_age:
                    self._shared.unmark_private(asked.key)
                self.store.update(asked.stored_key, stored, head)
            else:
                # It may answer this once, for it was validated.
                if not may_stay(asked, head):
                    self.store.remove(asked.stored_key, stored)
                stored = StoredResponse(head, stored.body)
            if chosen is None and asked.matches(head):
                chosen = stored
            if not is_strong(entity_tag(values.get(b"etag"))):
                # Of those that a weak validator fits, only the most recent (section 4.3.4).
                break
        return chosen

    def choose(
        self,
        asked: Asked,
        variants: Sequence[StoredResponse],
        response: Response,
        requested_at: float,
        responded_at: float,
        moment: int,
    ) -> StoredResponse | None:
        """Take the variant that a 304 has chosen for a request that did not match it.

        It is stored for this request's fields as well, so that the next one like it is a hit. The
        one that was stored stays as it is: it could not have been chosen for this request (RFC
        9111 section 4.3.4).

        :returns: what answers the request, ``None`` when the 304 is about nothing that is stored.
        """
        stored = chosen_by(response.section.values, variants)
        if stored is None:
            return None
        head, storable = freshened_head(
            asked, stored.head, response, requested_at, responded_at, chosen=True
        )
        if storable:
            writer = copy_into(self.store, asked.key, stored)
            if writer is not None:
                self.commit(asked, head, writer, moment)
        return StoredResponse(head, stored.body)


def _table_key(asked: Asked, names: tuple[bytes, ...]) -> tuple[object, ...]:
    """Give what two requests have in common that may wait for each other."""
    asked_range = asked.values.get(b"range") if asked.range is not None else None
    return (asked.key, asked_range, selecting(names, asked.values))
