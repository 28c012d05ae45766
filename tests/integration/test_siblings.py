"""Sibling caches: two real proxies beside each other, and siblings that are slow, down or mad."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from email.utils import formatdate

import pytest

from demo.proxies import Proxy, free_port
from tests.integration.cached import cache_says, content, field, status
from tests.integration.test_parents import wait_until_it_listens
from tests.scripted import ScriptedOrigin, exchange

LOG = "{method} {target} {upstream} {status} {cache} {error} {detail}"
LONG = b"Cache-Control: max-age=600\r\n"
NOT_THERE = b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 4\r\n\r\nnone"
FOUND = b"HTTP/1.1 200 OK\r\n%sAge: 5\r\nContent-Length: 7\r\n\r\nsibling" % LONG


@pytest.fixture
def serve(tmp_path):
    """Start a caching forward proxy with siblings."""
    with contextlib.ExitStack() as stack:

        def serve(text, port=None, cache='"main"'):
            port = port or free_port()
            file = tmp_path / f"{port}.toml"
            file.write_text(
                f'[log]\naccess = "{port}.log"\nformat = "{LOG}"\n[cache.main]\nsize = "8MiB"\n'
                f'[forward.a]\nlisten = "127.0.0.1:{port}"\nallow_private = true\n'
                f"cache = {cache}\n{text}\n"
            )
            proxy = Proxy(tmp_path, "serve", "--config", str(file), port=port)
            proxy.access_log = tmp_path / f"{port}.log"
            return stack.enter_context(proxy)

        yield serve


@pytest.fixture
def pair(serve):
    """Two proxies, each the other's sibling."""
    one, two = free_port(), free_port()
    return (
        serve(f'siblings = "http://127.0.0.1:{two}"', one),
        serve(f'siblings = "http://127.0.0.1:{one}"', two),
    )


class Sibling(ScriptedOrigin):
    """A sibling that says what it is told to.

    :ivar heads: what it was asked, head by head.
    """

    def __init__(self, answer=NOT_THERE, port=0):
        super().__init__(self._answer, ("127.0.0.1", port))
        self.answer = answer
        self.asked = []

    def _answer(self, connection, head):
        self.asked.append(head)
        if callable(self.answer):
            self.answer(connection, head)
        else:
            connection.sendall(self.answer)


@pytest.fixture
def sibling():
    with Sibling() as running:
        yield running


TROUBLE = {
    "garbage": b"SSH-2.0-garbage\r\n\r\n",
    "ambiguous": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "switching": b"HTTP/1.1 101 Away\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    "503": b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
    "508": b"HTTP/1.1 508 Loop\r\nContent-Length: 0\r\n\r\n",
    "407": b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    "closing": lambda connection, head: connection.close(),
}
CASES = dict.fromkeys(["plain", *TROUBLE], 'siblings = "{url}"') | {
    "slow": 'siblings = [{{ url = "{url}", timeout = "200ms" }}]',
    "slow origin": 'siblings = [{{ url = "{url}", timeout = "100ms" }}]',
}


class Case:
    """A listener with a sibling of its own, all of them in one process.

    :ivar address: where it listens.
    """

    def __init__(self, sibling, port, proxy):
        self.sibling = sibling
        self.address = ("127.0.0.1", port)
        self.proxy = proxy


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cases")
    with contextlib.ExitStack() as stack:
        text, found = '[log]\naccess = "cases.log"\n', {}
        for number, (name, siblings) in enumerate(CASES.items()):
            sibling = stack.enter_context(Sibling())
            found[name] = (sibling, free_port())
            text += (
                f'[cache.c{number}]\nsize = "1MiB"\n[forward.c{number}]\nallow_private = true\n'
                f'listen = "127.0.0.1:{found[name][1]}"\ncache = "c{number}"\n'
                f"connect_ports = [1, 65535]\n{siblings.format(url=sibling.url)}\n"
            )
        file = directory / "cases.toml"
        file.write_text(text)
        port = found["plain"][1]
        proxy = Proxy(directory, "serve", "--config", str(file), port=port)
        stack.enter_context(proxy)
        yield {name: Case(*each, proxy) for name, each in found.items()}


@pytest.fixture
def plain(cases):
    """A sibling that has nothing, unless a test has it say something else."""
    case = cases["plain"]
    case.sibling.answer = NOT_THERE
    case.sibling.asked.clear()
    return case


def get(proxy, site, path, extra=b"", method=b"GET"):
    url = site.url.encode() + path
    host = url.split(b"/")[2]
    head = b"%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n"
    return exchange(proxy.address, head % (method, url, host, extra))


def log_of(proxy):
    proxy.stop()
    return proxy.log_lines()


# --- two proxies ------------------------------------------------------------------------------


def test_what_a_sibling_has_is_not_asked_of_the_origin(pair, site):
    site.put(b"/there", LONG, b"stored")
    one, two = pair
    get(two, site, b"/there")

    answer = get(one, site, b"/there")
    again = get(one, site, b"/there")

    assert content(answer) == content(again) == b"stored"
    assert site.count(b"/there") == 1
    assert "; hit" in field(answer, b"Cache-Status").decode()
    assert cache_says(again).startswith(b"hit")
    lines = [line.split()[2:] for line in log_of(one)]
    # The first is what it said as the sibling.
    assert lines[1:] == [[f"http://127.0.0.1:{two.port}", "200", "miss"], ["200", "hit"]]


def test_what_a_sibling_has_stored_just_now_says_so_as_the_siblings_hit(pair, site):
    """An ``Age: 0`` is all that tells the sibling's stored response from the origin's own."""
    site.put(b"/young", LONG, b"stored")
    one, two = pair
    get(two, site, b"/young")

    answer = get(one, site, b"/young")

    assert int(field(answer, b"Age")) in (0, 1)
    fields = [line for line in answer.split(b"\r\n") if line.startswith(b"Cache-Status: ")]
    assert [b"; hit" in each for each in fields] == [True, False]
    assert fields[1].endswith(b"; fwd=uri-miss; stored")


def test_what_neither_has_is_asked_of_the_origin_once_and_passed_to_nobody_else(pair, site):
    site.put(b"/nowhere", LONG)
    one, two = pair

    assert content(get(one, site, b"/nowhere")) == b"ok"
    assert site.count(b"/nowhere") == 1
    assert b"only-if-cached" not in site.last(b"/nowhere")
    assert log_of(one)[0].split()[2:] == [f"127.0.0.1:{site.port}", "200", "miss"]
    # Its sibling was asked once, asked nobody, and said so.
    (line,) = log_of(two)
    assert line.split()[2:4] == ["504", "miss"]


def test_a_sibling_validates_what_is_stale_here_if_it_has_it_fresh(pair, site):
    etag = b'ETag: "1"\r\n'
    site.put(b"/stale", b"Cache-Control: max-age=1\r\n" + etag, b"same")
    one, two = pair
    get(one, site, b"/stale")
    time.sleep(1.1)
    site.put(b"/stale", LONG + etag, b"same")
    get(two, site, b"/stale")

    answer = get(one, site, b"/stale")

    assert content(answer) == b"same"
    assert b"fwd=stale; fwd-status=304" in answer
    assert site.count(b"/stale") == 2


def test_a_range_comes_from_a_sibling_too(pair, site):
    site.put(b"/part", LONG + b'ETag: "1"\r\n', b"0123456789")
    one, two = pair
    get(two, site, b"/part")

    answer = get(one, site, b"/part", b"Range: bytes=2-4\r\n")

    assert (status(answer), content(answer)) == (b"206", b"234")
    assert site.count(b"/part") == 1


def test_a_proxy_that_is_its_own_sibling_goes_on_to_the_origin(serve, site):
    site.put(b"/self", LONG)
    port = free_port()
    proxy = serve(f'siblings = "http://127.0.0.1:{port}"', port)

    assert content(get(proxy, site, b"/self")) == b"ok"
    assert site.count(b"/self") == 1


def test_what_wants_only_what_is_stored_is_answered_here(serve, sibling, site):
    with ScriptedOrigin(lambda connection, head: connection.sendall(FOUND)) as parent:
        proxy = serve(f'siblings = "{sibling.url}"\nparents = "{parent.url}"')
        bypassing = serve(
            f'siblings = "{sibling.url}"\nparents = "{parent.url}"',
            cache='{ use = "main", bypass = true }',
        )
        careless = serve(
            f'siblings = "{sibling.url}"\nparents = "{parent.url}"',
            cache='{ use = "main", obey_clients = false }',
        )

        for each in (proxy, bypassing, careless):
            answer = get(each, site, b"/x", b"Cache-Control: only-if-cached\r\n")
            assert status(answer) == b"504"
        assert not sibling.asked
        assert not parent.heads()


def test_a_parent_is_asked_after_the_siblings(serve, sibling, site):
    with ScriptedOrigin(lambda connection, head: connection.sendall(FOUND)) as parent:
        proxy = serve(f'siblings = "{sibling.url}"\nparents = "{parent.url}"')

        assert content(get(proxy, site, b"/behind")) == b"sibling"

    assert len(sibling.asked) == 1
    assert b"only-if-cached" not in bytes(parent.received[0])
    assert log_of(proxy)[0].split()[2] == parent.url


def test_a_parents_407_is_never_passed_on(serve, sibling, site):
    refusing = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
    with ScriptedOrigin(lambda connection, head: connection.sendall(refusing)) as parent:
        proxy = serve(f'siblings = "{sibling.url}"\nparents = "{parent.url}"')

        answer = get(proxy, site, b"/407")

    assert status(answer) == b"502"
    assert b"proxy_configuration_error" in answer


# --- who is asked -----------------------------------------------------------------------------


def test_a_sibling_is_asked_for_what_is_stored_and_with_the_clients_own_words(serve, sibling, site):
    site.put(b"/words", LONG)
    proxy = serve(f'siblings = "http://ada:secret@127.0.0.1:{sibling.port}"')

    get(proxy, site, b"/words", b"Cache-Control: max-age=60\r\nAccept: text/x\r\n")

    (head,) = sibling.asked
    lines = head.split(b"\r\n")
    assert lines[0] == b"GET %s/words HTTP/1.1" % site.url.encode()
    assert b"Cache-Control: max-age=60" in lines
    assert b"Cache-Control: only-if-cached" in lines
    assert b"Proxy-Authorization: Basic YWRhOnNlY3JldA==" in lines
    assert b"Accept: text/x" in lines
    assert b"Proxy-Authorization" not in site.last(b"/words")
    assert site.last(b"/words").count(b"Cache-Control") == 1


@pytest.mark.parametrize(
    ("extra", "method"),
    [
        (b"Authorization: Basic YTpi\r\n", b"GET"),
        (b"Cache-Control: no-cache\r\n", b"GET"),
        (b"Cache-Control: no-store\r\n", b"GET"),
        (b"Cache-Control: max-age=0\r\n", b"GET"),
        (b"Pragma: no-cache\r\n", b"GET"),
        (b"Cache-Control: no-cache\r\n", b"HEAD"),
        (b'If-Match: "1"\r\n', b"GET"),
        (b"X-Forwarded-Scheme: http\r\n", b"GET"),
        (b"Content-Length: 2\r\n\r\nok", b"GET"),
        (b"Content-Length: 0\r\n", b"POST"),
        (b"", b"OPTIONS"),
    ],
)
def test_what_no_sibling_can_answer_is_not_asked_of_one(plain, site, extra, method):
    site.put(b"/not-asked", LONG)

    assert status(get(plain, site, b"/not-asked", extra, method)) == b"200"
    assert not plain.sibling.asked


def test_a_head_is_asked_of_a_sibling(plain, site):
    plain.sibling.answer = (
        b"HTTP/1.1 200 OK\r\nAge: 5\r\nX-From: sibling\r\nContent-Length: 7\r\n\r\n"
    )

    assert field(get(plain, site, b"/head", method=b"HEAD"), b"X-From") == b"sibling"


def test_what_is_not_for_caches_is_asked_of_a_sibling_but_once(plain, site):
    site.put(b"/private", b"Cache-Control: private\r\n")
    before = site.count(b"/private")

    for _ in range(3):
        get(plain, site, b"/private")

    assert len(plain.sibling.asked) == 1
    assert site.count(b"/private") == before + 3


def test_siblings_are_asked_in_turn_for_what_they_are_for(serve, sibling, site):
    site.put(b"/turn", LONG)
    with Sibling() as second, Sibling(FOUND) as third, Sibling(FOUND) as elsewhere:
        proxy = serve(
            f'siblings = [{{ url = "{elsewhere.url}", for = ".elsewhere.example" }}, '
            f'"{sibling.url}", "{second.url}", "{third.url}"]'
        )

        assert content(get(proxy, site, b"/turn")) == b"sibling"
        assert [len(each.asked) for each in (elsewhere, sibling, second, third)] == [0, 1, 1, 1]
        assert site.count(b"/turn") == 0


def test_a_tunnel_is_not_asked_of_a_sibling(plain):
    answer = exchange(
        plain.address,
        b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: close\r\n\r\n",
    )

    assert status(answer) == b"502"  # nobody listens there
    assert not plain.sibling.asked


# --- siblings that do not have it -------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (NOT_THERE, 1),
        (b"HTTP/1.1 504 No\r\nContent-Length: 0\r\n\r\n", 1),
        (b"HTTP/1.1 504 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnone\r\n0\r\n\r\n", 1),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 1),
        (b"HTTP/1.1 504 No\r\nContent-Length: 10000000\r\n\r\nx", 3),
        (b"HTTP/1.1 504 No\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + b"x" * 0x20000, 3),
        (b"HTTP/1.1 504 No\r\n\r\nuntil it closes", 3),
        (b"HTTP/1.1 504 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 3),
    ],
    ids=["length", "empty", "chunked", "403", "long", "long chunk", "until close", "closing"],
)
def test_a_connection_is_kept_where_little_has_to_be_read_over(
    plain, site, answer, connections, request
):
    """A first one is there: the tests before may or may not have left another."""
    sibling = plain.sibling
    sibling.answer = b"HTTP/1.1 504 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    name = request.node.callspec.id.encode().replace(b" ", b"-")
    site.put(b"/first/" + name, LONG)
    get(plain, site, b"/first/" + name)
    sibling.answer, before = answer, len(sibling.received)

    for number in range(3):
        path = b"/kept/%s/%d" % (name, number)
        site.put(path, LONG)
        assert content(get(plain, site, path)) == b"ok"

    assert len(sibling.asked) == 4
    assert len(sibling.received) - before == connections


def test_a_head_that_it_does_not_have_leaves_its_connection_usable(plain, site):
    plain.sibling.answer = NOT_THERE.removesuffix(b"none")
    site.put(b"/heads", content=b"")
    get(plain, site, b"/heads", method=b"HEAD")
    before = len(plain.sibling.received)

    for _ in range(3):
        assert status(get(plain, site, b"/heads", method=b"HEAD")) == b"200"
    assert len(plain.sibling.asked) == 4
    assert len(plain.sibling.received) == before


def test_a_connection_that_was_closed_meanwhile_is_no_failure(plain, site):
    """Neither the sibling's nor, for the same exchange, the origin's."""

    def closing(connection, head):
        connection.sendall(NOT_THERE)
        connection.close()

    plain.sibling.answer = closing

    for path in (b"/race/1", b"/race/2", b"/race/3"):
        site.put(path, LONG)
        assert content(get(plain, site, path)) == b"ok"
    assert len(plain.sibling.asked) == 3


def test_an_answer_that_breaks_off_is_not_stored(serve, sibling, site):
    def broken(connection, head):
        connection.sendall(FOUND[:-3])
        connection.close()

    sibling.answer = broken
    proxy = serve(f'siblings = "{sibling.url}"')
    site.put(b"/broken", LONG, b"whole")

    assert content(get(proxy, site, b"/broken")) == b"sibl"
    assert content(get(proxy, site, b"/broken")) == b"whole"


# --- siblings in trouble ----------------------------------------------------------------------


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_sibling_in_trouble_costs_one_attempt_and_is_left_alone(cases, site, trouble):
    case = cases[trouble]
    case.sibling.answer = TROUBLE[trouble]

    for number in range(2):
        path = b"/trouble/%s/%d" % (trouble.encode(), number)
        site.put(path, LONG)
        answer = get(case, site, path)
        assert (status(answer), content(answer)) == (b"200", b"ok")
        assert b"proxy-status" not in answer.lower()

    assert len(case.sibling.asked) == 1
    assert f"the sibling {case.sibling.url} fails" in case.proxy.output.read_text()


def test_a_sibling_that_fails_is_no_error_in_the_log(serve, site):
    proxy = serve(f'siblings = "http://127.0.0.1:{free_port()}"')
    site.put(b"/logged", LONG)
    get(proxy, site, b"/logged")

    assert log_of(proxy)[0].split()[2:] == [f"127.0.0.1:{site.port}", "200", "miss"]


def test_a_sibling_that_is_down_is_found_when_it_is_back(serve, site):
    port = free_port()
    proxy = serve(f'siblings = "http://127.0.0.1:{port}"')
    site.put(b"/down", LONG)
    assert content(get(proxy, site, b"/down")) == b"ok"

    with Sibling(FOUND, port) as back:
        deadline = time.monotonic() + 5
        number = 0
        while not back.asked:
            assert time.monotonic() < deadline
            number += 1
            site.put(b"/down/%d" % number, LONG)
            answer = get(proxy, site, b"/down/%d" % number)
            time.sleep(0.05)
        assert content(answer) == b"sibling"


def test_a_slow_sibling_is_waited_for_no_longer_than_its_time(cases, site):
    case = cases["slow"]
    case.sibling.answer = lambda connection, head: None
    site.put(b"/slow/1", LONG)
    site.put(b"/slow/2", LONG)

    began = time.monotonic()
    assert content(get(case, site, b"/slow/1")) == b"ok"
    took = time.monotonic() - began

    assert content(get(case, site, b"/slow/2")) == b"ok"
    assert 0.2 <= took < 2
    assert len(case.sibling.asked) == 1


def test_a_slow_origin_has_more_time_than_a_sibling(cases, site):
    def slowly(connection, head):
        time.sleep(0.4)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

    site.answers[b"/slow-origin"] = slowly

    assert content(get(cases["slow origin"], site, b"/slow-origin")) == b"slow"


# --- Squid ------------------------------------------------------------------------------------


@pytest.fixture
def squid(tmp_path):
    """A real Squid that lets loopback clients have what it has stored."""
    program = shutil.which("squid", path=os.environ["PATH"] + ":/usr/sbin")
    assert program is not None, "the tests' set-up installs Squid"
    port = free_port()
    file = tmp_path / "squid.conf"
    # Started by root, it goes on as another user, who may write nothing here.
    file.write_text(
        f"http_port 127.0.0.1:{port}\nhttp_access allow localhost\nhttp_access deny all\n"
        "cache_mem 16 MB\naccess_log none\ncache_log /dev/null\npid_filename none\n"
        "max_filedescriptors 1024\nshutdown_lifetime 0\npinger_enable off\n"
    )
    process = subprocess.Popen(
        [program, "-N", "-n", f"proxykit{port}", "-f", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_it_listens(port)
        yield Case(None, port, None)
    finally:
        process.terminate()
        process.wait(10)


def test_a_squid_is_a_sibling_like_any_other(serve, squid, site):
    dated = LONG + b"Date: %s\r\n" % formatdate(usegmt=True).encode()
    site.put(b"/squid/there", dated, b"from squid")
    site.put(b"/squid/nowhere", LONG)
    proxy = serve(f'siblings = [{{ url = "http://127.0.0.1:{squid.address[1]}", timeout = "3s" }}]')
    assert content(get(squid, site, b"/squid/there")) == b"from squid"

    there = get(proxy, site, b"/squid/there")
    nowhere = get(proxy, site, b"/squid/nowhere")

    assert content(there) == b"from squid"
    assert b"squid" in field(there, b"Via").lower()
    assert site.count(b"/squid/there") == 1
    assert (content(nowhere), site.count(b"/squid/nowhere")) == (b"ok", 1)
    assert b"squid" not in field(nowhere, b"Via").lower()


def test_what_squid_asks_a_sibling_is_answered_as_it_expects(serve, site):
    """What Squid's siblings are asked with, after ICP or a digest said that they have it."""
    site.put(b"/for-squid", LONG)
    proxy = serve("")
    get(proxy, site, b"/for-squid")

    hit = get(proxy, site, b"/for-squid", b"Cache-Control: only-if-cached, max-age=259200\r\n")
    miss = get(proxy, site, b"/not", b"Cache-Control: only-if-cached, max-age=259200\r\n")

    assert (status(hit), status(miss)) == (b"200", b"504")
