"""A pool gives balancers the servers that are usable, and the same tuple until these are others."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from proxykit.balancing.breaker import BreakerSettings
from proxykit.balancing.health import HealthSettings
from proxykit.balancing.outliers import OutlierSettings
from proxykit.balancing.sources import FoundServer, ListSource
from proxykit.errors import Unavailable
from proxykit.reverse.pool import Pool, PoolSettings
from proxykit.upstream.server import PoolLimits, Server


class Remembering:
    """A balancer that picks the first, and remembers what it was given."""

    def __init__(self):
        self.given = []

    def pick(self, servers, exchange):
        self.given.append(servers)
        return servers[0]


class Checks:
    """Health checks that a test answers, by the servers' URLs."""

    def __init__(self):
        self.waiting = {}

    def make(self, found):
        return _Check(self, found.url)

    def answer(self, url, *, good):
        waiting = self.waiting.pop(url)
        waiting.callback(None) if good else waiting.errback(RuntimeError("ill"))


class _Check:
    def __init__(self, checks, url):
        self._checks = checks
        self._url = url

    def check(self):
        self._checks.waiting[self._url] = Deferred()
        return self._checks.waiting[self._url]


class House:
    """A pool on a clock of its own."""

    def __init__(self, *servers, **settings):
        self.clock = Clock()
        self.balancer = Remembering()
        self.checks = Checks()
        if "health" in settings:
            settings["make_check"] = self.checks.make
        found = [each if isinstance(each, FoundServer) else FoundServer(each) for each in servers]
        self.pool = Pool(
            "app",
            self.make_server,
            self.balancer,
            source=ListSource(found),
            settings=PoolSettings(**settings),
            clock=self.clock,
        )
        self.pool.start()

    def make_server(self, found):
        limits = PoolLimits(connections=2)
        server = Server(found.url, None, limits, self.clock, None, weight=found.weight)
        server.backup = found.backup
        return server

    def usable(self):
        try:
            self.pool.choose(None)
        except Unavailable:
            return ""
        return "".join(server.name for server in self.balancer.given[-1])

    def server(self, name):
        return next(each.server for each in self.pool.members if each.server.name == name)

    def fail(self, name, times=1):
        for _ in range(times):
            self.server(name).failed()


def test_the_tuple_is_the_same_until_the_usable_servers_are_others():
    house = House("a", "b", "c")
    house.usable(), house.usable()
    assert house.balancer.given[0] is house.balancer.given[1]

    house.pool.drain("b")
    house.usable(), house.usable()

    assert house.balancer.given[2] is house.balancer.given[3]
    assert house.usable() == "ac"


def test_backups_are_usable_only_when_no_other_is():
    house = House("a", FoundServer("b", backup=True), FoundServer("c", backup=True))
    assert house.usable() == "a"

    house.pool.drain("a")
    assert house.usable() == "bc"

    house.pool.drain("a", drained=False)
    assert house.usable() == "a"


def test_each_fault_has_to_go_by_itself():
    house = House("a", "b", outliers=OutlierSettings(errors=2), breaker=BreakerSettings(failures=3))
    house.fail("a", 3)
    assert house.usable() == "b"
    assert "ejected, open" in repr(house.pool)

    house.clock.advance(5)  # the breaker is half-open
    assert house.usable() == "b"
    house.clock.advance(5)  # its time as an outlier is over

    assert house.usable() == "ab"


def test_checks_take_a_server_out_and_bring_it_back():
    house = House("a", "b", health=HealthSettings(fall=1, rise=1, jitter=0, interval=1))
    assert house.usable() == "ab", "usable until the checks say otherwise"

    house.checks.answer("a", good=False)
    assert house.usable() == "b"

    house.clock.advance(1)
    house.checks.answer("a", good=True)
    assert house.usable() == "ab"


def test_a_server_whose_checks_are_good_again_is_no_outlier_any_more():
    house = House(
        "a",
        "b",
        health=HealthSettings(fall=1, rise=1, jitter=0, interval=1),
        outliers=OutlierSettings(errors=1, eject_seconds=1000),
    )
    house.fail("a")
    house.checks.answer("a", good=False)
    house.clock.advance(1)
    house.checks.answer("a", good=True)

    assert house.usable() == "ab"
    assert house.server("a").failures == 0


def test_when_none_is_usable_it_says_so_or_tries_all():
    for try_all, usable in ((False, ""), (True, "ab")):
        house = House("a", "b", breaker=BreakerSettings(failures=1), try_all=try_all)
        house.fail("a")
        house.fail("b")
        assert house.usable() == usable


def test_what_was_drained_is_not_tried_either():
    house = House("a", "b", try_all=True)
    house.pool.drain("a")
    house.pool.drain("b")

    assert house.usable() == ""


def test_a_full_server_is_passed_over_and_when_all_are_the_wait_is_the_shortest():
    house = House("a", "b", FoundServer("c", weight=3))
    house.server("a").active = 2
    house.server("b").active = 1
    house.server("c").active = 1
    assert house.pool.choose(None).name == "c"

    house.server("b").active = 4
    house.server("c").active = 9
    assert house.pool.choose(None).name == "a"


def test_another_attempt_goes_where_nobody_has_failed_lately():
    house = House("a", "b", "c", FoundServer("d", weight=0))
    a, b, c, d = (house.server(name) for name in "abcd")
    b.failures = 1
    c.active = 2
    assert house.pool.another(None, [a]) is c
    assert house.pool.another(None, [a, c]) is b
    assert house.pool.another(None, [a, b, c]) is d
    assert house.pool.another(None, [a, b, c, d]) in (a, c), "any, when all were tried"


def test_another_attempt_may_be_at_a_server_that_is_down_when_all_are_tried_if_none_is_usable():
    house = House(
        "a",
        "b",
        "c",
        health=HealthSettings(fall=1),
        breaker=BreakerSettings(failures=1),
        try_all=True,
    )
    a, b, c = (house.server(name) for name in "abc")
    house.checks.answer("b", good=False)
    house.fail("c")
    assert house.usable() == "a"

    assert house.pool.another(None, [a]) is c, "it is not known to be down"
    assert house.pool.another(None, [a, c]) is b


def test_found_servers_are_added_changed_and_released():
    house = House("a", "b")
    b = house.server("b")
    house.pool.servers_found([FoundServer("c"), FoundServer("b", weight=5)])

    assert house.usable() == "cb"
    assert house.server("b") is b
    assert b.weight == 5


def test_a_new_weight_is_a_new_tuple():
    house = House("a", "b")
    house.usable()
    house.pool.servers_found([FoundServer("a", weight=2), FoundServer("b")])
    house.usable()

    assert house.balancer.given[0] == house.balancer.given[1]
    assert house.balancer.given[0] is not house.balancer.given[1]


def test_a_pool_takes_over_what_the_one_before_knew():
    settings = {
        "health": HealthSettings(fall=1),
        "outliers": OutlierSettings(errors=1),
        "breaker": BreakerSettings(failures=5),
    }
    before = House("a", "b", "c", "d", **settings)
    before.checks.answer("a", good=False)
    before.fail("b")
    before.pool.drain("c")
    after = House("a", "b", "c", "d", "e", **settings)

    after.pool.inherit(before.pool)

    assert before.usable() == "d"
    assert after.usable() == "de"


def test_nothing_runs_any_more_once_it_is_retired():
    house = House("a", "b", health=HealthSettings(), outliers=OutlierSettings(errors=1))
    house.checks.answer("a", good=True)
    house.fail("a")

    house.pool.retire()

    assert house.clock.getDelayedCalls() == []


def test_a_pool_without_a_server():
    with pytest.raises(Unavailable, match="no usable server"):
        House().pool.choose(None)
