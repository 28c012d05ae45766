"""What becomes of the two ends of a tunnel once it is over."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from proxykit.net import tunnel
from proxykit.net.sweeper import Sweeper
from proxykit.net.tunnel import Joint, Tunnel


class End:
    """A transport whose peer takes what it is sent when the test says so."""

    def __init__(self, unsent):
        self.unsent = unsent
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append(name)


@pytest.fixture
def ends(monkeypatch):
    monkeypatch.setattr(tunnel, "unsent", lambda transport: transport.unsent)
    return End(1000), End(0)


def test_a_side_that_takes_something_now_and_then_is_left_to_it_and_one_that_does_not_is_not(ends):
    client, upstream = ends
    joined = Tunnel(Joint(client, upstream, Sweeper(Clock()), 600.0, lambda tunnel: None))
    joined.close("closed")
    joined.upstream_lost()
    for client.unsent in (900, 500, 1):
        joined.deadline_passed()
        assert "abortConnection" not in client.calls

    joined.deadline_passed()

    assert client.calls[-1] == "abortConnection"
    assert "abortConnection" not in upstream.calls


def test_a_tunnel_is_watched_until_both_sides_are_lost(ends):
    watched = set()
    joined = Tunnel(Joint(*ends, watched, 600.0, lambda tunnel: None))

    joined.client_lost()
    assert joined in watched
    joined.upstream_lost()
    assert joined not in watched
