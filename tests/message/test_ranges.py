"""One range of bytes; several are answered whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.message.ranges import ByteRange, NotSatisfiable, byte_range


@pytest.mark.parametrize(
    ("field", "part"),
    [
        (None, None),
        (b"bytes=0-0", (0, 1)),
        (b"bytes=0-99", (0, 100)),
        (b"bytes=10-", (10, 90)),
        (b"bytes=90-1000000000000000000", None),
        (b"bytes=90-100000000000000000", (90, 10)),
        (b"bytes=-10", (90, 10)),
        (b"bytes=-1000", (0, 100)),
        (b"Bytes = 5-6", (5, 2)),
        (b"bytes=6-5", None),
        (b"bytes=0-1,5-6", None),
        (b"bytes=-", None),
        (b"bytes=a-b", None),
        (b"lines=0-1", None),
        (b"bytes=0-1;x", None),
    ],
)
def test_a_range_field_is_read_or_ignored(field, part):
    assert byte_range(field, 100) == (None if part is None else ByteRange(*part))


@pytest.mark.parametrize("field", [b"bytes=100-", b"bytes=100-200", b"bytes=-0"])
def test_a_range_outside_of_the_content_cannot_be_satisfied(field):
    with pytest.raises(NotSatisfiable):
        byte_range(field, 100)


def test_the_last_bytes_of_nothing_are_all_of_it():
    assert byte_range(b"bytes=-5", 0) is None


@given(st.from_regex(rb"bytes=[0-9]{0,4}-[0-9]{0,4}", fullmatch=True), st.integers(0, 3000))
def test_a_range_lies_within_the_content(field, size):
    try:
        part = byte_range(field, size)
    except NotSatisfiable:
        return
    if part is not None:
        assert part.size > 0
        assert 0 <= part.start < part.start + part.size <= size
