"""What a cache says of itself: Age and Cache-Status (RFC 9111 section 5.1, RFC 9211)."""

from __future__ import annotations

from math import floor

from ..message.fields import Field


def age_field(age: float) -> Field:
    """Give an Age field."""
    return b"Age", b"%d" % age


def hit(name: bytes, left: float) -> Field:
    """Give the field of a response out of the cache that no server was asked for.

    :param name: the cache's.
    :param left: how long it stays fresh in seconds; negative when it is stale.
    """
    # Rounded down: what is stale by less than a second is stale (RFC 9211 section 2.4).
    return b"Cache-Status", b"%s; hit; ttl=%d" % (name, floor(left))


def forwarded(
    name: bytes,
    why: bytes,
    *,
    status: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    detail: bytes = b"",
) -> Field:
    """Give the field of a response for which a server was asked.

    :param why: a value of RFC 9211 section 2.2, such as ``uri-miss``.
    :param status: what the server answered, where that is not what the client gets.
    :param stored: whether the response is being stored.
    :param collapsed: whether the request was another one's.
    :param detail: a token.
    """
    value = b"%s; fwd=%s" % (name, why)
    if status is not None:
        value += b"; fwd-status=%d" % status
    if stored:
        value += b"; stored"
    if collapsed:
        value += b"; collapsed"
    if detail:
        value += b"; detail=" + detail
    return b"Cache-Status", value
