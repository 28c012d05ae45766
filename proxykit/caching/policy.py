"""RFC 9111's decisions on a response that came: may it be stored, and on what terms.

Pure: fields, times and rules in, values out; no clock, no store, no mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from mimetypes import MimeTypes

from attrs import evolve, frozen

from ..message.dates import parse_date
from .directives import Directives, parse_directives, parse_seconds, parse_targeted
from .rules import CacheRules

# RFC 9110 section 15.1, without those that a hostile request can provoke for everybody: 414, and
# with them all other errors that are the request's fault or a server's bad moment. Storing is
# never demanded ("MAY"), and a stored 400 is how a cache is poisoned with errors.
HEURISTIC = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 410})
UNDERSTOOD = HEURISTIC | {302, 303, 307, 451}
"""The final status codes whose caching is understood here (RFC 9111 section 3)."""

# The others of section 15.1, for who allows errors; 501 may be a server's bad moment, too.
_HEURISTIC_ERRORS = frozenset({405, 414, 501})
# These answer a field of one request that is no part of the key (304, 412, 416, 417), or are
# content that means nothing without another (226, RFC 3229 section 10.4.1).
_NEVER = frozenset({226, 304, 412, 416, 417})

_MEDIA_TYPES = MimeTypes()  # Python's own table; this machine's files have no say

_HEURISTIC_PART = 0.1  # RFC 9111 section 4.2.2: "A typical setting of this fraction might be 10%"
# What is not there may be at any moment, and its Last-Modified is often the error page's own.
_LONGEST_GUESS_OF_ABSENCE = 120.0  # precedent: Varnish's default_ttl, which a 404 gets too

_PAGES = (b"text/html", b"application/xhtml+xml", b"application/json")

NEVER_STORED = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        # RFC 9111 section 3.1: these MUST NOT be stored unless meant for this cache.
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
    }
)
"""Fields that are not stored, beside those that Connection names (RFC 9111 section 3.1)."""


@frozen(slots=True)
class RequestFacts:
    """What a decision needs to know of a request.

    :ivar values: its fields' combined values, by names in lower case.
    :ivar query: whether its target has a query.
    :ivar path: its path, for the guess at a media type.
    :ivar secure: whether the scheme of its target is https.
    """

    method: bytes
    values: Mapping[bytes, bytes]
    path: str = "/"
    query: bool = False
    secure: bool = False

    def as_get(self) -> RequestFacts:
        """Give the facts of the GET that a HEAD is like."""
        if self.method == b"GET":
            return self
        return evolve(self, method=b"GET")

    def as_anybodys(self) -> RequestFacts:
        """Give the facts without what one client said of itself or for itself."""
        return evolve(self.as_get(), values={})


@frozen(slots=True)
class Terms:
    """On what terms a stored response may be used. Times are in seconds.

    :ivar lifetime: how old it may get and still be fresh (RFC 9111 section 4.2.1).
    :ivar validated_only: ``no-cache``: never without validation.
    :ivar never_stale: ``must-revalidate``, ``proxy-revalidate`` or ``s-maxage``: once stale, never
        without validation, whatever happens.
    :ivar stale_while_revalidate: how long past its freshness it may be used while a fresh one is
        fetched (RFC 5861 section 3).
    :ivar stale_if_error: and when that fails (section 4).
    :ivar immutable: a fresh one is not validated for a mere reload (RFC 8246).
    """

    lifetime: float
    validated_only: bool = False
    never_stale: bool = False
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    immutable: bool = False


@frozen(slots=True)
class Verdict:
    """Whether a response may be stored.

    :ivar reason: why not; ``""`` when it may.
    :ivar terms: on what terms it may be used, ``None`` when it may not be stored.
    :ivar dropped: fields that are not stored with it, in lower case.
    :ivar shareable: whether the exchanges that wait for it may have it, stored or not.
    """

    reason: str
    terms: Terms | None = None
    dropped: frozenset[bytes] = frozenset()
    shareable: bool = False


def response_directives(
    values: Mapping[bytes, bytes], targets: tuple[bytes, ...]
) -> tuple[Directives, bool]:
    """Give the directives that count for this cache.

    :param targets: see ``CacheRules.targets``.
    :returns: the directives, and whether a targeted field gave them: then Cache-Control and
        Expires do not count at all (RFC 9213 section 2.2).
    """
    for target in targets:
        found = parse_targeted(values.get(target))
        if found is not None:
            return found, True
    return parse_directives(values.get(b"cache-control")), False


def judge(
    request: RequestFacts,
    status: int,
    values: Mapping[bytes, bytes],
    rules: CacheRules,
    responded_at: float,
) -> Verdict:
    """Decide whether a response may be stored (RFC 9111 section 3).

    :param values: the response's fields' combined values, by names in lower case.
    :param responded_at: when it came, in seconds since 1970.
    """
    directives, targeted = response_directives(values, rules.targets)
    reason = _forbidden(request, status, values, directives, rules)
    if reason:
        return Verdict(reason)
    terms = make_terms(request, status, values, directives, rules, responded_at, targeted=targeted)
    dropped = _named(directives)
    # No decision of storing, only of those who asked at the same time: an error of the server's
    # is one answer for the whole crowd.
    shareable = status >= 500
    if not _may_be_stored(status, rules):
        return Verdict(f"a {status} is not stored", shareable=shareable)
    if terms is None:
        return Verdict("nothing says how long it is fresh")
    if terms.lifetime <= 0 or terms.validated_only:
        usable_later = (
            b"etag" in values
            or b"last-modified" in values
            or (terms.stale_while_revalidate or terms.stale_if_error) > 0
        )
        if not usable_later:
            return Verdict("it is not fresh and cannot be validated")
    return Verdict("", terms, dropped, shareable=True)


def _may_be_stored(status: int, rules: CacheRules) -> bool:
    """Say whether a response of this status is stored when it says how long it is fresh.

    RFC 9111 section 3 asks for no understanding of a status code, but where must-understand stands:
    an unknown 2xx is like a 200 (RFC 9110 section 15).
    """
    if status in UNDERSTOOD:
        return True
    return (status // 100 == 2 or rules.allow_errors) and status not in _NEVER


def _forbidden(
    request: RequestFacts,
    status: int,
    values: Mapping[bytes, bytes],
    directives: Directives,
    rules: CacheRules,
) -> str:
    """Give why a response must not be stored or shared, ``""`` if nothing forbids it."""
    if request.method != b"GET":
        return "only responses to GET are stored"
    if b"no-store" in parse_directives(request.values.get(b"cache-control")):
        return "the request says no-store"
    # RFC 9111 section 5.2.2.3: who understands the status code of a must-understand response
    # ignores the no-store that stands beside it for those who do not.
    understood = status in UNDERSTOOD
    if b"must-understand" in directives:
        if not understood:
            return "the response says must-understand"
    elif b"no-store" in directives:
        return "the response says no-store"
    if directives.unqualified(b"private"):
        return "the response is private"
    if not _UNKNOWN_TO_US.isdisjoint(_members(values.get(b"vary"))):
        return "it varies on what is not in the request"
    if b"authorization" in request.values and not (
        b"public" in directives or b"must-revalidate" in directives or b"s-maxage" in directives
    ):
        return "the request has Authorization"
    if (
        b"set-cookie" in values
        and b"set-cookie" not in _named(directives)
        and not (rules.allow_set_cookie or b"public" in directives)
    ):
        return "the response sets a cookie"
    return ""


def named_fields(values: Mapping[bytes, bytes], rules: CacheRules) -> frozenset[bytes]:
    """Give the fields that a response says are for one client, in lower case.

    RFC 9111 sections 5.2.2.4 and 5.2.2.7: those that ``private`` or ``no-cache`` names.

    :param values: the response's fields' combined values, by names in lower case.
    """
    return _named(response_directives(values, rules.targets)[0])


def _named(directives: Directives) -> frozenset[bytes]:
    return directives.field_names(b"private") | directives.field_names(b"no-cache")


# What Vary may name and no key can hold: everything, and what the proxy itself says to the server.
_UNKNOWN_TO_US = frozenset({b"*", b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip"})


def _members(value: bytes | None) -> list[bytes]:
    return [each.strip(b" \t").lower() for each in value.split(b",")] if value else []


def make_terms(
    request: RequestFacts,
    status: int,
    values: Mapping[bytes, bytes],
    directives: Directives,
    rules: CacheRules,
    responded_at: float,
    *,
    targeted: bool,
) -> Terms | None:
    """Compute the terms of a response.

    :returns: ``None`` when neither it nor a rule nor a guess says how long it is fresh.
    """
    explicit = explicit_lifetime(values, directives, responded_at, targeted=targeted)
    lifetime = explicit
    forced = rules.force_lifetime is not None and status in UNDERSTOOD
    if forced and _is_what_it_seems(request, values):
        lifetime = rules.force_lifetime
    elif explicit is None:
        lifetime = _unsaid_lifetime(request, status, values, directives, rules, responded_at)
    if lifetime is None:
        # It may be kept to be validated, by its own word or because that is harmless: a page for
        # somebody's cookie that says nothing is not, for some servers compare nothing but dates.
        said = b"no-cache" in directives or b"public" in directives
        if not said and (not _may_be_guessed(status, rules) or b"cookie" in request.values):
            return None
        if not _validatable(values):
            return None
        lifetime = 0.0
    stale_while = directives.seconds(b"stale-while-revalidate")
    if_error = directives.seconds(b"stale-if-error")
    return Terms(
        lifetime,
        validated_only=directives.unqualified(b"no-cache") and not forced,
        never_stale=(
            b"must-revalidate" in directives
            or b"proxy-revalidate" in directives
            or b"s-maxage" in directives
        ),
        stale_while_revalidate=float(
            stale_while if stale_while is not None else rules.stale_while_revalidate or 0
        ),
        stale_if_error=float(if_error if if_error is not None else rules.stale_if_error or 0),
        # RFC 8246 section 3: not without the authentication of https.
        immutable=b"immutable" in directives and request.secure,
    )


def explicit_lifetime(
    values: Mapping[bytes, bytes],
    directives: Directives,
    responded_at: float,
    *,
    targeted: bool = False,
) -> float | None:
    """Give the freshness lifetime that a response states (RFC 9111 section 4.2.1).

    :returns: seconds, ``None`` when it states none.
    """
    for name in (b"s-maxage", b"max-age"):
        seconds = directives.seconds(name)
        if seconds is not None:
            return float(seconds)
    if targeted or b"expires" not in values:
        return None
    value = values[b"expires"]
    # Section 4.2: a zone other than GMT is invalid here, though UTC is understood everywhere else.
    expires = None if value[-3:].upper() == b"UTC" else parse_date(value)
    if expires is None:
        return 0.0  # section 5.3: an invalid date, "0" above all, is in the past
    date = parse_date(values.get(b"date"))
    return max(0.0, expires - (responded_at if date is None else date))


def _unsaid_lifetime(
    request: RequestFacts,
    status: int,
    values: Mapping[bytes, bytes],
    directives: Directives,
    rules: CacheRules,
    responded_at: float,
) -> float | None:
    """Give the lifetime of a response that states none: a rule's, or a guess (section 4.2.2).

    What says nothing is taken for fresh only where that is likely harmless: not for a request
    with a cookie, and not when the content is no such thing as the path makes believe.
    """
    if b"cookie" in request.values or not _is_what_it_seems(request, values):
        return None
    if status in rules.lifetimes:
        return rules.lifetimes[status]
    ruled = rules.lifetime if status in (200, 203, 206, 300, 301, 308) else None
    if ruled is not None and rules.heuristic_part is None:
        return ruled
    if not _may_be_guessed(status, rules) and b"public" not in directives:
        return ruled
    if request.query:
        return ruled
    modified = parse_date(values.get(b"last-modified"))
    if modified is None:
        return ruled
    date = parse_date(values.get(b"date"))
    since = (responded_at if date is None else date) - modified
    part = _HEURISTIC_PART if rules.heuristic_part is None else rules.heuristic_part
    limit = rules.heuristic_limit
    if status >= 400 and status != 410:
        limit = min(limit, _LONGEST_GUESS_OF_ABSENCE)
    return max(ruled or 0.0, min(since * part, limit))


def _may_be_guessed(status: int, rules: CacheRules) -> bool:
    """Say whether a status is heuristically cacheable here (RFC 9110 section 15.1)."""
    return status in HEURISTIC or (rules.allow_errors and status in _HEURISTIC_ERRORS)


def _is_what_it_seems(request: RequestFacts, values: Mapping[bytes, bytes]) -> bool:
    """Say whether content is of the kind that the path's ending promises.

    Web cache deception asks for ``/account/x.css`` where the server sees ``/account``: a page then
    stands where a style sheet should. What states its own freshness is believed all the same.
    """
    kind = values.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind not in _PAGES:
        return True
    last = request.path.rpartition("/")[2]
    # Some servers end a path at a semicolon or at what is encoded; others do not.
    for name in (last, last.partition(";")[0], last.partition("%")[0]):
        promised, _ = _MEDIA_TYPES.guess_type(name)
        if promised is not None and promised.encode("ascii") not in (kind, *_PAGES):
            return False
    return True


def _validatable(values: Mapping[bytes, bytes]) -> bool:
    return b"etag" in values or parse_date(values.get(b"last-modified")) is not None


def initial_age(values: Mapping[bytes, bytes], requested_at: float, responded_at: float) -> float:
    """Give a response's age at the moment at which it came (RFC 9111 section 4.2.3).

    :param requested_at: when the request was sent, in seconds since 1970.
    :returns: ``corrected_initial_age`` in seconds.
    """
    date = parse_date(values.get(b"date"))
    apparent_age = max(0.0, responded_at - date) if date is not None else 0.0
    response_delay = max(0.0, responded_at - requested_at)
    return max(apparent_age, age_value(values.get(b"age")) + response_delay)


def age_value(value: bytes | None) -> int:
    """Give the number in an Age field (RFC 9111 section 5.1); 0 when there is none in it.

    Of a list the first member counts; what is no number is ignored.
    """
    if value is None:
        return 0
    return parse_seconds(value.partition(b",")[0].strip(b" \t")) or 0
