"""Entity tags of encoded content: weak, and understood when they come back."""

from __future__ import annotations

import pytest

from proxykit.message.entity_tags import encoded_tag, restored_tags, tag_that_was_sent


@pytest.mark.parametrize(
    ("tag", "encoded"),
    [
        (b'"x"', b'W/"x~gzip"'),
        (b'""', b'W/"~gzip"'),
        (b'W/"x"', b'W/"x"'),
        (b'"x y"', b'W/"x y~gzip"'),
        (b"x", None),
    ],
)
def test_a_strong_tag_becomes_weak_and_says_the_coding(tag, encoded):
    assert encoded_tag(tag, "gzip") == encoded


@pytest.mark.parametrize(
    ("sent", "restored"),
    [
        (b'W/"x~gzip"', b'"x"'),
        (b'W/"x~br", "y", W/"z"', b'"x", "y", W/"z"'),
        (b'W/"x~gzip", W/"x~zstd"', b'"x"'),
        (b'"x~gzip"', b'"x~gzip"'),  # a strong one is none of ours
        (b'W/"x~deflate"', b'W/"x~deflate"'),
        (b'"a W/", W/"x~gzip"', b'"a W/", "x"'),
        (b'x, W/"x~gzip"', b'x, W/"x~gzip"'),
        (b'"aW/", W/"x~gzip"', b'"aW/", "x"'),
        (b"*", b"*"),
        (b"", b""),
    ],
)
def test_tags_come_back_as_the_origin_gave_them(sent, restored):
    assert restored_tags(sent) == restored


def test_a_304_names_the_tag_that_the_client_has():
    sent = b'"y", W/"x~br", W/"x~gzip"'

    assert tag_that_was_sent(b'"x"', sent, ("gzip", "br")) == b'W/"x~gzip"'
    assert tag_that_was_sent(b'"x"', sent, ("zstd", "br")) == b'W/"x~br"'
    assert tag_that_was_sent(b'"y"', sent, ("gzip", "br")) == b'"y"'
