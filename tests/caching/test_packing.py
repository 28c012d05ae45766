"""Heads as bytes: what comes out is what went in, and nothing else is let in."""

from __future__ import annotations

import pytest
from attrs import asdict
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.caching.packing import (
    Unreadable,
    pack,
    pack_head,
    sealed,
    unpack,
    unpack_head,
    unsealed,
)
from proxykit.caching.policy import Terms
from proxykit.caching.ranges import Span
from proxykit.caching.stored import StoredHead
from proxykit.message.fields import FieldSection

HEAD = StoredHead(
    206,
    b"Partial",
    1,
    FieldSection(((b"ETag", b'"a"'), (b"Vary", b"accept"), (b"X", b"\xe9 b"))),
    1.8e9,
    2.5,
    Terms(60.0, True, False, 1.0, 2.0, True),
    ((b"accept", b"text/css"), (b"accept-encoding", None)),
    frozenset({b"a", b"b"}),
    Span(3, 9),
    12,
)


PLAIN = ("status", "reason", "version", "responded_at", "initial_age", "selecting", "tags")
PLAIN += ("complete", "size")


def plain(head):
    return {
        "fields": head.section.fields,
        "terms": asdict(head.terms),
        "span": head.span,
        **{name: getattr(head, name) for name in PLAIN},
    }


def test_a_head_comes_back_as_it_was():
    assert plain(unpack_head(unpack(unsealed(sealed(pack(pack_head(HEAD))))))) == plain(HEAD)


def test_a_changed_bit_is_noticed_wherever_it_is():
    data = sealed(pack(pack_head(HEAD)))
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(Unreadable):
            unsealed(bytes(changed))
    with pytest.raises(Unreadable):
        unsealed(data[:-1])


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, 99),
        (0, True),
        (0, "200"),
        (1, b"OK\r\nSet-Cookie: a=b"),
        (2, 2),
        (3, ((b"X", b"a\r\nSet-Cookie: a=b"),)),
        (3, ((b"X Y", b"a"),)),
        (3, ((b"X",),)),
        (3, ((b"X", "text"),)),
        (4, float("nan")),
        (4, -1.0),
        (5, float("inf")),
        (6, (60.0, 1, False, 1.0, 2.0, True)),
        (6, (60.0, True, False, 1.0)),
        (7, ((b"accept", 3),)),
        (8, (3,)),
        (9, (9, 3)),
        (9, (3,)),
        (10, -1),
    ],
)
def test_what_is_no_head_is_refused(index, value):
    packed = list(pack_head(HEAD))
    packed[index] = value
    with pytest.raises(Unreadable):
        unpack_head(unpack(pack(packed)))


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_no_bytes_do_more_than_be_refused(data):
    try:
        unpack_head(unpack(data))
    except Unreadable:
        pass
