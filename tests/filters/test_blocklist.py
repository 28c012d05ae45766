"""The blocklist filter: what it answers, and what it takes a request to be for."""

from __future__ import annotations

import pytest

from proxykit.engine.exchange import Exchange
from proxykit.engine.forwarding import Direction, ForwardingRules
from proxykit.engine.pipeline import Pipeline
from proxykit.errors import BlockedByList
from proxykit.filters.blocklist import Blocklist, BlocklistOptions
from proxykit.filters.blocklist.asked import Asked, resource_type_of
from proxykit.http1.limits import HeadLimits
from proxykit.http1.reader import RequestReader
from proxykit.lists.watched import WatchedList
from proxykit.message.request import Request
from proxykit.upstream.resolution import Resolver
from tests.lists.judged import table


def exchange(url="http://www.example.com/a", method="GET", **fields):
    host = url.split("/")[2] if "//" in url else url
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items()]
    reader = RequestReader(HeadLimits())
    reader.feed(f"{method} {url} HTTP/1.1\r\nHost: {host}\r\n{''.join(lines)}\r\n".encode())
    rules = ForwardingRules(Direction.FORWARD, b"p")
    pipeline = Pipeline("forward.x", lambda exchange: None, rules, Resolver(None))
    request = reader.next_event()
    assert isinstance(request, Request)
    return Exchange(pipeline, request, "192.0.2.1", "192.0.2.1", "http", 0.0)


def blocklist(tmp_path, *lines, **options):
    read = WatchedList(tmp_path / "ads.txt", "blocklist")
    read.table = table(*lines)
    return Blocklist(BlocklistOptions(lists=["ads.txt"], **options), [read], None)


def test_what_a_list_blocks_is_refused_with_the_list_and_the_rule(tmp_path):
    blocking = blocklist(tmp_path, "||ads.example^")

    with pytest.raises(BlockedByList) as caught:
        blocking.request(exchange("http://x.ads.example/"))

    assert caught.value.status == 403
    assert "ads.txt" in str(caught.value)
    assert caught.value.facts == {"list": "ads.txt", "rule": "||ads.example^"}
    assert blocking.request(exchange("http://example/")) is None


def test_a_blocked_image_is_an_empty_image(tmp_path):
    subject = exchange("http://ads.example/pixel", Accept="image/avif,image/webp,*/*;q=0.8")

    answer = blocklist(tmp_path, "ads.example").request(subject)

    assert answer.status == 200
    assert answer.headers.get(b"Content-Type") == b"image/gif"
    assert answer.body.startswith(b"GIF89a\x01\x00\x01\x00")
    assert "ads.txt" in subject.detail


def test_a_blocked_image_is_the_page_where_that_is_asked_for(tmp_path):
    with pytest.raises(BlockedByList):
        blocklist(tmp_path, "ads.example", images="page").request(
            exchange("http://ads.example/x.gif")
        )


def test_a_dry_run_blocks_nothing(tmp_path):
    blocking = blocklist(tmp_path, "ads.example", dry_run=True)

    assert blocking.request(exchange("http://ads.example/")) is None


def test_a_tunnel_is_blocked_by_its_host(tmp_path):
    blocking = blocklist(tmp_path, "ads.example", "||b.example^$script", "||c.example/x", "||d.")

    for host, blocked in [("ads", True), ("b", False), ("c", False), ("d", True), ("e", False)]:
        subject = exchange(f"{host}.example:443", method="CONNECT")
        if blocked:
            with pytest.raises(BlockedByList):
                blocking.request(subject)
        else:
            assert blocking.request(subject) is None


def test_explaining_names_the_line_and_the_exception(tmp_path):
    blocking = blocklist(tmp_path, "ads.example", "", "@@||ads.example/good")

    said = blocking.explain(exchange("http://ads.example/good"))

    assert "ads.txt:1: ads.example blocks it" in said
    assert "ads.txt:3: @@||ads.example/good lets it through all the same" in said


@pytest.mark.parametrize(
    ("url", "fields", "expected"),
    [
        ("http://a/", {"Sec_Fetch_Dest": "iframe"}, "subdocument"),
        ("http://a/x.js", {"Sec_Fetch_Dest": "image"}, "image"),
        ("http://a/", {"Sec_Fetch_Dest": "empty"}, "xmlhttprequest"),
        ("http://a/", {"Sec_Fetch_Dest": "empty", "Sec_Fetch_Mode": "websocket"}, "websocket"),
        ("http://a/x.js", {"Sec_Fetch_Dest": "nonsense"}, "script"),
        ("http://a/", {"Upgrade": "websocket"}, "websocket"),
        ("http://a/", {"Ping_To": "http://b/"}, "ping"),
        ("http://a/x.js", {"X_Requested_With": "XMLHttpRequest"}, "xmlhttprequest"),
        ("http://a/", {"Accept": "text/css,*/*;q=0.1"}, "stylesheet"),
        ("http://a/", {"Accept": "image/webp,*/*"}, "image"),
        ("http://a/", {"Accept": "text/html", "Upgrade_Insecure_Requests": "1"}, "document"),
        ("http://a/", {"Accept": "text/html,*/*;q=0.8"}, "subdocument"),
        ("http://a/x.js?y=.css", {"Accept": "*/*"}, "script"),
        ("http://a/x.GIF", {}, "image"),
        ("http://a/x.woff2", {}, "font"),
        ("http://a/x.mp4", {}, "media"),
        ("http://a/x", {}, "other"),
        ("http://a/", {"Accept": ";,;"}, "other"),
    ],
)
def test_what_a_request_is_for_is_judged_from_it(url, fields, expected):
    assert resource_type_of(exchange(url, **fields).request) == expected


@pytest.mark.parametrize(
    ("fields", "page", "third_party"),
    [
        ({}, "", None),
        ({"Referer": "http://Page.example:80/x"}, "page.example", True),
        ({"Referer": "https://user@www.a.co.uk/x"}, "www.a.co.uk", False),
        ({"Origin": "https://b.co.uk"}, "b.co.uk", True),
        ({"Origin": "null"}, "", None),
        ({"Referer": "http://[2001:db8::1]:80/"}, "2001:db8::1", True),
        ({"Sec_Fetch_Site": "cross-site"}, "", True),
        ({"Sec_Fetch_Site": "same-site", "Referer": "http://b.co.uk/"}, "b.co.uk", False),
        ({"Sec_Fetch_Dest": "document", "Referer": "http://b.co.uk/"}, "ads.a.co.uk", False),
    ],
)
def test_the_page_is_who_refers(fields, page, third_party):
    asked = Asked(exchange("http://ads.a.co.uk/", **fields))

    assert asked.page_host == page
    assert asked.third_party is third_party


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lists": []}, "at least 1"),
        ({"lists": ["https://a.example/list"]}, "needs a file"),
        ({"lists": [{"file": "a", "url": "ftp://a"}]}, "http or https"),
        ({"lists": [{"file": "a", "refresh": "0s"}]}, "too often"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BlocklistOptions.model_validate(options)
