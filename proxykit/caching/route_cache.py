"""A route's cache: takes its exchanges, answers what it can, fetches what it cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import time

from attrs import evolve, frozen

from ..engine.answers import error_answer
from ..engine.cache import Answerable
from ..engine.exchange import Exchange
from ..errors import ProxykitError
from ..message.dates import parse_date
from ..message.fields import FieldSection
from ..message.framing import NO_CONTENT
from ..net.files import FileRegion
from .answering import Asked
from .control import Purger
from .fetcher import Fetcher
from .gaps import Parts
from .invalidation import is_safe
from .keys import selecting, uri_prefix, vary_names
from .policy import RequestFacts
from .ranges import parse_range
from .reader import Reader
from .rendering import Rendering
from .requests import are_plain, passes_by, request_key, uri_key, uri_scheme
from .rules import CacheRules
from .shared import SharedCache
from .slices import Slices
from .status import age_field, hit
from .storage import Storage
from .stored import StoredResponse
from .use import Use, decide, request_directives
from .variants import choosable
from .watching import Watching

_MOST_NOTED = 32


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
        self._offline_rules = tuple(
            RuleMatch(evolve(each.rules, offline=True), each.takes) for each in self._rules
        )
        self._forward = forward
        self._purger = purger
        self._clock = clock
        self._token = object()  # not the cache itself, which a note would keep alive
        self._storage = storage = Storage(shared)
        self._watching = Watching(storage, namespace, clock)
        self._fetcher = Fetcher(storage)
        self._slices = Slices(storage, self._fetcher, clock)
        self._lookup = shared.store.lookup
        self._at_once: bool = shared.store.at_once
        only = self._rules[0]
        # Then the key of most requests needs nothing but their target.
        said = only.rules
        self._plain = self._at_once and not (
            only.takes is not None or not said.plain_key or said.bypass or said.slice_size
        )
        self._bypass_cookies = any(each.rules.bypass_cookies for each in self._rules)

    # --- engine.cache.Cache -------------------------------------------------------------------

    def take(self, relay: Answerable) -> bool:
        """See ``engine.cache.Cache``.

        What most requests ask for is plain: nothing conditional, and a stored response that is
        fresh. That is answered here, in one look-up (benchmark ``cache-hit``).
        """
        exchange = relay.exchange
        request = exchange.request
        section = request.section
        note = section.cache_note
        if note is None or note[0] is not self._token or note[1] != exchange.scheme:
            note = self._note(exchange, section)
        prefix = note[2]
        target = request.raw_target
        if self._forward:
            target = request.origin_target
        if (
            prefix is not None
            and request.changed_headers is None
            and target[0] == 0x2F
            and (request.method == b"GET" or request.method == b"HEAD")
            and request.framing is NO_CONTENT
        ):
            found = self._lookup(prefix + target)
            if type(found) is tuple and found:
                stored: StoredResponse | None = found[0]
                if len(found) > 1 or found[0].selecting:
                    stored = _variant(found, section, note[3])
                now = self._clock()
                if stored is not None and now < stored.fresh_until:
                    if not relay.is_filtered:
                        body = stored.body
                        content = body.whole
                        if content is None:
                            content = body.file_region()
                        if content is not None:
                            self._answer_plainly(relay, stored, content, now)
                            return True
        return self._take(relay)

    def _note(
        self, exchange: Exchange, section: FieldSection
    ) -> tuple[object, str, bytes | None, dict[object, bool]]:
        """Note with the fields of a request, for the next like it, whether they are plain.

        :returns: who noted it, the scheme, and what stands in the key before the target, ``None``
            for what needs a closer look; then which variants these fields match.
        """
        plain = self._plain and are_plain(
            section,
            trusting=bool(exchange.pipeline.rules.trusted),
            cookies_matter=self._bypass_cookies,
        )
        prefix = None
        if plain:
            # A forward proxy is asked for http:// only, and Host names what the target names.
            scheme = "http" if self._forward else exchange.scheme
            prefix = uri_prefix(self._namespace, scheme, section.values[b"host"])
        noted: dict[object, bool] = {}
        note = (self._token, exchange.scheme, prefix, noted)
        section.cache_note = note
        return note

    def _answer_plainly(
        self, relay: Answerable, stored: StoredResponse, content: bytes | FileRegion, now: float
    ) -> None:
        """Answer with a stored response as it is; what was rendered is kept for a second."""
        exchange = relay.exchange
        exchange.cache = "hit"
        rules = exchange.pipeline.rules
        rendering = stored.rendering
        second = int(now)
        if rendering is None or rendering.rules is not rules:
            rendering = stored.rendering = Rendering.of(stored.head, rules, len(content))
        if rendering.second != second:
            rendering.set_age(stored.head, now)
        relay.send_stored(rendering.response, rendering.lines, content)

    def _take(self, relay: Answerable) -> bool:
        exchange = relay.exchange
        request = exchange.request
        changed = request.changed_headers
        values = request.section.values if changed is None else changed.section().values
        method = request.method
        if method == b"PURGE" and self._purger is not None:
            self._purger.purge(relay, self._uri_key(exchange))
            return True
        if method != b"GET" and method != b"HEAD":
            if not is_safe(method):
                exchange.cache = "bypass"
                if exchange.authority.host:
                    self._watching.unsafe(relay, self._uri_key(exchange))
                else:
                    # HTTP/1.0 without Host: nothing is stored of it that it could change.
                    self._watching.passed(relay, b"method")
            return False
        rules = self._rules_for(exchange)
        directives = request_directives(values, rules)
        if passes_by(exchange, values, rules):
            exchange.cache = "bypass"
            if b"only-if-cached" in directives:
                _answer_not_stored(relay)
                return True
            self._watching.passed(relay, b"bypass")
            return False
        key = request_key(exchange, self._namespace, rules, values, forward=self._forward)
        asked = Asked(
            key,
            rules,
            values,
            directives,
            RequestFacts(
                method,
                values,
                request.path,
                b"?" in request.origin_target,
                uri_scheme(exchange, forward=self._forward) == "https",
            ),
            parse_range(values.get(b"range")) if method == b"GET" else None,
            head_only=method == b"HEAD",
            stored_key=self._shared.aliases.resolve(key),
        )
        if rules.slice_size and self._may_slice(asked):
            relay.wait(self._slices.first(relay, asked), partial(self._sliced, relay, asked))
            return True
        if self._at_once:
            there = self._lookup(asked.stored_key)
            if isinstance(there, Sequence):
                return self._found(relay, asked, there)
        found = self._storage.lookup(asked.stored_key)
        relay.wait(found, partial(self._found_later, relay, asked))
        return True

    def _may_slice(self, asked: Asked) -> bool:
        return not (
            asked.head_only
            or b"only-if-cached" in asked.directives
            or b"no-store" in asked.directives
            or self._shared.is_private(asked.key)
        )

    def _sliced(
        self, relay: Answerable, asked: Asked, found: tuple[StoredResponse | None, bool]
    ) -> None:
        first, fetched = found
        if first is None or not self._slices.serve(relay, asked, first, fetched=fetched):
            relay.exchange.cache = "miss"
            self._watching.passed(relay, b"miss")
            relay.ask_upstream()

    def _found_later(
        self, relay: Answerable, asked: Asked, found: Sequence[StoredResponse]
    ) -> None:
        if not self._found(relay, asked, found):
            relay.ask_upstream()

    def _found(self, relay: Answerable, asked: Asked, found: Sequence[StoredResponse]) -> bool:
        """Go on with what is stored; see ``Cache.take`` for what is given."""
        now = self._clock()
        matching = [each for each in found if asked.matches(each.head)]
        # RFC 9111 section 4: the most recent; section 4.1: of those with Vary, if there are some.
        matching.sort(key=_newest_first)
        matching.sort(key=_without_vary)
        why = b"uri-miss" if not found else b"vary-miss"
        candidates: list[StoredResponse] = []
        for stored in matching:
            age = stored.head.age(now)
            use = decide(stored.head.terms, age, asked.directives, offline=asked.rules.offline)
            if use is Use.VALIDATE:
                fresh = age < stored.head.terms.lifetime and not stored.head.terms.validated_only
                why = b"request" if fresh else b"stale"
                candidates.append(stored)
            elif self._serve(relay, asked, stored, age, use):
                if use is Use.WHILE_REVALIDATING:
                    self._fetcher.refresh(relay, asked, stored)
                return True
            else:
                why = b"partial"
        parts = None
        if why == b"partial" or candidates:
            parts = Parts.of(asked, matching)
            if parts is not None and parts.gap is None and self._serve_parts(relay, asked, parts):
                return True
        if b"only-if-cached" in asked.directives:
            relay.exchange.cache = "miss"
            _answer_not_stored(relay)
            return True
        if asked.head_only:
            relay.exchange.cache = "miss"
            self._watching.head(relay, asked, matching, why)
            return False
        if not matching and self._shared.is_private(asked.key):
            # It was not for the cache a moment ago: the client's own request goes, conditions
            # and all.
            relay.exchange.cache = "miss"
            self._watching.passed(relay, why)
            return False
        whole = sorted([each for each in candidates if each.head.span is None], key=_newest_first)
        names = vary_names(found[0].head.section.values.get(b"vary")) if found else ()
        if parts is not None and not whole and parts.may_fill(asked):
            self._fetcher.fetch(relay, asked, (), b"partial", names=names, parts=parts)
        else:
            others = () if matching or asked.range is not None else choosable(found, asked.values)
            self._fetcher.fetch(relay, asked, whole, why, variants=others, names=names)
        return True

    # --- answering ----------------------------------------------------------------------------

    def _serve(
        self, relay: Answerable, asked: Asked, stored: StoredResponse, age: float, use: Use
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

    def _serve_parts(self, relay: Answerable, asked: Asked, parts: Parts) -> bool:
        """Answer out of several parts that hold, together, what is asked for."""
        head = parts.head()
        age = head.age(self._clock())
        use = decide(head.terms, age, asked.directives, offline=asked.rules.offline)
        if use is Use.VALIDATE:
            return False
        if not self._serve(relay, asked, StoredResponse(head, parts.body()), age, use):
            return False
        if use is Use.WHILE_REVALIDATING:
            # What they are together is in no store, and no 304 could update it there.
            self._fetcher.refresh(relay, asked, parts.stored[0])
        return True

    # --- keys and rules -----------------------------------------------------------------------

    def _rules_for(self, exchange: Exchange) -> CacheRules:
        rules = self._offline_rules if self._shared.offline else self._rules
        for each in rules:
            if each.takes is None or each.takes(exchange):
                return each.rules
        return rules[-1].rules

    def _uri_key(self, exchange: Exchange) -> bytes:
        return uri_key(exchange, self._namespace, forward=self._forward)


def _variant(
    found: tuple[StoredResponse, ...], section: FieldSection, noted: dict[object, bool]
) -> StoredResponse | None:
    """Give the one stored response that a request's fields select.

    :param noted: which variants these fields were found to match, or not to.
    :returns: ``None`` when there is none, or more than one to choose from.
    """
    chosen: StoredResponse | None = None
    for stored in found:
        variant = stored.selecting
        matches = noted.get(variant)
        if matches is None:
            if len(noted) >= _MOST_NOTED:
                noted.clear()
            names = tuple(name for name, _ in variant)
            matches = noted[variant] = selecting(names, section.values) == variant
        if matches:
            if chosen is not None:
                return None
            chosen = stored
    return chosen


def _newest_first(stored: StoredResponse) -> float:
    return -(parse_date(stored.head.section.values.get(b"date")) or stored.head.responded_at)


def _without_vary(stored: StoredResponse) -> bool:
    return not stored.selecting


def _answer_not_stored(relay: Answerable) -> None:
    """Answer a request for what is stored that nothing is.

    There is no Cache-Status: the answer is of no stored response (RFC 9211 section 2).
    """
    exchange = relay.exchange
    error = NotStored("nothing usable is stored, and the client wants nothing else")
    answer = error_answer(error, exchange, exchange.pipeline.rules.pseudonym.decode("ascii"))
    exchange.error_type = error.error_type
    exchange.detail = str(error)
    relay.answer(answer)
