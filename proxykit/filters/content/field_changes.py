"""What actions do to the fields of requests and of responses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import formatdate
from functools import partial
from time import monotonic

from ...engine.exchange import Exchange
from ...message.decoding import understood
from ...message.fields import Field, Headers
from ...message.response import Response
from ...message.set_cookie import session_cookie
from .content_rule import is_text
from .exchange_facts import facts_of, server_origin
from .privoxy.actions import NOT_FOR_FILTERS
from .privoxy.filter_file import Filters, Kind, NamedFilter
from .settings import Settings
from .substitution import Budget, GaveUp

RequestChange = Callable[[Exchange, Headers], None]
ResponseChange = Callable[[Exchange, Headers], None]

_LINE = re.compile(rb"([^\s:]+):[ \t]*(.*?)[ \t]*\Z", re.DOTALL)
_LONGEST_LINE = 64 * 1024
_LONGEST_SECONDS = 0.005
_MOST_WORK = 1_000_000  # 5 ms


# --- requests ---------------------------------------------------------------------------------


def request_changes(settings: Settings, filters: Filters) -> Iterator[RequestChange]:
    """Give what is done to requests, in this order."""
    single = settings.single
    if "crunch-client-header" in single:
        yield partial(_crunch, single["crunch-client-header"].encode("latin-1"))
    if "crunch-outgoing-cookies" in single:
        yield partial(_remove, b"Cookie")
    if "crunch-if-none-match" in single:
        yield partial(_remove, b"If-None-Match")
    if "hide-if-modified-since" in single:
        yield partial(_remove, b"If-Modified-Since")
    if "prevent-compression" in single:
        yield partial(_remove, b"Accept-Encoding")
    if "hide-referrer" in single:
        yield _REFERRER.get(single["hide-referrer"]) or partial(
            _overwrite, b"Referer", single["hide-referrer"].encode("latin-1")
        )
    for action, name in (
        ("hide-user-agent", b"User-Agent"),
        ("hide-from-header", b"From"),
        ("hide-accept-language", b"Accept-Language"),
    ):
        if action in single:
            yield _hiding(name, single[action], may_block=action != "hide-user-agent")
    chosen = _chosen(settings, filters, "client-header-filter", Kind.REQUEST_FIELDS)
    if chosen:
        yield partial(_filter_fields, chosen)
    for field in settings.values("add-header"):
        name, _, value = field.encode("latin-1").partition(b":")
        yield partial(_add, name, value.strip(b" \t"))


def ask_for_what_can_be_decoded(exchange: Exchange, headers: Headers) -> None:
    """Ask for no coding that would keep the content from being filtered."""
    value = headers.get(b"Accept-Encoding")
    if value is not None and (new := understood(value)) != value:
        headers.set(b"Accept-Encoding", new)


def _hiding(name: bytes, parameter: str, *, may_block: bool) -> RequestChange:
    if may_block and parameter == "block":
        return partial(_remove, name)
    return partial(_overwrite, name, parameter.encode("latin-1"))


def _conditional_block(exchange: Exchange, headers: Headers) -> None:
    if not _same_origin(exchange, headers):
        headers.remove(b"Referer")


def _forge(exchange: Exchange, headers: Headers) -> None:
    _overwrite(b"Referer", server_origin(exchange) + b"/", exchange, headers)


def _conditional_forge(exchange: Exchange, headers: Headers) -> None:
    if not _same_origin(exchange, headers):
        _forge(exchange, headers)


def _same_origin(exchange: Exchange, headers: Headers) -> bool:
    referrer = headers.get(b"Referer", b"")
    _, _, authority = server_origin(exchange).partition(b"://")
    return re.match(rb"https?://%s(?:/|\Z)" % re.escape(authority), referrer or b"") is not None


_REFERRER: Mapping[str, RequestChange] = {
    "block": lambda exchange, headers: headers.remove(b"Referer"),
    "conditional-block": _conditional_block,
    "forge": _forge,
    "conditional-forge": _conditional_forge,
}


# --- responses --------------------------------------------------------------------------------


def response_changes(settings: Settings, filters: Filters) -> Iterator[ResponseChange]:
    """Give what is done to responses, in this order."""
    single = settings.single
    if "crunch-server-header" in single:
        yield partial(_crunch, single["crunch-server-header"].encode("latin-1"))
    if "crunch-incoming-cookies" in single:
        yield partial(_remove, b"Set-Cookie")
    elif "session-cookies-only" in single or "limit-cookie-lifetime" in single:
        yield _session_cookies
    if "content-type-overwrite" in single:
        value = single["content-type-overwrite"].encode("latin-1")
        yield partial(_overwrite_type, value, anything="force-text-mode" in single)
    if "hide-content-disposition" in single:
        yield _hiding(b"Content-Disposition", single["hide-content-disposition"], may_block=True)
    if single.get("overwrite-last-modified") == "block":
        yield partial(_remove, b"Last-Modified")
    elif "overwrite-last-modified" in single:
        yield _modified_now
    chosen = _chosen(settings, filters, "server-header-filter", Kind.RESPONSE_FIELDS)
    if chosen:
        yield partial(_filter_fields, chosen)


def _session_cookies(exchange: Exchange, headers: Headers) -> None:
    cookies = headers.get_all(b"Set-Cookie")
    headers.remove(b"Set-Cookie")
    for cookie in cookies:
        headers.add(b"Set-Cookie", session_cookie(cookie))


def _overwrite_type(value: bytes, exchange: Exchange, headers: Headers, *, anything: bool) -> None:
    old = headers.get(b"Content-Type")
    if old is not None and (anything or is_text(old) or old.startswith(b"text/")):
        headers.set(b"Content-Type", value)


def _modified_now(exchange: Exchange, headers: Headers) -> None:
    now = formatdate(exchange.now, usegmt=True).encode("ascii")
    _overwrite(b"Last-Modified", now, exchange, headers)


def change_response(
    changes: Sequence[ResponseChange], exchange: Exchange, response: Response
) -> None:
    """Do all of them."""
    headers = response.headers
    for change in changes:
        change(exchange, headers)


# --- what both have ---------------------------------------------------------------------------


def _remove(name: bytes, exchange: Exchange, headers: Headers) -> None:
    headers.remove(name)


def _overwrite(name: bytes, value: bytes, exchange: Exchange, headers: Headers) -> None:
    if name in headers:
        headers.set(name, value)


def _add(name: bytes, value: bytes, exchange: Exchange, headers: Headers) -> None:
    headers.add(name, value)


def _crunch(text: bytes, exchange: Exchange, headers: Headers) -> None:
    """Take away the fields in whose line a text stands."""
    _keep(headers, [field for field in headers if text not in b"%s: %s" % field or _ours(field[0])])


def _ours(name: bytes) -> bool:
    return name.lower() in NOT_FOR_FILTERS


def _keep(headers: Headers, fields: Sequence[Field]) -> None:
    """Let a message have these fields."""
    before = list(headers)
    if before == list(fields):
        return
    for name in {name.lower() for name, _ in before}:
        headers.remove(name)
    for name, value in fields:
        headers.add(name, value)


def _chosen(
    settings: Settings, filters: Filters, action: str, kind: Kind
) -> tuple[NamedFilter, ...]:
    return tuple(filters[kind, name] for name in settings.values(action) if (kind, name) in filters)


def _filter_fields(chosen: Sequence[NamedFilter], exchange: Exchange, headers: Headers) -> None:
    """Pass each field's line through filters; a line of which nothing is left goes."""
    kept: list[Field] = []
    for name, value in headers:
        if _ours(name):
            kept.append((name, value))
            continue
        line = b"%s: %s" % (name, value)
        new = filtered_line(line, chosen, exchange)
        if new == line:
            kept.append((name, value))
        elif new:
            match = _LINE.match(new)
            # What is no field any more, or one of the proxy's own, stays as it was.
            usable = match is not None and not _ours(match[1]) and _is_field(match[1], match[2])
            kept.append((match[1], match[2]) if match is not None and usable else (name, value))
    _keep(headers, kept)


def _is_field(name: bytes, value: bytes) -> bool:
    try:
        Headers([(name, value)])
    except ValueError:
        return False
    return True


def filtered_line(line: bytes, chosen: Sequence[NamedFilter], exchange: Exchange) -> bytes:
    """Pass a line through filters; one that would take too long stays as it is."""
    budget = Budget(monotonic() + _LONGEST_SECONDS, _LONGEST_LINE, _MOST_WORK)
    facts: Mapping[str, bytes] = {}
    try:
        for each in chosen:
            for job in each.jobs:
                if job.dynamic and not facts:
                    facts = facts_of(exchange)
                line = job.substitution.apply(line, budget, facts=facts)
    except GaveUp:
        pass
    return line
