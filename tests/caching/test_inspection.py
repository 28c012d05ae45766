"""What an operator sees of a cache: keys of URLs, statistics, entries without secrets."""

from __future__ import annotations

import pytest

from proxykit.caching.keys import PARTS, split_key, url_key
from proxykit.caching.memory import MemoryStore
from proxykit.caching.policy import Terms
from proxykit.caching.stored import StoredHead
from proxykit.errors import BadRequest
from proxykit.interfaces import ICacheInspection
from proxykit.message.fields import FieldSection
from proxykit.service.inspection import entry_status

FIELDS = ((b"ETag", b'"1"'), (b"Set-Cookie", b"session=secret"), (b"X-Odd", b"\xe9"))


def head(**more):
    return StoredHead(200, b"OK", 1, FieldSection(FIELDS), 1000.0, 5.0, Terms(60.0), **more)


def filled(*keys, **more):
    store = MemoryStore(1024 * 1024)
    for key in keys:
        writer = store.begin(key, None)
        writer.write(b"content")
        writer.commit(head(**more), lambda other: False)
    return store


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.example/x?y=%20", b"n http://a.example/x?y=%20"),
        ("HTTP://A.Example:80/x", b"n http://a.example/x"),
        ("https://a.example:443/", b"n https://a.example/"),
        ("https://a.example:80/", b"n https://a.example:80/"),
        ("http://a.example", b"n http://a.example/"),
        ("http://a.example?q", b"n http://a.example/?q"),
        ("http://[2001:DB8::0:1]:81/", b"n http://[2001:db8::1]:81/"),
    ],
)
def test_a_url_has_the_key_that_a_request_for_it_has(url, expected):
    assert url_key(b"n", url) == expected
    assert split_key(expected + PARTS + b"x: y") == (b"n", expected[2:], [b"x: y"])


@pytest.mark.parametrize(
    "url",
    ["", "/x", "ftp://a/", "http://", "http:///x", "http://u@a/", "http://a/\n", "http://a/#f",
     "http://a/ b", "http://a/\u00e9", "http://a/\ud800"],
)  # fmt: skip
def test_what_is_no_url_has_no_key(url):
    with pytest.raises(BadRequest):
        url_key(b"n", url)


def test_the_store_in_memory_says_what_it_holds():
    store = filled(b"a http://x/1", b"a http://x/2", b"b http://x/1")

    assert ICacheInspection.providedBy(store)
    found = store.statistics()
    assert (found.entries, found.bytes, found.limit, found.evicted) == (
        3,
        store.used,
        store.size,
        0,
    )
    assert [key for key, _ in store.entries(b"a ", 10)] == [b"a http://x/1", b"a http://x/2"]
    assert len(store.entries(b"", 2)) == 2
    assert store.entries(b"c", 2) == []


def test_evictions_are_counted():
    store = MemoryStore(64 * 1024)
    for number in range(200):
        writer = store.begin(b"n http://x/%d" % number, None)
        writer.write(b"c" * 1000)
        writer.commit(head(), lambda other: False)

    found = store.statistics()
    assert found.entries + found.evicted == 200
    assert found.bytes <= found.limit


def test_an_entry_is_shown_without_what_identifies_a_user():
    key = PARTS.join(
        (b"reverse.a http://x/1", b"cookie session=secret", b"authorization: secret", b"x-c: de")
    )
    selecting = ((b"accept", b"text/html"), (b"cookie", b"secret"), (b"x-d", None))
    store = filled(key, selecting=selecting, tags=frozenset({b"t"}))
    ((found, (stored,)),) = store.entries(b"", 1)

    shown = entry_status(found, stored, 1010.0, with_fields=True)

    assert "secret" not in repr(shown)
    assert (shown.namespace, shown.url) == ("reverse.a", "http://x/1")
    assert shown.key == ["cookie session=(hidden)", "authorization: (hidden)", "x-c: de"]
    assert shown.vary == {"accept": "text/html", "cookie": "(hidden)", "x-d": None}
    assert (shown.age, shown.ttl, shown.size, shown.tags) == (15.0, 45.0, 7, ["t"])
    assert shown.fields == [("ETag", '"1"'), ("Set-Cookie", "(hidden)"), ("X-Odd", "é")]
    assert entry_status(found, stored, 1010.0, with_fields=False).fields is None
