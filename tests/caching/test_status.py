"""What a cache says of itself in Cache-Status."""

from __future__ import annotations

import pytest

from proxykit.caching.status import hit


@pytest.mark.parametrize(
    ("left", "ttl"), [(60.0, b"60"), (59.9, b"59"), (0.0, b"0"), (-0.1, b"-1"), (-60.0, b"-60")]
)
def test_what_is_stale_has_a_negative_ttl(left, ttl):
    assert hit(b"us", left) == (b"Cache-Status", b"us; hit; ttl=" + ttl)
