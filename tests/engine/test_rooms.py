"""The modules of a room stand on one another, down to the last type that one names."""

from __future__ import annotations

import grimp
import pytest


@pytest.fixture(scope="module")
def imports():
    # Those for types only are among them, which import-linter is told to pass over.
    return grimp.build_graph("proxykit", cache_dir=None)


@pytest.mark.parametrize("room", ["caching", "engine", "http1", "message", "net", "upstream"])
def test_no_module_of_a_room_imports_what_stands_on_it(imports, room):
    assert imports.nominate_cycle_breakers(f"proxykit.{room}") == set()
