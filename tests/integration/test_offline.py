"""Offline caches: what is stored is answered however stale, but for what forbids it."""

from __future__ import annotations

import re

import pytest

from demo.proxies import free_port
from proxykit.command import main
from tests.integration.admin import Api, token_of
from tests.integration.cached import ask, cache_says, content, field, serving, status
from tests.integration.test_cache_gaps import Origin
from tests.scripted import exchange

CONFIGURATION = """
[cache.main]
size = "4MiB"
[cache.small]
size = "4MiB"
max_object_size = "64KiB"
[cache.switched]
size = "4MiB"
[pool.a]
servers = ["{url}"]
retries = 0
[reverse.a]
listen = ["127.0.0.1:{port}"]
[[reverse.a.routes]]
path = "/small/"
pool = "a"
cache = {{ use = "small", offline = true }}
[[reverse.a.routes]]
pool = "a"
cache = {{ use = "main", offline = true }}
[forward.b]
listen = "127.0.0.1:{forward}"
allow_private = true
[forward.b.cache]
use = "main"
[[forward.b.cache.rules]]
url = '(?i)/OFFLINE/.*\\?yes'
offline = true
[reverse.c]
listen = ["127.0.0.1:{switched}"]
[[reverse.c.routes]]
path = "/sliced/"
pool = "a"
cache = {{ use = "switched", slice_size = "4KiB" }}
[[reverse.c.routes]]
pool = "a"
cache = "switched"
[admin]
listen = "127.0.0.1:{admin}"
"""

# It is older than it may get when it comes.
STALE = b'Cache-Control: max-age=60%s\r\nAge: 100\r\nETag: "1"\r\n'


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, site):
    directory = tmp_path_factory.mktemp("offline")
    ports = {name: free_port() for name in ("forward", "switched", "admin")}
    with serving(directory, CONFIGURATION, url=site.url, **ports) as running:
        running.ports = {"reverse": running.port, **ports}
        running.admin = Api(("127.0.0.1", ports["admin"]), token_of(directory))
        yield running


def gone(site, path):
    """From now on the origin breaks off whatever is asked for there."""
    site.answers[path] = lambda connection, head: connection.close()


def get(proxy, path, extra=b"", *, port="reverse", method=b"GET"):
    return exchange(("127.0.0.1", proxy.ports[port]), ask(path, extra, method))


@pytest.mark.parametrize(
    "extra",
    [
        b"",
        b"Cache-Control: no-cache\r\n",
        b"Pragma: no-cache\r\n",
        b"Cache-Control: max-age=0\r\n",
        b"Cache-Control: max-age=5, min-fresh=600\r\n",
    ],
)
def test_what_is_stale_is_answered_whatever_the_client_says(proxy, site, extra):
    path = b"/stale/%d" % len(extra)
    site.put(path, STALE % b"", b"old")
    get(proxy, path)
    gone(site, path)

    answer = get(proxy, path, extra)

    assert (status(answer), content(answer)) == (b"200", b"old")
    assert int(field(answer, b"Age")) >= 100
    assert cache_says(answer).startswith(b"hit; ttl=-4")
    assert site.count(path) == 1


def test_what_is_fresh_is_not_validated_for_a_reload(proxy, site):
    site.put(b"/fresh", b"Cache-Control: max-age=60\r\n", b"new")
    get(proxy, b"/fresh")

    answer = get(proxy, b"/fresh", b"Cache-Control: no-cache\r\n")

    assert cache_says(answer).startswith(b"hit; ttl=5") or b"ttl=60" in cache_says(answer)
    assert site.count(b"/fresh") == 1


def test_heads_conditions_and_ranges_are_answered_from_what_is_stale(proxy, site):
    site.put(b"/parts", STALE % b"", b"0123456789")
    get(proxy, b"/parts")
    gone(site, b"/parts")

    assert field(get(proxy, b"/parts", method=b"HEAD"), b"Content-Length") == b"10"
    assert status(get(proxy, b"/parts", b'If-None-Match: "1"\r\n')) == b"304"
    assert content(get(proxy, b"/parts", b"Range: bytes=2-3\r\n")) == b"23"


@pytest.mark.parametrize(("said", "answered"), [(b"", b"200"), (b", must-revalidate", b"502")])
def test_stale_parts_of_what_is_too_large_to_join_are_answered_together(
    proxy, site, said, answered
):
    path, whole = b"/small/%d" % len(said), bytes(range(256)) * 400
    site.answers[path] = Origin(whole, fields=b"Cache-Control: max-age=60%s\r\nAge: 100\r\n" % said)
    for spec in (b"0-51199", b"51200-"):
        assert status(get(proxy, path, b"Range: bytes=%s\r\n" % spec)) == b"206"
    gone(site, path)

    answer = get(proxy, path)

    assert status(answer) == answered
    assert answered != b"200" or content(answer) == whole


@pytest.mark.parametrize(
    ("said", "failed"),
    [(b", must-revalidate", b"504"), (b", proxy-revalidate", b"504"), (b", s-maxage=60", b"504"),
     (b", no-cache", b"502")],
)  # fmt: skip
def test_what_must_be_validated_is_and_is_an_error_when_it_cannot_be(proxy, site, said, failed):
    """RFC 9111 sections 4.2.4 and 5.2.2.2, which says 504."""
    path = b"/must/" + said[2:5]
    site.put(path, STALE % said, b"old")
    get(proxy, path)
    site.put(path, STALE % said, status=b"304 Not Modified")
    validated = get(proxy, path)
    gone(site, path)

    refused = get(proxy, path)

    assert content(validated) == b"old"
    assert b"fwd=stale; fwd-status=304" in cache_says(validated)
    assert status(refused) == failed
    assert site.count(path) == 3


def test_a_miss_goes_to_the_origin(proxy, site):
    site.put(b"/miss", STALE % b"", b"new")

    assert cache_says(get(proxy, b"/miss")).startswith(b"fwd=uri-miss")
    gone(site, b"/lost")
    assert status(get(proxy, b"/lost")) == b"502"


def test_a_sibling_is_given_nothing_stale_unless_it_says_so(proxy, site):
    site.put(b"/sibling", STALE % b"", b"old")
    get(proxy, b"/sibling")

    strict = get(proxy, b"/sibling", b"Cache-Control: only-if-cached\r\n")
    mild = get(proxy, b"/sibling", b"Cache-Control: only-if-cached, max-stale=300\r\n")

    assert status(strict) == b"504"
    assert (status(mild), content(mild)) == (b"200", b"old")
    assert site.count(b"/sibling") == 1


@pytest.mark.parametrize(
    ("path", "count"),
    [(b"/offline/a?yes", 1), (b"/Offline/b?YES=1", 1), (b"/offline/c?no", 2), (b"/x/offline", 2)],
)
def test_a_forward_listeners_rule_is_for_urls(proxy, site, path, count):
    site.put(path, STALE % b"", b"old")
    host = b"127.0.0.1:%d" % site.port
    request = ask(path).replace(b"Host: a", b"Host: " + host)
    request = request.replace(b"GET /", b"GET http://%s/" % host)

    for _ in range(2):
        answer = exchange(("127.0.0.1", proxy.ports["forward"]), request)

    assert content(answer) == b"old"
    assert len([head for head in site.asked if head.split(b" ")[1] == path]) == count


def test_an_operator_switches_a_cache_and_back(proxy, site, capsys):
    site.put(b"/switched", STALE % b"", b"old")
    get(proxy, b"/switched", port="switched")
    instance = ["--config", str(proxy.file)]

    main(["cache", "offline", "switched", *instance])
    said = capsys.readouterr().out
    offline = get(proxy, b"/switched", port="switched")
    main(["cache", "stats", *instance])
    stats = capsys.readouterr().out
    state = {each["name"]: each["offline"] for each in proxy.admin.get("/api/caches")["caches"]}
    main(["cache", "offline", "switched", "--undo", *instance])
    online = get(proxy, b"/switched", port="switched")

    assert said == "switched is offline\n"
    assert capsys.readouterr().out == "switched is online\n"
    assert "switched (offline)" in stats
    assert "main (offline)" not in stats
    assert state == {"main": False, "small": False, "switched": True}
    assert cache_says(offline).startswith(b"hit; ttl=-4")
    assert cache_says(online).startswith(b"fwd=stale")
    assert site.count(b"/switched") == 2


def test_slices_are_read_however_stale(proxy, site):
    film = bytes(range(256)) * 40

    def part(connection, head):
        first, last = map(int, re.search(rb"Range: bytes=(\d+)-(\d+)", head).groups())
        piece = film[first : last + 1]
        connection.sendall(
            b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n%s"
            b"Content-Length: %d\r\n\r\n%s"
            % (first, first + len(piece) - 1, len(film), STALE % b"", len(piece), piece)
        )

    site.answers[b"/sliced/film"] = part
    assert content(get(proxy, b"/sliced/film", port="switched")) == film
    asked = site.count(b"/sliced/film")
    proxy.admin.post("/api/caches/switched/offline", {"offline": True})
    try:
        answer = get(proxy, b"/sliced/film", b"Cache-Control: no-cache\r\n", port="switched")
    finally:
        proxy.admin.post("/api/caches/switched/offline", {"offline": False})

    assert content(answer) == film
    assert cache_says(answer).startswith(b"hit; ttl=-4")
    assert site.count(b"/sliced/film") == asked == 3


def test_a_switch_outlives_a_reload(proxy, site):
    proxy.admin.post("/api/caches/switched/offline", {"offline": True})
    proxy.admin.post("/api/reload", {})

    caches = proxy.admin.get("/api/caches")["caches"]
    assert [each["offline"] for each in caches if each["name"] == "switched"] == [True]
    proxy.admin.post("/api/caches/switched/offline", {"offline": False})


def test_a_cache_that_is_not_there_cannot_be_switched(proxy):
    found, words = proxy.admin.refusal("POST", "/api/caches/no/offline", {})

    assert (found, words) == (404, "there is no cache no")
