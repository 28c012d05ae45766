"""What an operator may say of caching, beyond what the messages say: one frozen value a rule."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from attrs import field, frozen


class Query(enum.Enum):
    """What of a query is part of the key."""

    KEEP = "keep"
    SORT = "sort"
    IGNORE = "ignore"


@frozen(slots=True, eq=False)
class CacheRules:
    """The rules for one kind of exchange. Times are in seconds.

    :ivar bypass: nothing is looked up, nothing stored.
    :ivar bypass_cookies: a request with one of these cookies passes the cache by.
    :ivar lifetime: the freshness of a response that says nothing of its own; ``None``: heuristic.
    :ivar force_lifetime: the freshness of every response that may be stored, whatever it says.
    :ivar lifetimes: by status, for responses that say nothing: negative caching.
    :ivar heuristic_part: what part of the time since Last-Modified a guess comes to, ``None`` for
        the usual, and for no guess where there is a ``lifetime``. Where both are said, the longer
        counts.
    :ivar heuristic_limit: the most that a guess may come to.
    :ivar stale_while_revalidate: for responses that do not say; see RFC 5861.
    :ivar stale_if_error: the same.
    :ivar allow_set_cookie: whether a response with Set-Cookie may be stored without ``public``.
    :ivar allow_errors: whether errors that a request may provoke may be stored when they say how
        long they are fresh.
    :ivar obey_clients: whether clients' Cache-Control counts.
    :ivar offline: whether what is stored is used without validation, however stale, unless it
        forbids that itself.
    :ivar query: what of the query is in the key.
    :ivar query_ignore: names of parameters that are not; a final ``*`` takes all that begin so.
    :ivar query_only: if not empty, only these are.
    :ivar key_headers: request fields that are part of the key, in lower case.
    :ivar key_cookies: cookies that are.
    :ivar slice_size: responses are kept in slices of so many bytes; 0: whole.
    :ivar targets: the targeted fields that count here (RFC 9213), in lower case, best first.
    :ivar tags: whether Surrogate-Key and Cache-Tag are taken in and kept from clients.
    """

    bypass: bool = False
    bypass_cookies: frozenset[bytes] = frozenset()
    lifetime: float | None = None
    force_lifetime: float | None = None
    lifetimes: Mapping[int, float] = field(factory=dict)
    heuristic_part: float | None = None
    heuristic_limit: float = 86_400.0
    stale_while_revalidate: float | None = None
    stale_if_error: float | None = None
    allow_set_cookie: bool = False
    allow_errors: bool = False
    obey_clients: bool = True
    offline: bool = False
    query: Query = Query.KEEP
    query_ignore: tuple[bytes, ...] = ()
    query_only: tuple[bytes, ...] = ()
    key_headers: tuple[bytes, ...] = ()
    key_cookies: tuple[bytes, ...] = ()
    slice_size: int = 0
    targets: tuple[bytes, ...] = ()
    tags: bool = False

    @property
    def plain_key(self) -> bool:
        """Whether the key is the target URI and nothing else."""
        return not (
            self.query is not Query.KEEP
            or self.query_ignore
            or self.query_only
            or self.key_headers
            or self.key_cookies
        )


PLAIN_RULES = CacheRules()
