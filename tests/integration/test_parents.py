"""Parents: chains of real proxies, who is asked for what, and what happens when one fails."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading

import pytest

from demo.proxies import Proxy, free_port
from tests.scripted import ScriptedOrigin, ThreadedServer, exchange, read_until, reply
from tests.waiting import eventually, wait_until_listening

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LOG = "{method} {target} {upstream} {status} {error} {detail}"


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


@pytest.fixture(scope="module")
def parent(start, origin):
    """A forward proxy that speaks HTTP and SOCKS."""
    port = free_port()
    proxy = start(
        "forward", "--allow-private", "--connect-ports", str(origin.port),
        "--socks", f"127.0.0.1:{port}", "--log-format", LOG,
    )  # fmt: skip
    wait_until_listening(proxy.process, port)
    proxy.socks_port = port
    return proxy


@pytest.fixture
def serve(tmp_path):
    """Start a forward proxy out of a configuration file."""
    with contextlib.ExitStack() as stack:

        def serve(text, **limits):
            port = free_port()
            configuration = (
                f'[log]\naccess = "{port}.log"\nformat = "{LOG}"\n'
                f'[forward.a]\nlisten = "127.0.0.1:{port}"\nallow_private = true\n'
                f"connect_ports = [{', '.join(map(str, limits.get('ports', [443])))}]\n"
                f"{text.replace('{port}', str(port))}\n"
            )
            proxy = Proxy.serving(tmp_path, configuration, port)
            proxy.access_log = tmp_path / f"{port}.log"
            return stack.enter_context(proxy)

        yield serve


def get(proxy, url, extra=b""):
    host = url.split("/")[2].encode()
    head = b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n"
    return exchange(proxy.address, head % (url.encode(), host, extra))


def tunnel(proxy, authority, data=b""):
    """Ask for a tunnel; give its head, and what comes through it when ``data`` is sent."""
    name = authority.encode()
    with socket.create_connection(proxy.address, timeout=5) as client:
        client.sendall(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (name, name))
        head = b""
        while b"\r\n\r\n" not in head and (piece := client.recv(65536)):
            head += piece
        if not head.startswith(b"HTTP/1.1 200"):
            return head, b""
        client.sendall(data)
        return head, read_until(client, b"ok") if data else b""


# --- chains -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "socks4", "socks5", "socks5h"])
def test_requests_and_tunnels_go_through_a_proxykit_as_parent(serve, parent, origin, scheme):
    port = parent.port if scheme == "http" else parent.socks_port
    proxy = serve(f'parents = "{scheme}://127.0.0.1:{port}"', ports=[origin.port])
    url, ask = f"http://localhost:{origin.port}/x", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    assert get(proxy, url).endswith(b"ok")
    assert tunnel(proxy, f"localhost:{origin.port}", ask)[1] == FINE
    proxy.stop()

    name = scheme.removesuffix("h")
    lines = proxy.log_lines()
    assert lines[0].startswith(f"GET {url} {name}://127.0.0.1:{port} 200")
    assert lines[1].startswith(f"CONNECT localhost:{origin.port} {name}://127.0.0.1:{port} 200")


def test_an_https_parent_is_verified(serve, parent, origin, certificate):
    """A TLS front that passes on what it gets, before the parent."""
    with TlsFront(certificate, parent.port) as front:
        url = f"http://127.0.0.1:{origin.port}/"
        authority = f"127.0.0.1:{origin.port}"
        ca = f'tls = {{ ca = "{certificate.authority}" }}'
        trusting = serve(f'parents = [{{ url = "https://127.0.0.1:{front.port}", {ca} }}]',
                         ports=[origin.port])  # fmt: skip
        strict = serve(f'parents = "https://127.0.0.1:{front.port}"', ports=[origin.port])

        assert get(trusting, url).endswith(b"ok")
        assert tunnel(trusting, authority, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")[1] == FINE
        for answer in (get(strict, url), tunnel(strict, authority)[0]):
            assert answer.startswith(b"HTTP/1.1 502 ")
            assert b"tls_certificate_error" in answer


class TlsFront(ThreadedServer):
    """Takes TLS connections and joins them to a port."""

    def __init__(self, certificate, port):
        super().__init__()
        self._context = certificate.server_context()
        self._behind = port

    def serve(self, client):
        with (
            self._context.wrap_socket(client, server_side=True) as tls,
            socket.create_connection(("127.0.0.1", self._behind)) as behind,
        ):
            threading.Thread(target=_pump, args=(behind, tls), daemon=True).start()
            _pump(tls, behind)


def _pump(source, sink):
    with contextlib.suppress(OSError, ValueError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)


@pytest.mark.skipif(not shutil.which("microsocks"), reason="microsocks is not installed")
def test_another_programs_socks_with_a_password_from_a_file(serve, tmp_path, origin):
    port = free_port()
    command = ["microsocks", "-i", "127.0.0.1", "-p", str(port), "-u", "ada", "-P", "p w:#"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until_listening(running, port)
        (tmp_path / "password").write_text("p w:#\n")
        url = f"http://localhost:{origin.port}/"
        good = serve(
            f'parents = [{{ url = "socks5://ada@127.0.0.1:{port}", password_file = "password" }}]'
        )
        inline = serve(f'parents = "socks5://ada:p%20w%3A%23@127.0.0.1:{port}"')
        bad = serve(f'parents = "socks5://ada:s3cret@127.0.0.1:{port}"')

        assert get(good, url).endswith(b"ok")
        assert get(inline, url).endswith(b"ok")
        answer = get(bad, url)
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"proxy_configuration_error" in answer
    finally:
        running.terminate()
        running.wait(5)
    bad.stop()
    said = answer + bad.output.read_bytes() + bad.access_log.read_bytes()
    assert b"s3cret" not in said
    assert b"is passed over" in said


# --- what a parent is sent --------------------------------------------------------------------


def test_an_http_parent_is_sent_absolute_form_credentials_and_pooled_connections(serve):
    with ScriptedOrigin(reply(FINE)) as upstream:
        proxy = serve(f'parents = "http://ada:p%40ss@127.0.0.1:{upstream.port}"')
        for host in ("one.example", "two.example:8080"):
            theirs = b"Proxy-Authorization: Basic bWluZQ==\r\n"
            assert get(proxy, f"http://{host}/a?b", theirs).endswith(b"ok")
        star = b"OPTIONS http://one.example HTTP/1.1\r\nHost: one.example\r\n\r\n"
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(star)
            read_until(client, b"ok")

        assert len(upstream.received) == 1
        sent = bytes(upstream.received[0])
    assert upstream.heads() == [
        b"GET http://one.example/a?b HTTP/1.1",
        b"GET http://two.example:8080/a?b HTTP/1.1",
        b"OPTIONS http://one.example HTTP/1.1",
    ]
    assert b"\r\nHost: two.example:8080\r\n" in sent
    assert sent.count(b"\r\nProxy-Authorization: Basic YWRhOnBAc3M=\r\n") == 3
    assert b"bWluZQ==" not in sent


def test_a_parent_is_asked_for_a_tunnel_with_credentials(serve):
    def script(connection, head):
        connection.sendall(b"HTTP/1.1 200 Fine\r\nX: y\r\n\r\nhello")

    with ScriptedOrigin(script) as upstream:
        proxy = serve(f'parents = "http://ada:pw@127.0.0.1:{upstream.port}"')
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n")
            # What the server said at once came in one piece with the parent's answer.
            assert read_until(client, b"hello").endswith(b"\r\n\r\nhello")

        sent = bytes(upstream.received[0])
        assert sent.startswith(
            b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n"
            b"Proxy-Authorization: Basic YWRhOnB3\r\nVia: 1.1 proxykit-"
        )
        assert sent.count(b"\r\n") == 5


@pytest.mark.parametrize("method", [b"GET http://a.example/", b"CONNECT a.example:443"])
def test_parents_in_a_circle_find_out_at_the_first_round(serve, method):
    # RFC 9110 section 7.6.3: Via is for avoiding request loops.
    second = free_port()
    proxy = serve(
        f'parents = "http://127.0.0.1:{second}"\n'
        f'[forward.b]\nlisten = "127.0.0.1:{second}"\nparents = "http://127.0.0.1:{{port}}"'
    )

    head = method + b" HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
    answer = exchange(proxy.address, head)
    proxy.stop()

    # A parent's refusal of a tunnel is told in our words, a response of its is passed on.
    assert answer.startswith((b"HTTP/1.1 508 ", b"HTTP/1.1 502 "))
    lines = proxy.log_lines()
    assert len(lines) == 3, "there, back, and the loop is known"
    assert any(" 508 proxy_loop_detected " in line for line in lines)


def test_a_proxy_that_says_nothing_of_itself_says_nothing_to_a_parent(serve):
    with ScriptedOrigin(reply(b"HTTP/1.1 200 Fine\r\n\r\n")) as upstream:
        proxy = serve(
            f'parents = "http://127.0.0.1:{upstream.port}"\n'
            '[[forward.a.filters]]\nuse = "anonymity"\nlevel = "elite"'
        )
        tunnel(proxy, "a.example:443")

    assert b"Via" not in bytes(upstream.received[0])


@pytest.mark.parametrize(
    ("status", "expected", "error"),
    [(407, 502, b"proxy_configuration_error"), (403, 502, b"http_request_denied"),
     (503, 502, b"destination_unavailable"), (504, 504, b"connection_timeout")],
)  # fmt: skip
def test_a_parents_refusal_of_a_tunnel_is_said_in_our_words(serve, status, expected, error):
    with ScriptedOrigin(reply(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)) as upstream:
        proxy = serve(f'parents = "http://127.0.0.1:{upstream.port}"')
        head, _ = tunnel(proxy, "a.example:443")

    assert head.startswith(b"HTTP/1.1 %d " % expected)
    assert b"error=" + error in head


def test_a_parents_407_does_not_reach_the_client(serve):
    answer = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
    with ScriptedOrigin(reply(answer)) as upstream:
        proxy = serve(f'parents = "http://127.0.0.1:{upstream.port}"')

        assert get(proxy, "http://a.example/").startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize("scheme", ["socks4", "socks5"])
def test_names_are_not_resolved_here(start, scheme):
    """The name exists nowhere: who resolved it would fail. And nothing else is private here."""
    asked = []

    def serve_one(listening):
        connection, _ = listening.accept()
        with connection:
            if scheme == "socks5":
                connection.recv(100)
                connection.sendall(b"\x05\x00")
            asked.append(connection.recv(100))
            granted = b"\x05\x00\x00\x01" if scheme == "socks5" else b"\x00\x5a"
            connection.sendall(granted + b"\0" * 6)
            read_until(connection, b"\r\n\r\n")
            connection.sendall(FINE)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve_one, args=(listening,), daemon=True).start()
        port = listening.getsockname()[1]
        proxy = start("forward", "--parent", f"{scheme}://127.0.0.1:{port}")

        assert get(proxy, "http://hidden.onion/").endswith(b"ok")
    assert b"hidden.onion" in asked[0]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "localhost", "a.localhost", "127.1", "2130706433", "0x7f.1", "10.0.0.1"],
)
def test_private_destinations_are_refused_before_a_parent_is_asked(guarded, host):
    assert b"destination_ip_prohibited" in get(guarded, f"http://{host}/")


@pytest.fixture(scope="module")
def guarded(start):
    return start("forward", "--parent", "http://127.0.0.1:9")


# --- rules ------------------------------------------------------------------------------------


def answering(name):
    body = name.encode()
    return ScriptedOrigin(
        reply(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    )


def test_parents_are_chosen_by_rules_and_the_rest_goes_straight(serve, origin):
    with answering("one") as one, answering("two") as two, answering("three") as three:
        proxy = serve(
            "parents = [\n"
            f'  {{ url = "{one.url}", for = ["*.one.example", "192.0.2.0/24"], port = 80 }},\n'
            f'  {{ url = "{two.url}", for = [".example"], not_for = "not.example" }},\n'
            f'  {{ url = "{three.url}", for = "three.test", client = "127.0.0.0/8" }},\n'
            f'  {{ url = "{two.url}", for = "four.test", client = "10.0.0.0/8" }},\n'
            "]"
        )
        for url, end in (
            ("http://a.one.example/", b"one"),
            ("http://192.0.2.7/", b"one"),
            ("http://a.one.example:81/", b"two"),
            ("http://one.example/", b"two"),
            ("http://three.test/", b"three"),
            (f"http://127.0.0.1:{origin.port}/", b"ok"),
        ):
            assert get(proxy, url).endswith(b"\r\n\r\n" + end), url
        for url in ("http://not.example/", "http://four.test/"):
            assert b"dns_error" in get(proxy, url)


def test_nothing_goes_straight_when_that_is_forbidden(serve, origin):
    with answering("one") as one:
        proxy = serve(f'parents = [{{ url = "{one.url}", for = "a.example" }}]\ndirect = false')

        assert get(proxy, "http://a.example/").endswith(b"one")
        answer = get(proxy, f"http://127.0.0.1:{origin.port}/")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"no parent is for 127.0.0.1" in answer


# --- failover ---------------------------------------------------------------------------------


def test_the_next_parent_is_asked_when_one_fails_and_it_is_passed_over_then(serve):
    dead = free_port()
    with answering("two") as two:
        proxy = serve(f'parents = ["http://127.0.0.1:{dead}", "{two.url}"]')

        for _ in range(3):
            assert get(proxy, "http://a.example/").endswith(b"two")
        log = proxy.output.read_text()
        assert log.count("is passed over") == 1

        # It is tried again after a while, and preferred again when it works.
        with socket.create_server(("127.0.0.1", dead)) as listening:
            threading.Thread(target=_serve_always, args=(listening, b"one"), daemon=True).start()
            eventually(lambda: get(proxy, "http://a.example/").endswith(b"one"), 5)
            assert get(proxy, "http://a.example/").endswith(b"one")


def _serve_always(listening, body):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection:
                read_until(connection, b"\r\n\r\n")
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + body)


def test_a_parent_that_does_not_finish_its_handshake_fails(serve, origin):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = silent.getsockname()[1]
        proxy = serve(f'connect_timeout = "500ms"\nparents = "socks5://127.0.0.1:{dead}"')

        head, _ = tunnel(proxy, "a.example:443")
    assert head.startswith(b"HTTP/1.1 504 ")


def test_what_is_behind_a_parent_is_not_the_parents_fault(serve, parent):
    with answering("two") as two:
        proxy = serve(f'parents = ["socks5://127.0.0.1:{parent.socks_port}", "{two.url}"]')

        for _ in range(2):
            answer = get(proxy, "http://127.0.0.1:1/")
            assert answer.startswith(b"HTTP/1.1 502 ")
            assert b"connection_refused" in answer
    assert "is passed over" not in proxy.output.read_text()


@pytest.mark.parametrize("direct", [True, False])
def test_when_all_parents_fail_a_destination_is_reached_only_if_allowed(serve, origin, direct):
    dead = free_port()
    allowed = "direct = true" if direct else ""
    proxy = serve(f'parents = "http://127.0.0.1:{dead}"\n{allowed}', ports=[origin.port])
    ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    for _ in range(2):
        answer = get(proxy, f"http://127.0.0.1:{origin.port}/")
        head, content = tunnel(proxy, f"localhost:{origin.port}", ask)
        if direct:
            assert answer.endswith(b"ok")
            assert content == FINE
        else:
            assert b"connection_refused" in answer
            assert head.startswith(b"HTTP/1.1 502 ")


def test_a_client_that_leaves_while_a_parent_is_asked_does_no_harm(serve):
    with socket.create_server(("127.0.0.1", 0)) as silent, answering("two") as two:
        dead = silent.getsockname()[1]
        proxy = serve(
            f'connect_timeout = "1s"\nparents = ["socks5://127.0.0.1:{dead}", "{two.url}"]'
        )
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n")
            silent.accept()[0].close()
        assert get(proxy, "http://a.example/").endswith(b"two")
        assert "Traceback" not in proxy.output.read_text()


# --- outgoing addresses -----------------------------------------------------------------------


def test_connections_go_out_by_the_address_that_the_rules_choose(serve):
    peers = []

    def serve_some(listening):
        with contextlib.suppress(OSError):
            while True:
                connection, peer = listening.accept()
                peers.append(peer[0])
                with connection:
                    read_until(connection, b"\r\n\r\n")
                    connection.sendall(FINE)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve_some, args=(listening,), daemon=True).start()
        port = listening.getsockname()[1]
        proxy = serve(
            f'parents = [{{ url = "http://127.0.0.1:{port}", for = "a.example" }}]\n'
            "outgoing = [\n"
            '  { address = "127.0.0.9", for = "a.example" },\n'
            '  { address = "127.0.0.7", for = "localhost" },\n'
            '  { address = "127.0.0.6", client = "10.0.0.0/8" },\n'
            '  { address = "127.0.0.8", for = ["127.0.0.0/8", "::1"] },\n'
            "]"
        )
        for url in (f"http://localhost:{port}/", f"http://127.0.0.1:{port}/", "http://a.example/"):
            assert get(proxy, url).endswith(b"ok")
        assert peers == ["127.0.0.7", "127.0.0.8", "127.0.0.9"]
        assert b"destination_ip_unroutable" in get(proxy, "http://[::1]:9/")


# --- the command line -------------------------------------------------------------------------


def test_the_command_line_takes_parents_in_their_order(start, origin):
    with answering("two") as two:
        proxy = start("forward", "--parent", f"http://127.0.0.1:{free_port()}", "--parent", two.url)

        assert get(proxy, "http://a.example/").endswith(b"two")
