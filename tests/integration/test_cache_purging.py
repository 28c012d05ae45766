"""A purge while something is being fetched: what was asked for before is not there afterwards."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack

import pytest

from tests.integration.cached import ask, cache_says, content, crowd, fresh, status, until
from tests.integration.stores import Machine
from tests.scripted import exchange, read_all, read_until

TAGGED = b"Cache-Tag: red\r\n"


@pytest.fixture(autouse=True)
def _nobody_asked(site):
    site.asked.clear()


@pytest.fixture(scope="module")
def machines(tmp_path_factory, site):
    """Give a machine for each store, with two proxies where the store can be shared."""
    with ExitStack() as stack:
        made = {}

        def make(store):
            if store not in made:
                machine = Machine(tmp_path_factory.mktemp(store), site, stack, store)
                made[store] = [machine.start() for _ in range(1 if store == "memory" else 2)]
            return made[store]

        yield make


@pytest.fixture(params=["memory", "disk", "redis"])
def proxy(request, machines):
    return machines(request.param)[0]


@pytest.fixture(params=["disk", "redis"])
def both(request, machines):
    return machines(request.param)


class Slow:
    """The origin's old page, that is on its way to a client until it is let go."""

    def __init__(self, proxy, site, path, fields=b"", *, begun=False, extra=b""):
        self._gate = threading.Event()
        self.site, self.path = site, path
        self._head = (
            b"HTTP/1.1 200 OK\r\n" + fresh() + TAGGED + fields + b"Content-Length: 3\r\n\r\n"
        )
        self._begun = begun
        site.answers[path] = self._answer
        self._connection = socket.create_connection(proxy.address, timeout=10)
        self._connection.sendall(ask(path, extra))
        until(lambda: site.count(path) == 1)
        if begun:
            read_until(self._connection, b"\r\n\r\no")
        site.put(path, fresh() + TAGGED + fields, b"new")

    def _answer(self, connection, head):
        if self._begun:
            connection.sendall(self._head + b"o")
        self._gate.wait(10)
        connection.sendall(b"ld" if self._begun else self._head + b"old")

    def let_go(self):
        """Have it answered; give what the client got of its content."""
        self._gate.set()
        with self._connection:
            return read_all(self._connection)[-3 + self._begun :]


def only_stored(path):
    return ask(path, b"Cache-Control: only-if-cached\r\n")


def purge(proxy, path, extra=b"", method=b"PURGE"):
    answer = exchange(proxy.address, ask(path, extra, method=method))
    assert status(answer) == b"200"
    return answer


def post(proxy, path):
    return exchange(proxy.address, ask(path, method=b"POST", content=b"x"))


def by_admin(**what):
    def purging(proxy, path):
        said = {
            name: value.format(f"http://a{path.decode()}") if isinstance(value, str) else value
            for name, value in what.items()
        }
        proxy.admin.post("/api/caches/main/purge", said)

    return purging


KINDS = {
    "by-key": purge,
    "by-prefix": lambda proxy, path: purge(proxy, path[:-2] + b"*"),
    "by-tag": lambda proxy, path: purge(proxy, b"/", b"Cache-Tag: blue, red\r\n"),
    "soft": lambda proxy, path: purge(proxy, path, b"Soft-Purge: 1\r\n"),
    "soft-by-tag": lambda proxy, path: purge(proxy, b"/", TAGGED + b"Soft-Purge: 1\r\n"),
    "soft-by-prefix": lambda proxy, path: purge(proxy, path[:-2] + b"*", b"Soft-Purge: 1\r\n"),
    "unsafe": post,
    "admin-url": by_admin(url="{}"),
    "admin-prefix": by_admin(prefix="{}"),
    "admin-tag": by_admin(tag="red"),
    "admin-all": by_admin(all=True),
    "admin-soft": by_admin(all=True, soft=True),
}


@pytest.mark.parametrize("soft", [b"0", b"1"])
def test_what_is_fetched_in_the_place_of_what_is_purged_is_not_stored(proxy, site, soft):
    """No-Vary-Search: what comes for one URI stands for another that was purged meanwhile."""
    stored, fetched = b"/alias/%s?a=1" % soft, b"/alias/%s?a=2" % soft
    fields = b'No-Vary-Search: params=("a")\r\n'
    site.put(stored, fresh(age=100) + fields, b"old")
    exchange(proxy.address, ask(stored))
    until(lambda: cache_says(exchange(proxy.address, ask(stored))).startswith(b"fwd=stale"))
    slow = Slow(proxy, site, fetched, fields)
    purge(proxy, stored, b"Soft-Purge: %s\r\n" % soft)
    site.put(stored, fresh() + fields, b"new")

    assert slow.let_go() == b"old"
    assert content(exchange(proxy.address, ask(stored))) == b"new"


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_purged_while_it_is_fetched_is_not_stored(proxy, site, kind, begun):
    path = b"/fetched/%s/%d" % (kind.encode(), begun)
    slow = Slow(proxy, site, path, begun=begun)
    KINDS[kind](proxy, path)

    assert slow.let_go() == (b"ld" if begun else b"old")
    assert content(exchange(proxy.address, ask(path))) == b"new"
    until(lambda: cache_says(exchange(proxy.address, ask(path))).startswith(b"hit"))
    assert content(exchange(proxy.address, ask(path))) == b"new"


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_who_asks_after_a_purge_does_not_wait_for_what_was_asked_for_before(
    proxy, site, kind, begun
):
    path = b"/warmed/%s/%d" % (kind.encode(), begun)
    slow = Slow(proxy, site, path, begun=begun)
    KINDS[kind](proxy, path)

    assert content(exchange(proxy.address, ask(path))) == b"new"
    assert slow.let_go() == (b"ld" if begun else b"old")
    until(lambda: cache_says(exchange(proxy.address, ask(path))).startswith(b"hit"))
    assert content(exchange(proxy.address, ask(path))) == b"new"


def test_another_uri_or_tag_is_stored_and_waited_for(proxy, site):
    slow = Slow(proxy, site, b"/unconcerned", begun=True)
    purge(proxy, b"/unconcerned/other")
    purge(proxy, b"/other*")
    purge(proxy, b"/", b"Cache-Tag: blue\r\n")
    with socket.create_connection(proxy.address, timeout=5) as waiting:
        waiting.sendall(ask(b"/unconcerned"))
        read_until(waiting, b"\r\n\r\no")
        assert slow.let_go() == b"ld"
        assert read_all(waiting) == b"ld"

    until(lambda: cache_says(exchange(proxy.address, ask(b"/unconcerned"))).startswith(b"hit"))
    assert content(exchange(proxy.address, ask(b"/unconcerned"))) == b"old"
    assert site.count(b"/unconcerned") == 1


def test_what_a_purge_left_stale_is_not_freshened_by_what_was_asked_for_before(proxy, site):
    path = b"/validated"
    site.put(path, fresh(age=100), b"old")
    exchange(proxy.address, ask(path))
    gate = threading.Event()

    def not_modified(connection, head):
        gate.wait(10)
        connection.sendall(b"HTTP/1.1 304 Not Modified\r\n" + fresh() + b"\r\n")

    asked = site.count(path)
    site.answers[path] = not_modified
    with socket.create_connection(proxy.address, timeout=10) as client:
        client.sendall(ask(path))
        until(lambda: site.count(path) == asked + 1)
        purge(proxy, path, b"Soft-Purge: 1\r\n")
        site.put(path, fresh(), b"new")
        gate.set()
        assert content(read_all(client)) == b"old"

    assert content(exchange(proxy.address, ask(path))) == b"new"


def test_a_head_that_was_asked_for_before_freshens_nothing(proxy, site):
    path = b"/head"
    site.put(path, fresh(age=100), b"old")
    exchange(proxy.address, ask(path))
    gate = threading.Event()

    def answer(connection, head):
        gate.wait(10)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + fresh() + b"Content-Length: 3\r\n\r\n")

    asked = site.count(path)
    site.answers[path] = answer
    with socket.create_connection(proxy.address, timeout=10) as client:
        client.sendall(ask(path, method=b"HEAD"))
        until(lambda: site.count(path) == asked + 1)
        purge(proxy, path, b"Soft-Purge: 1\r\n")
        site.put(path, fresh(), b"new")
        gate.set()
        assert status(read_all(client)) == b"200"

    assert content(exchange(proxy.address, ask(path))) == b"new"


def test_a_part_that_is_purged_while_it_is_fetched_is_not_stored(proxy, site):
    path = b"/part"
    gate = threading.Event()

    def answer(connection, head):
        gate.wait(10)
        connection.sendall(
            b"HTTP/1.1 206 Partial Content\r\n" + fresh() + b"Content-Range: bytes 0-2/9\r\n"
            b"Content-Length: 3\r\n\r\nold"
        )

    site.answers[path] = answer
    part = ask(path, b"Range: bytes=0-2\r\n")
    with socket.create_connection(proxy.address, timeout=10) as client:
        client.sendall(part)
        until(lambda: site.count(path) == 1)
        purge(proxy, path)
        gate.set()
        assert content(read_all(client)) == b"old"
    site.put(path, fresh(), b"new pages")

    assert content(exchange(proxy.address, part)) == b"new"


def test_a_slice_that_is_purged_on_its_way_is_asked_for_again(proxy, site):
    path = b"/sliced/x"
    gate = threading.Event()
    body = bytes(range(256)) * 32

    def answer(connection, head):
        gate.wait(10)
        first, last = head.partition(b"Range: bytes=")[2].split(b"\r\n")[0].split(b"-")
        part = body[int(first) : int(last) + 1]
        connection.sendall(
            b'HTTP/1.1 206 Partial Content\r\nETag: "s"\r\nCache-Control: max-age=60\r\n'
            b"Content-Range: bytes %s-%s/8192\r\nContent-Length: %d\r\n\r\n%s"
            % (first, last, len(part), part)
        )

    site.answers[path] = answer
    with socket.create_connection(proxy.address, timeout=10) as client:
        client.sendall(ask(path))
        until(lambda: site.count(path) == 1)
        purge(proxy, b"/sliced*")
        gate.set()
        assert content(read_all(client)) == body

    assert site.count(path) == 3


# --- others that share the store --------------------------------------------------------------


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_another_one_purges_is_not_stored_nor_waited_for(both, site, kind, begun):
    proxy, other = both
    path = b"/shared/%s/%d" % (kind.encode(), begun)
    slow = Slow(proxy, site, path, begun=begun)
    KINDS[kind](other, path)
    if kind == "unsafe":
        # Its client is not told when the others know: what it stores itself is written later.
        assert content(exchange(other.address, ask(path))) == b"new"
        until(lambda: exchange(proxy.address, only_stored(path)).startswith(b"HTTP/1.1 200 "))

    assert content(exchange(proxy.address, ask(path))) == b"new"
    assert slow.let_go() == (b"ld" if begun else b"old")
    for each in (proxy, other, proxy):
        until(lambda each=each: cache_says(exchange(each.address, ask(path))).startswith(b"hit"))
        assert content(exchange(each.address, ask(path))) == b"new"


def test_a_great_many_purges_by_another_one_are_as_if_everything_was_purged(both, site):
    proxy, other = both
    slow = Slow(proxy, site, b"/many/1", begun=True)
    unconcerned = Slow(proxy, site, b"/many/2", begun=True)
    purge(other, b"/many/1")
    for number in range(3):
        none = [ask(b"/none/%d/%d" % (number, each), method=b"PURGE") for each in range(100)]
        assert {status(each) for each in crowd(other, none)} == {b"200"}

    assert slow.let_go() == unconcerned.let_go() == b"ld"
    for path in (b"/many/1", b"/many/2"):
        assert content(exchange(proxy.address, ask(path))) == b"new"


def test_of_a_store_and_a_purge_at_the_same_time_by_two_the_purge_counts(both, site):
    proxy, other = both
    for number in range(20):
        path = b"/race/%d" % number
        slow = Slow(proxy, site, path, begun=True)
        purging = threading.Thread(target=purge, args=(other, path))
        purging.start()
        slow.let_go()
        purging.join()
        assert content(exchange(proxy.address, ask(path))) == b"new"


def test_no_proxy_stumbled(proxy):
    assert json.loads(content(purge(proxy, b"/nothing")))["purged"] == 0
    assert "Traceback" not in proxy.output.read_text()
