"""RFC 9111's decisions on a stored response: may it be used for a request (section 4)."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from .directives import NO_DIRECTIVES, Directives, parse_directives
from .policy import Terms
from .rules import CacheRules

_ONLY_STORED = Directives({b"only-if-cached": (None,)})
_NOT_STORED = Directives({b"no-store": (None,)})


class Use(enum.Enum):
    """What may be done with a stored response."""

    FRESH = "fresh"
    STALE = "stale"  # the client takes it as it is (max-stale)
    WHILE_REVALIDATING = "stale while revalidating"  # use it, and fetch a fresh one meanwhile
    VALIDATE = "validate"


def request_directives(values: Mapping[bytes, bytes], rules: CacheRules) -> Directives:
    """Give the directives of a request that count.

    ``Pragma: no-cache`` counts where there is no Cache-Control (RFC 9111 section 5.4 has it
    deprecated, not forbidden, and clients of 1997 are still sold in boxes). ``only-if-cached``
    counts whatever the rules say: it asks for less, and a sibling that is told to fetch is none.
    """
    value = values.get(b"cache-control")
    if value is None and b"pragma" in values and rules.obey_clients and not rules.offline:
        pragma = parse_directives(values[b"pragma"])
        return Directives({b"no-cache": (None,)}) if b"no-cache" in pragma else NO_DIRECTIVES
    found = parse_directives(value)
    only_stored = b"only-if-cached" in found
    if not rules.obey_clients:
        return _ONLY_STORED if only_stored else NO_DIRECTIVES
    if rules.offline and not only_stored:
        return _NOT_STORED if b"no-store" in found else NO_DIRECTIVES
    return found


def decide(terms: Terms, age: float, directives: Directives, *, offline: bool = False) -> Use:
    """Decide how a stored response may be used.

    :param age: its current age in seconds (RFC 9111 section 4.2.3).
    :param directives: of the request; see ``request_directives``.
    :param offline: see ``CacheRules``. Section 4.2.4 lets a cache that is disconnected use what is
        stale, but for what forbids that; and ``only-if-cached`` comes from siblings, which are not
        disconnected: they say ``max-stale`` when they want that.
    """
    if terms.validated_only or b"no-cache" in directives:
        return Use.VALIDATE
    most = directives.seconds(b"max-age")
    left = terms.lifetime - age
    # A reload (max-age=0) is no reason to ask for what never changes (RFC 8246 section 2).
    reload_of_immutable = most == 0 and terms.immutable and left > 0
    if most is not None and (age >= most + 1 or most == 0) and not reload_of_immutable:
        return Use.VALIDATE
    wanted = directives.seconds(b"min-fresh")
    if wanted is not None and left < wanted:
        return Use.VALIDATE
    if left > 0:
        return Use.FRESH
    if terms.never_stale:
        return Use.VALIDATE
    if offline and b"only-if-cached" not in directives:
        return Use.STALE
    if b"max-stale" in directives:
        argument = directives.argument(b"max-stale")
        if argument is None or -left <= (directives.seconds(b"max-stale") or 0):
            return Use.STALE
    if most is None and wanted is None and -left < terms.stale_while_revalidate:
        return Use.WHILE_REVALIDATING
    return Use.VALIDATE


def usable_on_error(terms: Terms, age: float, directives: Directives) -> bool:
    """Say whether a stale response may be used because a fresh one cannot be had (RFC 5861).

    ``stale-if-error`` of the request counts as the response's own does.
    """
    if terms.validated_only or terms.never_stale or b"no-cache" in directives:
        return False
    allowed = terms.stale_if_error
    asked = directives.seconds(b"stale-if-error")
    if asked is not None:
        allowed = max(allowed, float(asked))
    return age - terms.lifetime < allowed
