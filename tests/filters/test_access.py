"""The access filter: every condition, and the first rule that matches."""

from __future__ import annotations

import asyncio
import calendar
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.engine.exchange import Exchange
from proxykit.engine.forwarding import Direction, ForwardingRules
from proxykit.engine.pipeline import Pipeline
from proxykit.errors import Denied
from proxykit.filters.access import Access, AccessOptions
from proxykit.filters.access.filter import AccessWithResponses
from proxykit.http1.limits import HeadLimits
from proxykit.http1.reader import RequestReader
from proxykit.lists.watched import WatchedList
from proxykit.message.path import PathMatch, normalised_path
from proxykit.message.response import Response
from proxykit.options import contains
from proxykit.upstream.resolution import Resolver
from tests.lists.judged import table


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


def test_a_rules_path_is_written_as_a_path_or_as_text():
    assert not allows(deny(path="/a b/%7Ex"), exchange("http://a/a%20b/~x"))


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


def asked_by(user, *groups):
    subject = exchange()
    subject.user, subject.groups = user, frozenset(groups)
    return subject


def test_users_and_groups():
    assert not allows(deny(user="anna"), asked_by("anna"))
    assert allows(deny(user="anna"), asked_by("ben"))
    assert allows(deny(user="*"), asked_by(""))
    assert not allows(deny(user="*"), asked_by("ben"))
    assert not allows(deny(group=["staff", "guests"]), asked_by("ben", "guests", "x"))
    assert allows(deny(group="staff"), asked_by("staff"))


@pytest.mark.parametrize(
    ("url", "pattern", "matches"),
    [
        ("http://a.example/x?q=1", "[?]q=[0-9]$", True),
        ("http://a.example:80/x", "^http://a[.]example/x$", True),
        ("http://a.example:81/x", "^http://a[.]example:81/", True),
        ("http://a.example/%61dmin", "/admin", True),
        ("http://a.example/y/../admin", "example/admin", True),
        ("http://a.example/ADMIN", "(?i)admin", True),
        ("http://a.example/", "b", False),
    ],
)
def test_urls(url, pattern, matches):
    assert allows(deny(url=pattern), exchange(url)) is not matches


def test_of_a_tunnel_the_url_is_its_host_and_port():
    assert not allows(deny(url="^a[.]example:443$"), exchange("a.example:443", method="CONNECT"))


def test_an_expression_that_could_stall_is_refused_or_harmless():
    with pytest.raises(ValueError, match="too large"):
        AccessOptions.model_validate(deny(url="((a{30}){30})"))
    with pytest.raises(ValueError, match="a back-reference"):
        AccessOptions.model_validate(deny(url=r"(a)\1"))
    # By backtracking this would outlive the sun, and the test's time-out.
    assert allows(deny(url="(a+)+$"), exchange("http://a/" + "a" * 200 + "!"))


# --- lists -------------------------------------------------------------------------------------


def listed(kind, *lines):
    read = WatchedList(Path("list.txt"), kind)
    read.table = table(*lines, kind=kind)
    return read


@pytest.mark.parametrize(
    ("condition", "kind", "lines", "subject", "matches"),
    [
        ("domain", "domains", ["a.example"], exchange("http://a.example/"), True),
        ("domain", "domains", ["a.example"], exchange("http://x.a.example/"), False),
        ("domain", "domains", [".a.example"], exchange("http://x.a.example/"), True),
        ("domain", "domains", ["*.a.example"], exchange("http://a.example/"), False),
        ("domain", "domains", ["*.a.example"], exchange("http://x.a.example/"), True),
        ("client", "networks", ["# x", "192.0.2.0/24"], exchange(), True),
        ("client", "networks", ["192.0.2.1 # x"], exchange(client="::ffff:192.0.2.1"), True),
        ("client", "networks", ["2001:db8::/32"], exchange(client="2001:db8::7"), True),
        ("client", "networks", ["0.0.0.0/0"], exchange(client="2001:db8::7"), False),
        ("client", "networks", ["0.0.0.0/0"], exchange(client=""), False),
        ("user", "names", ["anna"], asked_by("anna"), True),
        ("user", "names", ["anna"], asked_by(""), False),
        ("group", "names", ["staff"], asked_by("x", "staff"), True),
        ("url", "urls", ["http://a.example/x"], exchange("http://a.example/x?y"), True),
        ("url", "urls", ["a.example/x?y"], exchange("http://a.example/x?z"), False),
        ("url", "urls", ["a.example/x?y"], exchange("http://a.example/x?y"), True),
        ("url", "urls", ["a.example/x/*"], exchange("http://a.example/x/y/z"), True),
        ("url", "urls", ["a.example/x/*"], exchange("http://a.example/xy"), False),
        ("url", "urls", ["A.example"], exchange("http://a.example/"), True),
        ("url", "urls", ["http://a.example:81/"], exchange("http://a.example/"), False),
    ],
)
def test_a_list_in_a_file(condition, kind, lines, subject, matches):
    options = {**deny(**{condition: "@it"}), "lists": {"it": "list.txt"}}
    lists = {("it", kind): listed(kind, *lines)}
    access = Access(AccessOptions.model_validate(options), lists=lists)
    access._was_read = True

    if matches:
        with pytest.raises(Denied):
            access.request(subject)
    else:
        assert access.request(subject) is None


def test_a_list_in_the_options():
    options = {**deny(client="@office"), "lists": {"office": ["192.0.2.0/24", "10.0.0.0/8"]}}

    assert not allows(options)
    assert allows(options, exchange(client="203.0.113.1"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (deny(client="@none"), "which is not in lists"),
        ({**deny(client="@it"), "lists": {"it": []}}, "is empty"),
        ({**deny(client="@it"), "lists": {"it": ["x"]}}, "expected a network"),
        (deny(type="video"), "expected a media type"),
        (deny(size="10MiB+"), "expected a size"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AccessOptions.model_validate(options)


def test_a_dry_run_denies_nothing():
    assert allows({**deny(method="GET"), "dry_run": True})
    assert allows({"default": "deny", "dry_run": True})


# --- responses ----------------------------------------------------------------------------------


def response(media_type, size):
    answer = Response(200, [(b"Content-Type", media_type)] if media_type else [])
    answer.body = b"x" * size
    return answer


def allows_response(options, answer, subject=None):
    """Say whether a request goes on (``None`` if not) and its response does."""
    access = AccessWithResponses(AccessOptions.model_validate(options))
    subject = subject or exchange()
    try:
        access.request(subject)
    except Denied:
        return None
    try:
        access.response(subject, answer)
    except Denied:
        return False
    return True


@pytest.mark.parametrize(
    ("conditions", "answer", "matches"),
    [
        ({"type": "video/*"}, response(b"Video/MP4; x=y", 1), True),
        ({"type": "video/*"}, response(b"text/html", 1), False),
        ({"type": ["text/css", "*/*"]}, response(b"a/b", 1), True),
        ({"type": "*/*"}, response(b"", 1), False),
        ({"type": "none"}, response(b"", 1), True),
        ({"size": ">2B"}, response(b"", 3), True),
        ({"size": ">3"}, response(b"", 3), False),
        ({"size": "<4"}, response(b"", 3), True),
        ({"size": "2B-3B"}, response(b"", 3), True),
        ({"size": ["unknown", "<1"]}, response(b"", 3), False),
        ({"type": "a/b", "size": ">1"}, response(b"a/b", 1), False),
    ],
)
def test_conditions_of_responses(conditions, answer, matches):
    assert allows_response(deny(**conditions), answer) is not matches


def test_the_first_rule_decides_also_when_it_needs_the_response():
    video = response(b"video/mp4", 1)
    text = response(b"text/html", 1)
    pictures_only = {"rules": [{"action": "allow", "type": "video/*"}], "default": "deny"}
    assert allows_response(pictures_only, video) is True
    assert allows_response(pictures_only, text) is False
    before = {"rules": [{"action": "deny", "type": "video/*"}, {"action": "allow"}]}
    assert allows_response(before, video) is False
    assert allows_response(before, text) is True
    behind = {"rules": [{"action": "allow"}, {"action": "deny", "type": "video/*"}]}
    assert allows_response(behind, video) is True
    certain = {"rules": [{"action": "deny", "type": "video/*"}, {"action": "deny"}]}
    assert allows_response(certain, video) is None, "a request that nothing can allow is not sent"


def test_what_goes_through_a_tunnel_is_not_judged_by_what_cannot_be_seen():
    tunnel = exchange("a.example:443", method="CONNECT")
    pictures_only = {"rules": [{"action": "allow", "type": "image/*"}], "default": "deny"}
    assert allows_response(pictures_only, response(b"image/gif", 1), tunnel) is None


# --- many rules ---------------------------------------------------------------------------------

CONDITIONS = {
    "client": ["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32", "192.0.2.1", "0.0.0.0/0"],
    "user": ["anna", "ben", "*"],
    "group": ["staff", "guests"],
    "domain": ["a.example", ".a.example", "*.a.example", "*", "c*.example", "*.c-*.example"],
    "destination": ["10.0.0.0/8", "8.8.8.8"],
    "port": [80, 8080],
    "method": ["GET", "post"],
    "path": ["/", "/x", "/x/", "= /x", "~ y+$", "/x/y", "/x/y/", "/x/y/z"],
    "url": ["example/x", "^http://a", "[?]q"],
    "weekdays": ["mon-fri", "sat", "fri-mon"],
    "time": ["08:00-18:00", "22:00-06:00"],
}


@st.composite
def rules_of(draw):
    names = draw(st.lists(st.sampled_from(sorted(CONDITIONS)), max_size=3, unique=True))
    rule = {
        name: draw(st.lists(st.sampled_from(CONDITIONS[name]), min_size=1, max_size=2))
        for name in names
    }
    return {"action": draw(st.sampled_from(["allow", "deny"])), **rule}


@st.composite
def exchanges(draw):
    host = draw(st.sampled_from(["a.example", "x.a.example", "cd.example", "inside.example",
                                 "z.c-1.example", "b.example."]))  # fmt: skip
    port = draw(st.sampled_from(["", ":8080"]))
    path = draw(
        st.sampled_from(["/", "/x", "/x/", "/x/y", "/x/y/z/w", "/xy", "/x?q", "/%78/../x", "/yy"])
    )
    client = draw(st.sampled_from(["10.1.2.3", "10.2.2.3", "192.0.2.1", "2001:db8::1",
                                   "::ffff:10.1.1.1", ""]))  # fmt: skip
    method = draw(st.sampled_from(["GET", "POST", "DELETE"]))
    subject = exchange(f"http://{host}{port}{path}", client, method)
    subject.user = draw(st.sampled_from(["", "anna", "ben"]))
    subject.groups = draw(st.sampled_from([frozenset(), frozenset({"staff", "x"})]))
    return subject


def naively(options, subject, now):
    """Decide rule by rule, condition by condition, as the documentation reads."""
    local = time.localtime(now)
    minute = local.tm_hour * 60 + local.tm_min
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    addresses = {"inside.example": ["10.0.0.1", "8.8.8.8"]}.get(subject.host, [])
    path = normalised_path(subject.request.path)
    query = subject.request.query
    port = "" if subject.port == 80 else f":{subject.port}"
    url = f"http://{subject.host}{port}{path}" + (f"?{query}" if query else "")

    def in_time(text):
        start, end = (int(t[:2]) * 60 + int(t[3:]) for t in text.split("-"))
        return start <= minute < end if start < end else minute >= start or minute < end

    def in_days(text):
        first, _, last = text.partition("-")
        day, end = days.index(first), days.index(last or first)
        while day != end:
            if day == local.tm_wday:
                return True
            day = (day + 1) % 7
        return end == local.tm_wday

    def in_domain(text):
        host = subject.host.rstrip(".")
        if text == "*":
            return True
        below = text.startswith("*.")
        either = text.startswith(".")
        name = text[2:] if below else text[1:] if either else text
        glob = re.escape(name).replace(r"\*", "[^.]*")
        prefix = r".+\." if below else r"(.+\.)?" if either else ""
        return re.fullmatch(prefix + glob, host) is not None

    tests = {
        "client": lambda v: contains([v], subject.client_address),
        "user": lambda v: bool(subject.user) and v in (subject.user, "*"),
        "group": lambda v: v in subject.groups,
        "domain": in_domain,
        "port": lambda v: v == subject.port,
        "method": lambda v: v.upper().encode() == subject.request.method,
        "path": lambda v: PathMatch.of(v).matches(path),
        "url": lambda v: re.search(v, url) is not None,
        "weekdays": in_days,
        "time": in_time,
    }
    for rule in options.rules:
        if not all(
            any(test(value) for value in getattr(rule, name))
            for name, test in tests.items()
            if getattr(rule, name)
        ):
            continue
        if rule.destination:
            inside = [contains(rule.destination, address) for address in addresses]
            if not inside or not (any(inside) if rule.action == "deny" else all(inside)):
                continue
        return rule.action == "allow"
    return options.default != "deny"


@settings(max_examples=300)
@given(
    st.lists(rules_of(), max_size=8),
    st.sampled_from(["allow", "deny"]),
    exchanges(),
    st.integers(0, 7 * 24 * 60).map(lambda minute: at(0, "00:00") + minute * 60),
)
def test_compiled_rules_decide_as_the_rules_one_by_one(rules, default, subject, now):
    options = {"rules": rules, "default": default}

    expected = naively(AccessOptions.model_validate(options), subject, now)

    assert allows(options, subject, now) is expected


def test_explaining_says_why_each_rule_does_not_match_and_which_one_decides():
    options = {
        "rules": [
            {"name": "one", "action": "deny", "method": "POST", "domain": "b.example"},
            {"name": "two", "action": "allow", "domain": ".example.com"},
        ]
    }
    access = Access(AccessOptions.model_validate(options))

    assert access.explain(exchange()) == [
        "rule 'one' (deny) does not match: method, domain",
        "rule 'two' (allow) decides: domain is .example.com",
    ]
