"""A connection to a Redis server: what becomes of those who wait when it is given up."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from proxykit.caching.redis import client as module
from proxykit.caching.redis.client import RedisAway, RedisClient, _Connection


class Owner:
    """What a connection knows of its client, with a clock of ours."""

    timeout = 0.2
    was_missed = RedisClient.was_missed

    def __init__(self):
        self._reactor = Clock()
        self._missed = 0
        self.lost = []

    def is_lost(self, connection, why):
        self.lost.append(why)

    def was_answered(self):
        self._missed = 0


@pytest.fixture
def owner(monkeypatch):
    owner = Owner()
    monkeypatch.setattr(module, "monotonic", owner._reactor.seconds)
    return owner


def test_the_connection_is_given_up_amid_many_late_answers_and_each_is_told_once(owner):
    connection = _Connection(owner)
    connection.makeConnection(StringTransport())
    told = []
    for number in range(5):
        for each in connection.send([(b"GET", b"%d" % number)], 0.1):
            each.addErrback(lambda failure: told.append(failure.check(RedisAway)))

    owner._reactor.advance(0.2)

    assert told == [RedisAway] * 5
    assert owner.lost == ["the server took longer than 0.2 s to answer"]
    assert connection.transport.disconnected
    assert owner._reactor.getDelayedCalls() == []
