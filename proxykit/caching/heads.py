"""Heads as they are stored, and as a 304 or a HEAD's response updates them (RFC 9111 section 3)."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, frozen

from ..message.dates import format_date, parse_date
from ..message.fields import Field, FieldSection
from ..message.framing import Framing, Length, NoContent, UntilClose
from ..message.response import Response
from .answering import Asked
from .keys import selecting, vary_names
from .policy import NEVER_STORED, Terms, Verdict, initial_age, judge
from .ranges import parse_content_range
from .stored import StoredHead
from .tags import tags_of
from .validation import updated_fields

_MADE_ANEW = frozenset({b"age", b"content-length"})
_OF_A_PART = frozenset({b"content-range"})
_TAGS = frozenset({b"surrogate-key", b"cache-tag"})
_NOBODYS_OWN = NEVER_STORED | _MADE_ANEW | _OF_A_PART | {b"date"}

USED_ONCE = Terms(0.0)
"""The terms of what answers the requests that wait for it, and no other."""


@frozen(slots=True, eq=False)
class Arrival:
    """A response that is arriving, for who waits for it.

    :ivar status: as the server said it.
    :ivar own: fields for the client whose request was sent, which nobody else gets.
    :ivar is_aged: whether it came with an Age, as what another cache has stored does.
    """

    head: StoredHead
    status: int
    own: tuple[Field, ...] = ()
    is_aged: bool = False

    @classmethod
    def of(
        cls, head: StoredHead, response: Response, named: frozenset[bytes] = frozenset()
    ) -> Arrival:
        """Take a response as it came.

        :param head: what would be stored of it.
        :param named: the fields that are not stored with it, in lower case.
        """
        own = own_fields(response, named)
        return cls(head, response.status, own, b"age" in response.section.values)


def make_head(
    asked: Asked,
    response: Response,
    verdict: Verdict,
    requested_at: float,
    responded_at: float,
) -> StoredHead | None:
    """Make what is stored of a response's head.

    :param requested_at: when it was asked for, in seconds since 1970.
    :param responded_at: when it came.
    :returns: ``None`` for a part of something whose whole length is not known.
    """
    section = response.section
    framing = response.framing
    status, reason, span, complete = response.status, response.reason, None, None
    if isinstance(framing, Length):
        complete = framing.size
    elif isinstance(framing, NoContent):
        complete = 0
    if status == 206:
        part = parse_content_range(section.values.get(b"content-range"))
        if part is None or part.complete is None or part.span.size != complete:
            return None
        # RFC 9111 section 3.4: it is a part of the 200 that might have been sent.
        status, reason, complete = 200, b"OK", part.complete
        span = part.span if part.span.size != part.complete else None
    dropped = verdict.dropped | NEVER_STORED | section.options | _MADE_ANEW
    if response.status == 206:
        dropped |= _OF_A_PART  # in any other response it means nothing (RFC 9110 section 14.4)
    if asked.rules.tags:
        dropped |= _TAGS
    fields = [field for field in section.fields if field[0].lower() not in dropped]
    if b"date" in dropped or parse_date(section.values.get(b"date")) is None:
        fields = _dated(fields, responded_at)
    names = vary_names(section.values.get(b"vary"))
    return StoredHead(
        status,
        reason,
        response.version,
        FieldSection(tuple(fields)),
        responded_at,
        initial_age(section.values, requested_at, responded_at),
        _terms(verdict, framing),
        selecting(names, asked.values),
        tags_of(section.values) if asked.rules.tags else frozenset(),
        span,
        complete,
    )


def own_fields(response: Response, named: frozenset[bytes]) -> tuple[Field, ...]:
    """Give the fields of a response that are not stored with it, but are its first reader's.

    :param named: those that ``private`` or ``no-cache`` names, in lower case.
    """
    if not named:
        return ()
    section = response.section
    mine = named - _NOBODYS_OWN - section.options
    return tuple(field for field in section.fields if field[0].lower() in mine)


def _dated(fields: Iterable[Field], received_at: float) -> list[Field]:
    """Give a Date to what has none; RFC 9110 section 6.6.1: who stores a response adds one."""
    others = [field for field in fields if field[0].lower() != b"date"]
    return [*others, (b"Date", format_date(received_at))]


def _terms(verdict: Verdict, framing: Framing) -> Terms:
    terms = verdict.terms or USED_ONCE
    if terms.immutable and isinstance(framing, UntilClose):
        # RFC 8246 section 3: nothing says that this is all of it, so a reload may ask.
        return evolve(terms, immutable=False)
    return terms


def freshened_head(
    asked: Asked,
    old: StoredHead,
    response: Response,
    requested_at: float,
    responded_at: float,
    *,
    chosen: bool = False,
) -> tuple[StoredHead, bool]:
    """Update a stored head by a response that validates it (RFC 9111 sections 3.2 and 4.3.4).

    :param chosen: whether it is this request's from now on, though other fields had selected it.
    :returns: the new head, and whether it may still be stored.
    """
    fresh = response.section
    fields = updated_fields(old.section.fields, fresh.fields, fresh.options)
    if b"date" in fresh.options or parse_date(fresh.values.get(b"date")) is None:
        # Else it would be as old for those behind us as what was stored (RFC 9111 section 4.2.3).
        fields = (*_dated(fields, responded_at),)
    values = FieldSection(fields).values
    verdict = judge(asked.facts.as_get(), old.status, values, asked.rules, responded_at)
    terms = verdict.terms or USED_ONCE
    dropped = verdict.dropped | _TAGS if asked.rules.tags else verdict.dropped
    kept = [each for each in fields if each[0].lower() not in dropped]
    section = FieldSection(tuple(_dated(kept, responded_at) if b"date" in dropped else kept))
    # Vary may be a field that was not stored.
    names = vary_names(values.get(b"vary")) or tuple(name for name, _ in old.selecting)
    head = evolve(
        old,
        section=section,
        responded_at=responded_at,
        initial_age=initial_age(fresh.values, requested_at, responded_at),
        terms=evolve(terms, immutable=terms.immutable and old.terms.immutable),
        selecting=selecting(names, asked.values) if chosen or asked.matches(old) else old.selecting,
    )
    return head, verdict.terms is not None


def may_stay(asked: Asked, fresh: StoredHead) -> bool:
    """Say whether a response that may not be updated may stay stored as it was.

    RFC 9111 section 5.2.1.5: what a client says, such as no-store, keeps the new fields from being
    stored, and is nothing to what is stored already.

    :param fresh: the head with the new fields; see ``freshened_head``.
    """
    facts = asked.facts.as_anybodys()
    values = fresh.section.values
    return judge(facts, fresh.status, values, asked.rules, fresh.responded_at).terms is not None
