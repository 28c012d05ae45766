"""Requests as a cache looks at them: which it has no part in, their keys, and its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..engine.exchange import Exchange
from ..errors import BadRequest
from ..message.fields import HOP_BY_HOP, Field, FieldSection
from ..message.framing import NO_CONTENT, NoContent
from ..message.request import Request
from ..message.target import Form
from .keys import PARTS, cookies, ruled_key, uri_prefix
from .rules import CacheRules
from .validation import CONDITIONAL, needs_the_origin

# With one of these, it takes more than the straight path to answer.
_CLOSER_LOOK = CONDITIONAL | {b"cache-control", b"pragma", b"range"}

# Fields that change what many servers answer and that no Vary ever names: "unkeyed inputs". A
# request with one of them passes the cache by, so that nobody else is given what it provoked.
_UNKEYED = frozenset(
    {
        b"x-original-url",
        b"x-original-uri",
        b"x-original-host",
        b"x-rewrite-url",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-host",
        b"x-http-host-override",
        b"x-forwarded-server",
        b"x-forwarded-scheme",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-ssl",
        b"x-url-scheme",
        b"front-end-https",
        b"x-middleware-subrequest",
        b"x-invoke-path",
    }
)
# What a trusted proxy says of the client's request; a stranger's are dropped before the server.
_KEYED_IF_TRUSTED = (b"x-forwarded-host", b"x-forwarded-proto")
_STATED = frozenset({*_KEYED_IF_TRUSTED, b"forwarded"})
_UPGRADES = frozenset({b"upgrade"})


def are_plain(section: FieldSection, *, trusting: bool, cookies_matter: bool) -> bool:
    """Say whether a request's fields need no closer look, whatever its target.

    :param trusting: whether some peers' forwarding fields are believed.
    :param cookies_matter: whether a cookie may make a request pass the cache by.
    """
    values = section.values
    return (
        b"host" in values
        and _CLOSER_LOOK.isdisjoint(values)
        and not section.options & _UPGRADES
        and not _are_kept_back(section, values)
        and not (cookies_matter and b"cookie" in values)
        and _UNKEYED.isdisjoint(values)
        and not (trusting and not _STATED.isdisjoint(values))
    )


def _are_kept_back(section: FieldSection, values: Mapping[bytes, bytes]) -> bool:
    """Say whether Connection names fields that are there: no server sees these.

    What a server answers without a field must not be stored as what it answers to that.

    :param values: the request's fields' combined values, by names in lower case.
    """
    return not values.keys().isdisjoint(section.options - HOP_BY_HOP)


def passes_by(exchange: Exchange, values: Mapping[bytes, bytes], rules: CacheRules) -> bool:
    """Say whether a request is one that a cache has no part in.

    :param values: its fields' combined values, by names in lower case.
    """
    request = exchange.request
    if rules.bypass:
        return True
    if type(request.framing) is not NoContent:
        # A "fat GET": a server that reads its content answers what no key tells apart.
        return True
    if request.section.options & _UPGRADES or not _UNKEYED.isdisjoint(values):
        return True
    if _are_kept_back(request.section, values):
        return True
    if needs_the_origin(values):
        return True
    if b"forwarded" in values and exchange.pipeline.rules.is_trusted(exchange.peer_address):
        return True
    if rules.bypass_cookies and b"cookie" in values:
        if not rules.bypass_cookies.isdisjoint(cookies(values[b"cookie"])):
            return True
    return not exchange.authority.host


def uri_key(exchange: Exchange, namespace: bytes, *, forward: bool) -> bytes:
    """Give the key of the URI that an exchange asks for.

    :param forward: whether the target itself says the scheme.
    :raises BadRequest: when it names no host.
    """
    return _prefix(exchange, namespace, forward=forward) + exchange.request.origin_target


def request_key(
    exchange: Exchange,
    namespace: bytes,
    rules: CacheRules,
    values: Mapping[bytes, bytes],
    *,
    forward: bool,
) -> bytes:
    """Give the key of what an exchange asks for.

    :param values: the request's fields' combined values, by names in lower case.
    :param forward: whether the target itself says the scheme.
    """
    prefix = _prefix(exchange, namespace, forward=forward)
    target = exchange.request.origin_target
    key = prefix + target if rules.plain_key else ruled_key(prefix, target, rules, values)
    trust = exchange.pipeline.rules
    if trust.trusted and trust.is_trusted(exchange.peer_address):
        # What a trusted proxy says goes to the server as it says it: it is part of what is asked.
        stated = [b"stated " + values[name] for name in _KEYED_IF_TRUSTED if name in values]
        if stated:
            key = PARTS.join((key, *stated))
    return key


def uri_scheme(exchange: Exchange, *, forward: bool) -> str:
    """Give the scheme of the URI that an exchange asks for.

    :param forward: whether the target itself says it.
    """
    target = exchange.request.target
    return target.scheme if forward and target.form is Form.ABSOLUTE else exchange.scheme


def _prefix(exchange: Exchange, namespace: bytes, *, forward: bool) -> bytes:
    authority = exchange.authority
    if not authority.host:
        raise BadRequest("the request names no host")
    scheme = uri_scheme(exchange, forward=forward)
    return uri_prefix(namespace, scheme, authority.text().encode("ascii"))


def own_request(request: Request, added: Sequence[Field], *, ranged: bool) -> Request:
    """Make the request that a cache sends for a client's.

    The client's conditions are left out: the whole response is wanted, and what they ask is
    answered out of that.

    :param added: conditions of the cache's own.
    :param ranged: whether the client's Range goes along, If-Range with it.
    """
    own = Request(b"GET", request.raw_target, 1, request.section, NO_CONTENT, request.target)
    dropped = CONDITIONAL - {b"if-range"} if ranged else CONDITIONAL | {b"range"}
    changed = request.changed_headers
    if changed is None and not added and dropped.isdisjoint(request.section.values):
        return own  # its fields may then be rendered as they were for the request before
    headers = own.headers
    if changed is not None:
        for name in {name.lower() for name, _ in headers}:
            headers.remove(name)
        for name, value in changed:
            headers.add(name, value)
    for name in dropped:
        headers.remove(name)
    for name, value in added:
        headers.add(name, value)
    return own
