"""Stored variants that a request does not match, and that the server may choose all the same.

RFC 9111 section 4.1: where no stored response matches, the request goes to the server "potentially
with preconditions added to determine what responses the cache has already stored". A server that
answers such a request with one of those has to send no content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..message.codings import preferred_coding
from ..message.fields import Field
from .pieces import BLOCK
from .stored import StoredResponse
from .validation import entity_tag, is_strong, strongly_equal

_MOST_TAGS = 16
_LONGEST_TAG = 128


def choosable(
    found: Sequence[StoredResponse], values: Mapping[bytes, bytes]
) -> list[StoredResponse]:
    """Give those of the stored responses that the server may choose by their entity tags.

    Only a strong tag tells variants apart. And not what the client could not decode: some servers
    give the same tag to all codings of their content.

    :param values: the request's fields' combined values, by names in lower case.
    """
    chosen = [each for each in found if _may_be_chosen(each, values)]
    return chosen[:_MOST_TAGS]


def _may_be_chosen(stored: StoredResponse, values: Mapping[bytes, bytes]) -> bool:
    head = stored.head
    tag = _tag(stored)
    if head.span is not None or head.status != 200 or not is_strong(tag) or tag is None:
        return False
    if len(tag) > _LONGEST_TAG:
        return False
    coding = head.section.values.get(b"content-encoding")
    if coding is None:
        return True
    name = coding.strip().decode("latin-1").lower()
    return preferred_coding(values.get(b"accept-encoding"), [name]).coding == name


def choice(variants: Sequence[StoredResponse]) -> list[Field]:
    """Make the condition that offers variants to the server (RFC 9110 section 13.1.2)."""
    tags = dict.fromkeys(tag for each in variants if (tag := _tag(each)) is not None)
    return [(b"If-None-Match", b", ".join(tags))] if tags else []


def chosen_by(
    fresh: Mapping[bytes, bytes], variants: Sequence[StoredResponse]
) -> StoredResponse | None:
    """Give the variant that a 304 has chosen.

    :param fresh: the 304's fields' combined values, by names in lower case.
    """
    tag = entity_tag(fresh.get(b"etag"))
    if tag is None:
        # It should say (RFC 9110 section 15.4.5), but there was only one to choose.
        return variants[0] if len(variants) == 1 else None
    return next((each for each in variants if strongly_equal(tag, _tag(each))), None)


def copy_into(store: Any, key: bytes, stored: StoredResponse) -> Any:
    """Write a stored response's content once more.

    :returns: the writer, to be committed with a head; ``None`` where that cannot be done at once.
    """
    body = stored.body
    writer = store.begin(key, body.size)
    position = 0
    while writer is not None and position < body.size:
        piece = body.read(position, BLOCK)
        if isinstance(piece, bytes) and piece and writer.write(piece):
            position += len(piece)
        else:
            writer.abort()
            writer = None
    return writer


def _tag(stored: StoredResponse) -> bytes | None:
    return entity_tag(stored.head.section.values.get(b"etag"))
