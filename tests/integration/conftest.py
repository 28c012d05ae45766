"""Fixtures of the tests over real sockets."""

from __future__ import annotations

import pytest

from tests.integration.cached import Site


@pytest.fixture(scope="module")
def site():
    """An origin whose answers are put by path."""
    with Site() as running:
        yield running
