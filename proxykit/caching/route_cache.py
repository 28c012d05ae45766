"""A route's cache: takes its exchanges, answers what it can, fetches what it cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import time
from typing import Any

from attrs import evolve, frozen
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..engine.answers import error_answer
from ..engine.exchange import Exchange
from ..engine.relay import Relay
from ..errors import ProxykitError
from ..message.dates import parse_date
from ..message.fields import Field, FieldSection
from ..message.framing import NO_CONTENT, Length
from ..message.response import Response
from ..net.sweeper import Sweeper
from .answering import Asked
from .control import Purger
from .fetch import Fetch
from .heads import freshened_head
from .invalidation import changed_uris, is_error, is_safe
from .keys import selecting, uri_prefix, vary_names
from .partial import combine_and_commit
from .plan import Plan
from .policy import RequestFacts
from .ranges import parse_range
from .reader import Reader
from .requests import are_plain, own_request, passes_by, request_key, uri_key
from .rules import CacheRules
from .shared import SharedCache
from .status import age_field, forwarded, hit
from .stored import StoredHead, StoredResponse
from .use import Use, decide, request_directives
from .validation import conditions, entity_tag, is_strong, validates

_log = Logger()


class NotStored(ProxykitError):
    """The client wants only what is stored, and that is nothing usable (RFC 9111 5.2.1.7)."""

    status = 504
    error_type = "proxy_internal_response"


@frozen(slots=True, eq=False)
class RuleMatch:
    """Rules, and what requests they are for.

    :ivar takes: ``None`` for any.
    """

    rules: CacheRules
    takes: Callable[[Exchange], bool] | None = None


class RouteCache:
    """See ``engine.cache.Cache``."""

    def __init__(
        self,
        shared: SharedCache,
        namespace: bytes,
        rules: Sequence[RuleMatch],
        *,
        forward: bool = False,
        purger: Purger | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        """Make one.

        :param namespace: keeps its keys apart from other listeners': see ``caching.keys``.
        :param rules: the first that takes an exchange counts; the last takes any.
        :param forward: whether the target says the scheme.
        :param purger: answers PURGE, ``None`` when nobody may.
        :param clock: gives the seconds since 1970.
        """
        self._shared = shared
        self._namespace = namespace
        self._rules = tuple(rules)
        self._forward = forward
        self._purger = purger
        self._clock = clock
        self._token = object()  # not the cache itself, which a note would keep alive
        self.store = shared.store
        self._lookup = shared.store.lookup
        only = self._rules[0]
        # Then the key of most requests needs nothing but their target.
        self._plain = only.takes is None and only.rules.plain_key and not only.rules.bypass
        self._bypass_cookies = any(each.rules.bypass_cookies for each in self._rules)

    # --- engine.cache.Cache -------------------------------------------------------------------

    def take(self, relay: Relay) -> bool:
        """See ``engine.cache.Cache``.

        What most requests ask for is plain: nothing conditional, a stored response without a Vary
        and fresh. That is answered here, in one look-up (benchmark ``cache-hit``).
        """
        exchange = relay.exchange
        request = exchange.request
        section = request.section
        note = section.cache_note
        if note is None or note[0] is not self._token or note[1] != exchange.scheme:
            note = self._note(exchange, section)
        prefix = note[2]
        target = request.raw_target
        if (
            prefix is not None
            and request.changed_headers is None
            and target[0] == 0x2F
            and (request.method == b"GET" or request.method == b"HEAD")
            and request.framing is NO_CONTENT
        ):
            found = self._lookup(prefix + target)
            if type(found) is tuple and len(found) == 1:
                stored = found[0]
                now = self._clock()
                if now < stored.fresh_until:
                    content = stored.body.whole
                    if content is not None and not relay.is_filtered:
                        self._answer_plainly(relay, stored, content, now)
                        return True
        return self._take(relay)

    def _note(self, exchange: Exchange, section: FieldSection) -> tuple[object, str, bytes | None]:
        """Note with the fields of a request, for the next like it, whether they are plain.

        :returns: who noted it, the scheme, and what stands in the key before the target; ``None``
            there for what needs a closer look.
        """
        plain = self._plain and are_plain(
            section,
            trusting=bool(exchange.pipeline.rules.trusted),
            cookies_matter=self._bypass_cookies,
        )
        prefix = None
        if plain:
            prefix = uri_prefix(self._namespace, exchange.scheme, section.values[b"host"])
        section.cache_note = note = (self._token, exchange.scheme, prefix)
        return note

    def _answer_plainly(
        self, relay: Relay, stored: StoredResponse, content: bytes, now: float
    ) -> None:
        """Answer with a stored response as it is; what was rendered is kept for a second."""
        exchange = relay.exchange
        exchange.cache = "hit"
        rules = exchange.pipeline.rules
        rendering = stored.rendering
        second = int(now)
        if rendering is None or rendering[0] is not rules:
            rendering = _render(stored.head, rules, len(content))
        if rendering[3] != second:
            age = stored.head.age(now)
            lines = b"Age: %d\r\n%s: %s\r\n" % (
                age,
                *hit(rules.pseudonym, stored.head.terms.lifetime - age),
            )
            rendering = (rules, rendering[1], rendering[2], second, rendering[2] + lines)
            stored.rendering = rendering
        relay.send_stored(rendering[1], rendering[4], content)

    def _take(self, relay: Relay) -> bool:
        exchange = relay.exchange
        request = exchange.request
        changed = request.changed_headers
        values = request.section.values if changed is None else changed.section().values
        method = request.method
        if method == b"PURGE" and self._purger is not None:
            self._purger.purge(relay, self._uri_key(exchange))
            return True
        if method != b"GET" and method != b"HEAD":
            self._watch_unsafe(relay)
            return False
        rules = self._rules_for(exchange)
        if passes_by(exchange, values, rules):
            exchange.cache = "bypass"
            relay.watch = partial(_say, relay, b"bypass")
            return False
        key = request_key(exchange, self._namespace, rules, values, forward=self._forward)
        asked = Asked(
            key,
            rules,
            values,
            request_directives(values, rules),
            RequestFacts(method, values, request.path, b"?" in request.origin_target),
            parse_range(values.get(b"range")) if method == b"GET" else None,
            head_only=method == b"HEAD",
            stored_key=self._shared.aliases.resolve(key),
        )
        found = self._lookup(asked.stored_key)
        if isinstance(found, Sequence):
            return self._found(relay, asked, found)
        relay.wait(found, partial(self._found_later, relay, asked))
        return True

    def _found_later(self, relay: Relay, asked: Asked, found: Sequence[StoredResponse]) -> None:
        if not self._found(relay, asked, found):
            relay.ask_upstream()

    def _found(self, relay: Relay, asked: Asked, found: Sequence[StoredResponse]) -> bool:
        """Go on with what is stored; see ``Cache.take`` for what is given."""
        now = self._clock()
        matching = [each for each in found if asked.matches(each.head)]
        matching.sort(key=_newest_first)
        why = b"uri-miss" if not found else b"vary-miss"
        candidates: list[StoredResponse] = []
        for stored in matching:
            age = stored.head.age(now)
            use = decide(stored.head.terms, age, asked.directives)
            if use is Use.VALIDATE:
                fresh = age < stored.head.terms.lifetime and not stored.head.terms.validated_only
                why = b"request" if fresh else b"stale"
                candidates.append(stored)
            elif self._serve(relay, asked, stored, age, use):
                if use is Use.WHILE_REVALIDATING:
                    self._refresh(relay, asked, stored)
                return True
            else:
                why = b"partial"
        if b"only-if-cached" in asked.directives:
            relay.exchange.cache = "miss"
            error = NotStored("nothing usable is stored, and the client wants nothing else")
            name = relay.exchange.pipeline.rules.pseudonym
            answer = error_answer(error, relay.exchange, name.decode("ascii"))
            answer.headers.add(*forwarded(name, why))
            relay.exchange.error_type = error.error_type
            relay.exchange.detail = str(error)
            relay.answer(answer)
            return True
        if asked.head_only:
            relay.exchange.cache = "miss"
            relay.watch = partial(self._head_answered, relay, asked, matching, why)
            return False
        whole = [each for each in candidates if each.head.span is None]
        names = vary_names(found[0].head.section.values.get(b"vary")) if found else ()
        self._fetch(relay, asked, whole, why, names=names)
        return True

    # --- answering ----------------------------------------------------------------------------

    def _serve(
        self, relay: Relay, asked: Asked, stored: StoredResponse, age: float, use: Use
    ) -> bool:
        reader = Reader(relay, asked)
        left = stored.head.terms.lifetime - age
        extra = (age_field(age), hit(relay.exchange.pipeline.rules.pseudonym, left))
        relay.attach(reader)
        label = "hit" if use is Use.FRESH else "stale"
        if reader.serve(stored.head, stored.body, extra, label):
            return True
        reader.release()
        return False

    # --- fetching -----------------------------------------------------------------------------

    def _fetch(
        self,
        relay: Relay,
        asked: Asked,
        candidates: Sequence[StoredResponse],
        why: bytes,
        *,
        names: tuple[bytes, ...] = (),
    ) -> None:
        """Ask the server, or wait for who asks already.

        :param names: the fields that responses under this key vary on, as far as that is known.
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
        plan = Plan(why, candidates, conditional=bool(candidates), table_key=table_key)
        self._start(relay, reader, plan)

    def _start(self, relay: Relay, reader: Reader, plan: Plan) -> None:
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
            or self._shared.is_private(asked.key)
        )

    def ask_alone(
        self, relay: Relay, asked: Asked, candidates: Sequence[StoredResponse], detail: bytes
    ) -> None:
        """Ask the server for one client that must not, or will not, wait for others."""
        why = b"stale" if candidates else b"uri-miss"
        plan = Plan(why, candidates, conditional=bool(candidates), detail=detail)
        self._start(relay, Reader(relay, asked), plan)

    def ask_again(self, relay: Relay, asked: Asked, head: StoredHead) -> None:
        """Ask the server for a client that waited for what turned out to be another variant."""
        names = tuple(name for name, _ in head.selecting)
        self._fetch(relay, asked, (), b"vary-miss", names=names)

    def _refresh(self, relay: Relay, asked: Asked, stored: StoredResponse) -> None:
        """Fetch a fresh response behind the back of the client that got a stale one."""
        asked = evolve(asked, range=None, head_only=False, facts=asked.facts.as_get())
        names = tuple(name for name, _ in stored.head.selecting)
        table_key = _table_key(asked, names)
        if table_key in self._shared.fetches:
            return
        candidates = (stored,) if stored.head.span is None else ()
        plan = Plan(b"stale", candidates, bool(candidates), table_key, background=True)
        fetch = self._make_fetch(relay, asked, plan)
        self._shared.fetches[table_key] = fetch
        fetch.begin()

    def _make_fetch(self, relay: Relay, asked: Asked, plan: Plan) -> Fetch:
        exchange = relay.exchange
        added: list[Field] = []
        if plan.conditional:
            added = conditions(each.head.section.values for each in plan.candidates)
        ranged = asked.range is not None and not plan.conditional
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
        return Fetch(self, own, relay.identity, asked, evolve(plan, conditional=bool(added)))

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

    def mark_private(self, key: bytes) -> None:
        """See ``SharedCache.mark_private``."""
        self._shared.mark_private(key)

    def commit(self, asked: Asked, head: StoredHead, writer: Any) -> None:
        """Store a response whose content is complete."""
        if head.terms.lifetime > head.initial_age and not head.terms.validated_only:
            self._shared.unmark_private(asked.key)
        else:
            # Nobody gains by waiting for what must be validated for each.
            self._shared.mark_private(asked.key)
        self._shared.aliases.note(asked.key, head.section.values.get(b"no-vary-search"))
        if head.span is None:
            head = evolve(head, complete=writer.body.size)
            writer.commit(head, lambda other: other.selecting == head.selecting)
            return
        found = self._lookup(asked.key)
        if isinstance(found, Sequence):
            combine_and_commit(self.store, asked.key, head, writer, found)
        else:
            found.addCallback(partial(combine_and_commit, self.store, asked.key, head, writer))
            found.addErrback(partial(_not_stored, writer))

    def freshen(
        self,
        asked: Asked,
        candidates: Sequence[StoredResponse],
        response: Response,
        requested_at: float,
        responded_at: float,
    ) -> StoredResponse | None:
        """Update what a 304 or a HEAD's response is about (RFC 9111 sections 4.3.4 and 4.3.5).

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
            if storable:
                self.store.update(asked.stored_key, stored, head)
            else:
                # It may answer this once, for it was validated; it may not stay.
                self.store.remove(asked.stored_key, stored)
                stored = StoredResponse(head, stored.body)
            if chosen is None and asked.matches(head):
                chosen = stored
            if not is_strong(entity_tag(values.get(b"etag"))):
                # Of those that a weak validator fits, only the most recent (section 4.3.4).
                break
        return chosen

    # --- other methods ------------------------------------------------------------------------

    def _head_answered(
        self,
        relay: Relay,
        asked: Asked,
        matching: Sequence[StoredResponse],
        why: bytes,
        response: Response,
    ) -> None:
        """Update or give up what is stored by a HEAD's response (RFC 9111 section 4.3.5)."""
        values = response.section.values
        now = self._clock()
        for stored in matching if response.status == 200 else ():
            length = values.get(b"content-length")
            same_length = length is None or length == b"%d" % (stored.head.complete or 0)
            if same_length and validates(values, stored.head.section.values, only=True):
                self.freshen(asked, (stored,), response, now, now)
            else:
                self.store.update(asked.stored_key, stored, stored.head.expired(now))
        _say(relay, why, response)

    def _watch_unsafe(self, relay: Relay) -> None:
        exchange = relay.exchange
        if is_safe(exchange.request.method):
            return
        exchange.cache = "bypass"
        relay.watch = partial(self._unsafe_answered, relay)

    def _unsafe_answered(self, relay: Relay, response: Response) -> None:
        """Invalidate what an unsafe request has changed (RFC 9111 section 4.4)."""
        if not is_error(response.status):
            exchange = relay.exchange
            for key in changed_uris(
                self._uri_key(exchange), self._namespace, response.section.values
            ):
                self.store.purge(self._shared.aliases.resolve(key), soft=False)
        _say(relay, b"method", response)

    # --- keys and rules -----------------------------------------------------------------------

    def _rules_for(self, exchange: Exchange) -> CacheRules:
        for each in self._rules:
            if each.takes is None or each.takes(exchange):
                return each.rules
        return self._rules[-1].rules

    def _uri_key(self, exchange: Exchange) -> bytes:
        return uri_key(exchange, self._namespace, forward=self._forward)


def _table_key(asked: Asked, names: tuple[bytes, ...]) -> tuple[object, ...]:
    """Give what two requests have in common that may wait for each other."""
    asked_range = asked.values.get(b"range") if asked.range is not None else None
    return (asked.key, asked_range, selecting(names, asked.values))


def _newest_first(stored: StoredResponse) -> float:
    return -(parse_date(stored.head.section.values.get(b"date")) or stored.head.responded_at)


def _say(relay: Relay, why: bytes, response: Response) -> None:
    """Add Cache-Status to a response that passes the cache by."""
    name = relay.exchange.pipeline.rules.pseudonym
    response.headers.add(*forwarded(name, why))


def _render(head: StoredHead, rules: Any, size: int) -> tuple[Any, ...]:
    """Render a stored response for the straight path, but for what changes with time."""
    fields = head.section.fields
    if head.status not in (204, 304):
        fields = (*fields, (b"Content-Length", b"%d" % size))
    framing = Length(size) if size else NO_CONTENT
    response = Response.received(
        head.version, head.status, head.reason, FieldSection(fields), framing
    )
    lines = rules.response_fields(response, content_length=True)
    return rules, response, lines, -1, b""


def _not_stored(writer: Any, failure: Failure) -> None:
    writer.abort()
    _log.failure("a part of a response was not stored", failure)
