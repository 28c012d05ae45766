"""The access filter: every condition, and the first rule that matches."""

from __future__ import annotations

import asyncio
import calendar
import time

import pytest

from proxykit.engine.exchange import Exchange
from proxykit.engine.forwarding import Direction, ForwardingRules
from proxykit.engine.pipeline import Pipeline
from proxykit.errors import Denied
from proxykit.filters.access import Access, AccessOptions
from proxykit.http1.limits import HeadLimits
from proxykit.http1.reader import RequestReader
from proxykit.upstream.resolution import Resolver


class Names:
    """Resolves what a test says."""

    def resolveHostName(self, receiver, name, *rest):
        from twisted.internet.address import IPv4Address

        receiver.resolutionBegan(None)
        for address in {"inside.example": ["10.0.0.1", "8.8.8.8"]}.get(name, []):
            receiver.addressResolved(IPv4Address("TCP", address, 0))
        receiver.resolutionComplete()


def exchange(url="http://www.example.com/a", client="192.0.2.1", method="GET"):
    host = url.split("/")[2] if "//" in url else url
    reader = RequestReader(HeadLimits())
    reader.feed(f"{method} {url} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    rules = ForwardingRules(Direction.FORWARD, b"p")
    pipeline = Pipeline("forward.x", lambda exchange: None, rules, Resolver(Names()))
    return Exchange(pipeline, reader.next_event(), client, client, "http", 0.0)


def allows(options, subject=None, now=0.0):
    access = Access(AccessOptions.model_validate(options), lambda: now)
    try:
        waiting = access.request(subject or exchange())
        if waiting is not None:
            asyncio.run(waiting)
    except Denied:
        return False
    return True


def deny(**conditions):
    return {"rules": [{"action": "deny", **conditions}]}


@pytest.mark.parametrize(
    ("domain", "host", "matches"),
    [
        ("example.com", "example.com", True),
        ("example.com", "EXAMPLE.com.", True),
        ("example.com", "www.example.com", False),
        (".example.com", "example.com", True),
        (".example.com", "a.b.example.com", True),
        (".example.com", "badexample.com", False),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.b.example.com", True),
        ("cdn-*.example.com", "cdn-1.example.com", True),
        ("cdn-*.example.com", "cdn-1.a.example.com", False),
        ("*", "anything", True),
    ],
)
def test_domains(domain, host, matches):
    assert allows(deny(domain=domain), exchange(f"http://{host}/")) is not matches


@pytest.mark.parametrize(
    "path",
    ["/admin", "/admin/", "/%61dmin/x", "/a/../admin/x", "//admin", "/./admin", "/admin%2Fx"],
)
def test_a_path_is_matched_by_where_it_leads(path):
    assert not allows(deny(path="/admin"), exchange(f"http://a{path}"))


def test_a_path_prefix_ends_at_a_segment():
    assert allows(deny(path="/admin"), exchange("http://a/administrator"))


def test_clients_are_matched_by_network_mapped_ones_too():
    assert not allows(deny(client="192.0.2.0/24"))
    assert not allows(deny(client="192.0.2.0/24"), exchange(client="::ffff:192.0.2.9"))
    assert allows(deny(client="192.0.2.0/24"), exchange(client=""))


def test_ports_and_methods():
    assert not allows(deny(port=8080), exchange("http://a:8080/"))
    assert not allows(deny(port=80), exchange("http://a/"))
    assert not allows(deny(port=25), exchange("a:25", method="CONNECT"))
    assert not allows(deny(method=["delete"]), exchange(method="DELETE"))
    assert allows(deny(method=["DELETE"]))


def test_the_first_rule_that_matches_decides():
    rules = [
        {"action": "allow", "domain": ".example.com"},
        {"action": "deny", "method": "GET"},
    ]
    assert allows({"rules": rules})
    assert not allows({"rules": rules[::-1]})


def test_an_allow_list_denies_the_rest_and_a_deny_list_does_not():
    assert allows({"allow": ["192.0.2.0/24"]})
    assert not allows({"allow": ["10.0.0.0/8"]})
    assert not allows({"deny": ["192.0.2.1"], "allow": ["192.0.2.0/24"]})
    assert allows({"deny": ["10.0.0.0/8"]})
    assert not allows({"default": "deny"})


def test_a_destination_is_judged_after_resolution():
    """One address inside is enough to deny, all are needed to allow."""
    subject = exchange("http://inside.example/")
    assert not allows(deny(destination="10.0.0.0/8"), subject)
    allow = {"rules": [{"action": "allow", "destination": "10.0.0.0/8"}], "default": "deny"}
    assert not allows(allow, subject)
    assert allows(deny(destination="10.0.0.0/8"), exchange("http://unknown.example/"))


def at(weekday, clock):
    """Give the time of a weekday (2026-11-23 was a Monday) in this machine's time zone."""
    hour, minute = map(int, clock.split(":"))
    local = time.struct_time((2026, 11, 23 + weekday, hour, minute, 0, 0, 0, -1))
    assert time.localtime(time.mktime(local)).tm_wday == weekday
    return time.mktime(local)


@pytest.mark.parametrize(
    ("conditions", "weekday", "clock", "matches"),
    [
        ({"time": "08:00-18:00"}, 0, "08:00", True),
        ({"time": "08:00-18:00"}, 0, "18:00", False),
        ({"time": "22:00-06:00"}, 0, "23:30", True),
        ({"time": "22:00-06:00"}, 0, "05:59", True),
        ({"time": "22:00-06:00"}, 0, "12:00", False),
        ({"weekdays": "mon-fri"}, 4, "12:00", True),
        ({"weekdays": "mon-fri"}, 5, "12:00", False),
        ({"weekdays": ["sat", "sun"]}, 6, "12:00", True),
        ({"weekdays": "sat-mon"}, 0, "12:00", True),
    ],
)
def test_times(conditions, weekday, clock, matches):
    assert calendar.day_abbr[weekday]
    assert allows(deny(**conditions), now=at(weekday, clock)) is not matches
