"""Tags of messages."""

from __future__ import annotations

import pytest

from proxykit.caching.tags import tags_of


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        ({}, set()),
        ({b"surrogate-key": b"a b\t c"}, {b"a", b"b", b"c"}),
        ({b"cache-tag": b"a b, c ,,"}, {b"a b", b"c"}),
        ({b"surrogate-key": b"a", b"cache-tag": b"b,a"}, {b"a", b"b"}),
        ({b"surrogate-key": b"x" * 257 + b" " + b"y" * 256}, {b"y" * 256}),
    ],
)
def test_surrogate_keys_stand_between_spaces_and_cache_tags_between_commas(values, tags):
    assert tags_of(values) == tags


def test_there_are_no_more_than_a_message_may_have():
    assert len(tags_of({b"cache-tag": b",".join(b"%d" % each for each in range(1000))})) == 128
