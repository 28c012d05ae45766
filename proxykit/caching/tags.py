"""Tags: names that responses carry, and that they can be purged by."""

from __future__ import annotations

import re
from collections.abc import Mapping

_MOST_TAGS = 128
_LONGEST_TAG = 256
_SEPARATORS = re.compile(rb"[ \t,]+")


def tags_of(values: Mapping[bytes, bytes]) -> frozenset[bytes]:
    """Give a message's tags: Surrogate-Key is a list with spaces, Cache-Tag one with commas."""
    found: list[bytes] = []
    if b"surrogate-key" in values:
        found += _SEPARATORS.split(values[b"surrogate-key"])
    if b"cache-tag" in values:
        found += [tag.strip(b" \t") for tag in values[b"cache-tag"].split(b",")]
    return frozenset([tag for tag in found if 0 < len(tag) <= _LONGEST_TAG][:_MOST_TAGS])
