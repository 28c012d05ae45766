"""A stored response: its head as a value, and its body in a store."""

from __future__ import annotations

from typing import Any

from attrs import evolve, field, frozen

from ..message.fields import FieldSection
from .policy import Terms
from .ranges import Span

Selecting = tuple[tuple[bytes, bytes | None], ...]


@frozen(slots=True, eq=False)
class StoredHead:
    """All that is stored of a response but its content. Times are in seconds since 1970.

    :ivar section: the fields, without those of the connection, Age, and what must not be stored.
    :ivar version: HTTP/1's minor version of who sent it.
    :ivar responded_at: when it came.
    :ivar initial_age: how old it was then (RFC 9111 section 4.2.3), in seconds.
    :ivar selecting: the request's fields that Vary nominates, normalised.
    :ivar terms: on what terms it may be used.
    :ivar tags: names by which it can be purged.
    :ivar span: what part of the whole is stored, ``None`` for all of it.
    :ivar complete: the length of the whole, ``None`` while it is not known.
    """

    status: int
    reason: bytes
    version: int
    section: FieldSection
    responded_at: float
    initial_age: float
    terms: Terms
    selecting: Selecting = ()
    tags: frozenset[bytes] = frozenset()
    span: Span | None = None
    complete: int | None = None
    size: int = field(init=False)

    @size.default
    def _size(self) -> int:
        fields = sum(len(name) + len(value) for name, value in self.section.fields)
        # The fields as such, and as they are sent: see ``caching.rendering``.
        return 2 * fields + 160 * len(self.section.fields) + sum(map(len, self.tags))

    def age(self, now: float) -> float:
        """Give the current age (RFC 9111 section 4.2.3); a clock set back makes nothing younger."""
        return self.initial_age + max(0.0, now - self.responded_at)

    def expired(self, now: float) -> StoredHead:
        """Give the same head, stale from now on: it may still be validated, or used while stale."""
        lifetime = min(self.terms.lifetime, self.age(now))
        return evolve(self, terms=evolve(self.terms, lifetime=lifetime, immutable=False))


@frozen(slots=True)
class ShownBody:
    """Content that is only spoken of: see ``ICacheInspection.entries``.

    :ivar size: in bytes.
    """

    size: int


@frozen(slots=True)
class StoreStatistics:
    """What a store holds, summed up.

    :ivar entries: how many keys.
    :ivar bytes: how much room they take, all that is counted against the limit.
    :ivar limit: how much there is, ``None`` when the store does not know.
    :ivar evicted: how many entries gave way to others so far, ``None`` when it does not know.
    """

    entries: int
    bytes: int
    limit: int | None = None
    evicted: int | None = None


class StoredResponse:
    """A response in a store.

    :ivar head: a store replaces it when the response was validated.
    :ivar body: an ``IStoredBody``.
    :ivar fresh_until: until when it is fresh, for whoever asks nothing special; 0 when something
        about it needs a closer look: it is a part of a whole, or says ``no-cache``.
    :ivar selecting: the head's.
    :ivar rendering: how it was sent last: see ``caching.rendering``.
    """

    __slots__ = ("_head", "body", "fresh_until", "rendering", "selecting")

    def __init__(self, head: StoredHead, body: Any) -> None:
        """Take what was stored."""
        self.body = body
        self.head = head

    @property
    def head(self) -> StoredHead:
        """The head."""
        return self._head

    @head.setter
    def head(self, head: StoredHead) -> None:
        self._head = head
        self.rendering: Any = None
        self.selecting = head.selecting
        closer_look = head.span is not None or head.terms.validated_only
        self.fresh_until = (
            0.0 if closer_look else head.responded_at - head.initial_age + head.terms.lifetime
        )

    def __repr__(self) -> str:
        return f"<StoredResponse {self._head.status} {self.body.size} bytes>"
