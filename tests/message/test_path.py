"""Paths as policy sees them."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxykit.errors import BadRequest
from proxykit.message.path import PathMatch, normalised_path


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/%61dmin", "/admin"),
        ("/a/../admin", "/admin"),
        ("/a/%2e%2e/admin", "/admin"),
        ("/a/..%2fadmin", "/admin"),
        ("//admin", "/admin"),
        ("/./admin/", "/admin/"),
        ("/../../admin", "/admin"),
        ("/a/.", "/a/"),
        ("/a%20b", "/a%20b"),
        ("/%zz", "/%zz"),
    ],
)
def test_a_path_is_seen_where_it_leads(path, seen):
    assert normalised_path(path) == seen


@pytest.mark.parametrize(
    "path", ["/admin//../x", "/admin//b/../../x", "/admin/%2f%2e%2e/x", "/a//.."]
)
def test_a_path_that_leads_elsewhere_for_who_merges_slashes_is_refused(path):
    with pytest.raises(BadRequest, match="two slashes"):
        normalised_path(path)


@given(st.text(alphabet="/.%2efFaA", max_size=30).map("/".__add__))
def test_no_dot_segment_is_left(path):
    try:
        parts = normalised_path(path).split("/")
    except BadRequest:
        assume(False)

    assert parts[0] == ""
    assert not {".", ".."} & set(parts)


@pytest.mark.parametrize(
    ("text", "taken", "left"),
    [
        ("/api", ["/api", "/api/", "/api/x"], ["/apix", "/", "/x/api"]),
        ("/api/", ["/api/", "/api/x"], ["/api", "/apix"]),
        ("= /api", ["/api"], ["/api/", "/api/x"]),
        ("~ ^/v[0-9]+/", ["/v1/x", "/v22/"], ["/v/", "/x/v1/"]),
    ],
)
def test_a_prefix_ends_where_a_segment_ends(text, taken, left):
    match = PathMatch.of(text)

    assert [path for path in [*taken, *left] if match.matches(path)] == taken


@pytest.mark.parametrize("text", ["api", "= api", "~ (", ""])
def test_what_is_no_pattern_is_refused(text):
    with pytest.raises(ValueError, match=r"expected|expression"):
        PathMatch.of(text)
