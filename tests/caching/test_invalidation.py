"""What an unsafe request invalidates: RFC 9111 section 4.4."""

from __future__ import annotations

import pytest

from proxykit.caching.invalidation import changed_uris, is_error, is_safe


def changed(**fields):
    values = {name.replace("_", "-").encode(): value for name, value in fields.items()}
    return list(changed_uris(b"n http://a.example/x/y?q", b"n", values))[1:]


def test_the_target_is_first():
    assert next(changed_uris(b"n http://a/", b"n", {})) == b"n http://a/"


@pytest.mark.parametrize(
    ("location", "uris"),
    [
        (b"/new", [b"n http://a.example/new"]),
        (b"z?1#f", [b"n http://a.example/x/z?1"]),
        (b"http://A.EXAMPLE:80/new", [b"n http://a.example/new"]),
        (b"http://a.example", [b"n http://a.example/"]),
        (b"https://a.example/new", []),
        (b"http://a.example:8080/new", []),
        (b"http://b.example/new", []),
        (b"//b.example/new", []),
        (b"http://a.example@b.example/", []),
        (b"http://[broken/", []),
        (b"\xff", []),
    ],
)
def test_locations_count_only_within_the_origin(location, uris):
    assert changed(location=location) == uris
    assert changed(content_location=location) == uris


def test_methods_of_unknown_safety_are_unsafe_and_errors_change_nothing():
    assert is_safe(b"GET")
    assert not is_safe(b"FROBNICATE")
    assert [status for status in (199, 200, 204, 303, 399, 400, 500) if is_error(status)] == [
        199,
        400,
        500,
    ]
