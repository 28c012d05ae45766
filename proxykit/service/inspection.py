"""Shows what a cache holds to an operator, without what identifies its users."""

from __future__ import annotations

from ..caching.keys import split_key
from ..caching.stored import StoredResponse
from ..observe.admin.control import EntryStatus

_HIDDEN = "(hidden)"
_SECRET = frozenset(
    {
        b"authorization", b"proxy-authorization", b"authentication-info",
        b"proxy-authentication-info", b"cookie", b"set-cookie", b"set-cookie2", b"x-api-key",
        b"x-auth-token", b"x-amz-security-token", b"x-csrf-token",
    }
)  # fmt: skip


def entry_status(
    key: bytes, stored: StoredResponse, now: float, *, with_fields: bool
) -> EntryStatus:
    """Describe a stored response.

    :param now: in seconds since 1970.
    :param with_fields: whether with the stored fields.
    """
    head = stored.head
    namespace, url, parts = split_key(key)
    age = head.age(now)
    return EntryStatus(
        namespace=_text(namespace),
        url=_text(url),
        key=[_part(part) for part in parts],
        vary={
            _text(name): None if value is None else _shown(name, value)
            for name, value in head.selecting
        },
        status=head.status,
        size=int(stored.body.size),
        age=round(age, 3),
        ttl=round(0.0 if head.terms.validated_only else head.terms.lifetime - age, 3),
        tags=sorted(map(_text, head.tags)),
        fields=[(_text(name), _shown(name, value)) for name, value in head.section.fields]
        if with_fields
        else None,
    )


def _part(part: bytes) -> str:
    """Give what a rule added to a key: a cookie by its name alone, a field as it may be shown."""
    if part.startswith(b"cookie "):
        return f"{_text(part.partition(b'=')[0])}={_HIDDEN}"
    name, colon, value = part.partition(b": ")
    return f"{_text(name)}: {_shown(name, value)}" if colon else _text(part)


def _shown(name: bytes, value: bytes) -> str:
    return _HIDDEN if name.lower() in _SECRET else _text(value)


def _text(value: bytes) -> str:
    return value.decode("latin-1")
