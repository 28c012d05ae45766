"""Validators and conditional requests: RFC 9110 sections 8.8 and 13, RFC 9111 section 4.3."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..message.dates import parse_date
from ..message.fields import Field

# The second form breaks the grammar, and servers send it: a tag without its quotes, or with a small
# w. It means nothing but itself.
_TAG = re.compile(
    rb'[ \t]*+((?:W/)?+"[!#-~\x80-\xff]*+"|(?!\*[ \t]*+(?:,|\Z))[!-+\--~\x80-\xff]++)'
    rb"[ \t]*+(?:,[ \t]*+|\Z)"
)
_STRONG_TAG = re.compile(rb'"[!#-~\x80-\xff]*+"\Z')
_MOST_TAGS = 64

CONDITIONAL = frozenset(
    {b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since", b"if-range"}
)
"""The fields that make a request conditional, in lower case."""


def entity_tags(value: bytes | None) -> list[bytes]:
    """Give the entity tags of If-Match or If-None-Match, up to the first that is none.

    ``*`` is given as it stands.
    """
    if value is None:
        return []
    if value.strip(b" \t") == b"*":
        return [b"*"]
    found: list[bytes] = []
    position = 0
    while position < len(value) and len(found) < _MOST_TAGS:
        match = _TAG.match(value, position)
        if match is None:
            break
        found.append(match[1])
        position = match.end()
    return found


def entity_tag(value: bytes | None) -> bytes | None:
    """Give a response's entity tag, ``None`` when it has none or what it has is none.

    What lacks its quotes is given as it stands: it is equal to itself, sent back, and never strong.
    """
    if value is None:
        return None
    match = _TAG.match(value)
    return match[1] if match is not None and match.end() == len(value) else None


def is_strong(tag: bytes | None) -> bool:
    """Say whether an entity tag is a strong validator."""
    return tag is not None and _STRONG_TAG.match(tag) is not None


def strongly_equal(one: bytes | None, other: bytes | None) -> bool:
    """Compare two entity tags strongly (RFC 9110 section 8.8.3.2)."""
    return one == other and is_strong(one)


def weakly_equal(one: bytes | None, other: bytes | None) -> bool:
    """Compare two entity tags weakly."""
    if one is None or other is None:
        return False
    return _opaque_tag(one) == _opaque_tag(other)


def _opaque_tag(tag: bytes) -> bytes:
    return tag[2:] if tag.startswith(b'W/"') else tag


def not_modified(
    request: Mapping[bytes, bytes], stored: Mapping[bytes, bytes], received: float
) -> bool:
    """Say whether a client's condition is false, so that 304 is its answer.

    RFC 9111 section 4.3.2: If-None-Match goes before If-Modified-Since; without Last-Modified the
    stored Date counts, and without that the time at which the response was received.

    :param request: the request's fields' values, by names in lower case.
    :param stored: the stored response's.
    :param received: when it was received, in seconds since 1970.
    """
    wanted = request.get(b"if-none-match")
    if wanted is not None:
        tags = entity_tags(wanted)
        if tags == [b"*"]:
            return True
        tag = entity_tag(stored.get(b"etag"))
        return any(weakly_equal(each, tag) for each in tags)
    since = parse_date(request.get(b"if-modified-since"))
    if since is None:
        return False
    modified = parse_date(stored.get(b"last-modified"))
    if modified is None:
        modified = parse_date(stored.get(b"date"))
    return (received if modified is None else modified) <= since


def needs_the_origin(request: Mapping[bytes, bytes]) -> bool:
    """Say whether a condition is the origin server's alone to judge.

    RFC 9111 section 4.3.2: If-Match and If-Unmodified-Since "are not applicable to a cache".
    """
    return b"if-match" in request or b"if-unmodified-since" in request


def may_answer_range(request: Mapping[bytes, bytes], stored: Mapping[bytes, bytes]) -> bool:
    """Evaluate If-Range (RFC 9110 section 13.1.5) against a stored response.

    :returns: whether Range counts; without If-Range it does.
    """
    condition = request.get(b"if-range")
    if condition is None:
        return True
    tag = entity_tag(condition)
    if tag is not None:
        return strongly_equal(tag, entity_tag(stored.get(b"etag")))
    wanted = parse_date(condition)
    modified = parse_date(stored.get(b"last-modified"))
    if wanted is None or wanted != modified:
        return False
    # Section 8.8.2.2: a date is a strong validator only when it is a minute older than Date.
    date = parse_date(stored.get(b"date"))
    return date is not None and date - modified >= 60


def conditions(stored: Iterable[Mapping[bytes, bytes]]) -> list[Field]:
    """Make the fields that validate stored responses (RFC 9111 section 4.3.1).

    All entity tags go into one If-None-Match; a Last-Modified only if there is but one response.
    """
    every = list(stored)
    tags = [tag for each in every if (tag := entity_tag(each.get(b"etag"))) is not None]
    fields: list[Field] = []
    if tags:
        fields.append((b"If-None-Match", b", ".join(dict.fromkeys(tags))))
    if len(every) == 1:
        modified = every[0].get(b"last-modified")
        if parse_date(modified) is not None and modified is not None:
            fields.append((b"If-Modified-Since", modified))
    return fields


def validates(fresh: Mapping[bytes, bytes], stored: Mapping[bytes, bytes], *, only: bool) -> bool:
    """Say whether a 304 selects a stored response for its update (RFC 9111 section 4.3.4).

    :param only: whether it is the only one that the request's conditions came from.
    """
    tag = entity_tag(fresh.get(b"etag"))
    stored_tag = entity_tag(stored.get(b"etag"))
    if tag is not None:
        return strongly_equal(tag, stored_tag) if is_strong(tag) else weakly_equal(tag, stored_tag)
    modified = fresh.get(b"last-modified")
    if modified is not None:
        return modified == stored.get(b"last-modified")
    # "If the new response does not include any form of validator ... and there is only one stored
    # response, and that stored response also lacks a validator": one that was asked for by name.
    return only


def same_validators(fresh: Mapping[bytes, bytes], stored: Mapping[bytes, bytes]) -> bool:
    """Say whether a HEAD's response is about what is stored (RFC 9111 section 4.3.5).

    Its ETag and its Last-Modified, as far as it has them, must both be what is stored: "any
    received validator fields" are compared, so that one without any is about whatever is stored.
    """
    return all(
        fresh[name] == stored.get(name) for name in (b"etag", b"last-modified") if name in fresh
    )


# RFC 9111 section 3.2: what an update must not touch: the fields that are not stored, the length,
# and "those fields necessary to ensure integrity of the stored response": what was stored is in the
# coding in which it came, and its digest is of bytes that a 304 does not have.
_NOT_UPDATED = frozenset(
    {
        b"connection",
        b"content-digest",
        b"content-encoding",
        b"content-length",
        b"content-md5",
        b"content-range",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


def updated_fields(
    stored: Iterable[Field], fresh: Iterable[Field], connection: frozenset[bytes]
) -> tuple[Field, ...]:
    """Update stored fields from a 304 or a HEAD response (RFC 9111 section 3.2).

    Each field of the new response takes the place of all of its name, but for those that hold the
    stored content together.

    :param connection: the options of the new response's Connection field, in lower case.
    """
    kept = [
        field
        for field in fresh
        if (name := field[0].lower()) not in _NOT_UPDATED and name not in connection
    ]
    replaced = {field[0].lower() for field in kept}
    # Age was part of the old response's past (section 5.1): without a new one there is none.
    replaced.add(b"age")
    return (*(field for field in stored if field[0].lower() not in replaced), *kept)
