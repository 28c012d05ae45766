"""ftp:// through a forward proxy: real servers, and some that are not what they should be."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.proxies import free_port
from tests.forward.ftp.scripted_server import ScriptedFtp
from tests.scripted import exchange, read_all
from tests.waiting import eventually, wait_until_listening

LARGE = os.urandom(1024) * 3000
SERVER = Path(__file__).parents[1] / "forward" / "ftp" / "real_server.py"


@contextlib.contextmanager
def real_server(folder, host="127.0.0.1", without=""):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(SERVER), host, str(port), str(folder), without],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_listening(process, port, host=host)
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("ftp")
    (root / "hello.txt").write_text("hello\n")
    os.utime(root / "hello.txt", (1_700_000_000, 1_700_000_000))
    (root / "large.bin").write_bytes(LARGE)
    (root / "empty").write_bytes(b"")
    (root / "pub" / "deep").mkdir(parents=True)
    (root / "pub" / "deep" / "x.json").write_text("{}")
    (root / "private").mkdir()
    (root / "private" / "mine").write_text("ada's")
    evil = root / "evil"
    evil.mkdir()
    (evil / "javascript:alert(1)").write_text("x")
    (evil / "<script>alert(1)<").write_text("x")
    (evil / "a b?c#d%e&\"'").write_text("odd")
    (evil / "J\u00fcrgen").write_text("\u00fc")
    (root / "locked").mkdir()
    return root


@pytest.fixture(scope="module")
def server(folder):
    with real_server(folder) as authority:
        yield authority


def serve_with(start, directory, **keys):
    port = free_port()
    file, log = directory / f"{port}.toml", directory / f"{port}.log"
    keys = {"ftp": "true", "allow_private": "true"} | keys
    lines = "\n".join(f"{name} = {value}" for name, value in keys.items())
    file.write_text(
        f'[log]\naccess = "{log}"\nformat = "json"\n'
        f'[forward.a]\nlisten = "127.0.0.1:{port}"\n{lines}\n'
    )
    proxy = start("serve", "--config", str(file), port=port)
    proxy.access_log = log
    return proxy


@pytest.fixture(scope="module")
def proxy(start, tmp_path_factory):
    return serve_with(start, tmp_path_factory.mktemp("proxy"))


@pytest.fixture(scope="module")
def impatient(start, tmp_path_factory):
    return serve_with(
        start, tmp_path_factory.mktemp("impatient"), response_timeout='"1s"', max_connections=2
    )


def ask(proxy, url, *fields, method="GET"):
    host = url.removeprefix("ftp://").partition("/")[0].rpartition("@")[2]
    lines = "".join(f"{field}\r\n" for field in fields)
    head = f"{method} {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n"
    head, _, content = exchange(proxy.address, head.encode("latin-1")).partition(b"\r\n\r\n")
    return head.decode("latin-1"), content


def status_of(head):
    return int(head.split()[1])


def unchunked(content):
    whole = b""
    while content:
        size, _, content = content.partition(b"\r\n")
        whole, content = whole + content[: int(size, 16)], content[int(size, 16) + 2 :]
    return whole


# --- a real server ----------------------------------------------------------------------------


def test_a_file_is_fetched_with_its_type_and_length(proxy, server):
    head, content = ask(proxy, f"ftp://{server}/hello.txt")

    assert status_of(head) == 200
    assert content == b"hello\n"
    assert "\r\nContent-Type: text/plain\r\n" in head
    assert "\r\nContent-Length: 6\r\n" in head
    assert "\r\nLast-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n" in head
    assert "\r\nVia: " in head


@pytest.mark.parametrize("name", ["large.bin", "empty", "pub/deep/x.json", "pub/../hello.txt",
                                  "evil/a%20b%3Fc%23d%25e&%22%27"])  # fmt: skip
def test_files_come_whole_wherever_they_are(proxy, server, folder, name):
    from urllib.parse import unquote

    head, content = ask(proxy, f"ftp://{server}/{name}")

    assert status_of(head) == 200
    assert content == (folder / unquote(name)).read_bytes()


def test_head_says_what_get_would(proxy, server):
    head, content = ask(proxy, f"ftp://{server}/large.bin", method="HEAD")

    assert status_of(head) == 200
    assert f"\r\nContent-Length: {len(LARGE)}\r\n" in head
    assert content == b""


def test_curl_fetches_a_file_and_resumes_it(proxy, server, tmp_path):
    file = tmp_path / "large.bin"
    file.write_bytes(LARGE[:1_000_000])
    command = ["curl", "-sS", "--noproxy", "", "--proxy", proxy.url, "-C", "-", "-o", str(file)]

    subprocess.run([*command, f"ftp://{server}/large.bin"], timeout=20, check=True)

    assert file.read_bytes() == LARGE


@pytest.mark.parametrize(
    ("wanted", "status", "slice_"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=1000000-1999999", 206, slice(1_000_000, 2_000_000)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=99999999-", 416, slice(0, 0)),
        ("lines=1-2", 200, slice(None)),
    ],
)
def test_a_part_of_a_file(proxy, server, wanted, status, slice_):
    head, content = ask(proxy, f"ftp://{server}/large.bin", f"Range: {wanted}")

    assert status_of(head) == status
    assert content == LARGE[slice_]


def test_a_file_that_did_not_change_is_not_sent_again(proxy, server):
    first, _ = ask(proxy, f"ftp://{server}/hello.txt")
    tag = next(line for line in first.split("\r\n") if line.startswith("ETag: "))[6:]

    head, content = ask(proxy, f"ftp://{server}/hello.txt", f"If-None-Match: {tag}")

    assert status_of(head) == 304
    assert content == b""


def test_a_directory_is_a_page_with_links(proxy, server):
    head, page = ask(proxy, f"ftp://{server}/", "Accept: text/html")

    assert status_of(head) == 200
    assert b'<a href="./hello.txt">hello.txt</a>' in page
    assert b'<a href="./pub/">pub/</a>' in page
    assert b">6<" in page
    assert b"../" not in page
    _, deeper = ask(proxy, f"ftp://{server}/pub/", "Accept: text/html")
    assert b'<a href="../">' in deeper


def test_names_in_a_directory_are_text_and_lead_to_the_files(proxy, server, folder):
    _, page = ask(proxy, f"ftp://{server}/evil/", "Accept: text/html")
    _, said = ask(proxy, f"ftp://{server}/evil/", "Accept: application/json")

    assert b"<script" not in page
    assert b'href="javascript:' not in page
    entries = {entry["name"]: entry for entry in json.loads(said)["entries"]}
    assert set(entries) == {each.name for each in (folder / "evil").iterdir()}
    for entry in entries.values():
        head, content = ask(proxy, f"ftp://{server}/evil/{entry['href']}")
        assert status_of(head) == 200
        assert content == (folder / "evil" / entry["name"]).read_bytes()


def test_a_directory_without_its_slash_is_a_redirect(proxy, server):
    for path in ("/pub", "/pub/deep"):
        head, _ = ask(proxy, f"ftp://{server}{path}")

        assert status_of(head) == 301
        assert f"\r\nLocation: {path}/\r\n" in head


def test_a_redirect_leads_to_no_other_host(proxy):
    with ScriptedFtp(SIZE=b"550 no") as server:
        head, _ = fetched(proxy, server, "//evil.example/x")

    assert "\r\nLocation: /evil.example/x/\r\n" in head


@pytest.mark.parametrize("path", ["/nothing", "/nothing/", "/nothing/x", "/hello.txt/"])
def test_what_is_not_there_is_a_404_with_the_servers_words(proxy, server, path):
    head, content = ask(proxy, f"ftp://{server}{path}")

    assert status_of(head) == 404
    assert b"said:" in content
    assert "Proxy-Status" not in head


@pytest.mark.parametrize(
    "without", ["EPSV", "MLSD,MLST", "SIZE,MDTM", "REST", "EPSV,MLSD,MLST,SIZE,MDTM,REST"]
)
def test_old_servers_are_asked_in_old_ways(proxy, folder, without):
    with real_server(folder, without=without) as authority:
        head, content = ask(proxy, f"ftp://{authority}/large.bin", "Range: bytes=10-")
        _, listing = ask(proxy, f"ftp://{authority}/", "Accept: application/json")
        missing, _ = ask(proxy, f"ftp://{authority}/nothing")
        directory, _ = ask(proxy, f"ftp://{authority}/pub")
        only_head, nothing = ask(proxy, f"ftp://{authority}/hello.txt", method="HEAD")

    if status_of(head) == 206:
        assert content == LARGE[10:]
    else:
        assert (unchunked(content) if "chunked" in head else content) == LARGE
    names = {entry["name"]: entry for entry in json.loads(listing)["entries"]}
    assert {"hello.txt", "pub"} <= set(names)
    assert names["pub"]["kind"] == "directory"
    assert names["hello.txt"]["size"] == 6
    assert (status_of(missing), status_of(directory), status_of(only_head)) == (404, 301, 200)
    assert nothing == b""


def test_ipv6_has_no_pasv_and_needs_none(proxy, folder):
    with real_server(folder, host="::1") as authority:
        head, content = ask(proxy, f"ftp://{authority}/hello.txt")

    assert (status_of(head), content) == (200, b"hello\n")


def test_who_logs_in_may_stand_in_the_url_or_in_a_field_and_is_nowhere_in_the_log(
    start, server, tmp_path
):
    proxy = serve_with(start, tmp_path)
    basic = "Authorization: Basic YWRhOnMzY3JldDol"

    by_url, first = ask(proxy, f"ftp://ada:s3cret%3A%25@{server}/mine")
    by_field, second = ask(proxy, f"ftp://{server}/mine", basic)
    nobody, _ = ask(proxy, f"ftp://{server}/mine")
    wrong, _ = ask(proxy, f"ftp://ada:wr0ng@{server}/mine")
    proxy.stop()

    assert (status_of(by_url), first) == (200, b"ada's")
    assert (status_of(by_field), second) == (200, b"ada's")
    assert status_of(nobody) == 404
    assert status_of(wrong) == 401
    assert "\r\nWWW-Authenticate: Basic realm=" in wrong
    written = proxy.access_log.read_text() + proxy.output.read_text()
    assert written.count("/mine") == 4
    for secret in ("s3cret", "wr0ng", "YWRh"):
        assert secret not in written
    assert f"ftp://{server}/mine" in written


def memory_of(proxy):
    return int(Path(f"/proc/{proxy.process.pid}/statm").read_text().split()[1]) * 4096


def test_a_slow_client_holds_the_server_back(proxy, server, folder):
    huge = folder / "huge"
    size = 64 * 1024 * 1024
    with huge.open("wb") as file:
        file.truncate(size)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(proxy.address)
        head = f"GET ftp://{server}/huge HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n"
        before = memory_of(proxy)
        client.sendall(head.encode())
        received = len(client.recv(64))
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            assert memory_of(proxy) - before < 16 * 1024 * 1024
            time.sleep(0.05)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        while piece := client.recv(1 << 20):
            received += len(piece)
    huge.unlink()
    assert received > size


# --- policy -----------------------------------------------------------------------------------


def test_it_is_off_by_default(start, server):
    head, _ = ask(start("forward", "--allow-private"), f"ftp://{server}/hello.txt")

    assert status_of(head) == 400


def test_private_destinations_are_refused(start, tmp_path, server):
    proxy = serve_with(start, tmp_path, allow_private="false")

    head, _ = ask(proxy, f"ftp://{server}/hello.txt")

    assert status_of(head) == 403
    assert "destination_ip_prohibited" in head


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_it_is_only_read(proxy, server, method):
    head, _ = ask(proxy, f"ftp://{server}/x", "Content-Length: 0", method=method)

    assert status_of(head) == 405
    assert "\r\nAllow: GET, HEAD\r\n" in head


@pytest.mark.parametrize(
    "path",
    ["/a%0D%0ADELE%20x", "/a%0ADELE%20x", "/%00", "/%FF", "/a%0Db/c", "/x;type=q", "/a" * 40 + "/"],
)
def test_what_would_be_another_command_is_refused_before_a_server_is_asked(proxy, path):
    with ScriptedFtp() as server:
        head, _ = ask(proxy, f"ftp://127.0.0.1:{server.port}{path}")

        assert status_of(head) == 400
        assert server.commands == []


@pytest.mark.parametrize("userinfo", ["a%0D%0ADELE%20x:b", "a:b%0ADELE%20x"])
def test_nor_are_commands_in_credentials(proxy, userinfo):
    with ScriptedFtp() as server:
        head, _ = ask(proxy, f"ftp://{userinfo}@127.0.0.1:{server.port}/x")

        assert status_of(head) == 400
        assert server.commands == []


def test_an_access_rule_sees_where_it_goes(start, tmp_path):
    rules = '[{ action = "deny", port = 21 }, { action = "deny", path = "/secret" }]'
    access = '\n[[forward.a.filters]]\nuse = "access"\nrules = ' + rules
    proxy = serve_with(start, tmp_path, response_timeout=f'"2s"{access}')

    assert status_of(ask(proxy, "ftp://127.0.0.1/x")[0]) == 403
    with ScriptedFtp() as server:
        for path in ("/secret/x", "/a/../secret", "/a/%2e%2e/secret", "/%73ecret"):
            assert status_of(ask(proxy, f"ftp://127.0.0.1:{server.port}{path}")[0]) == 403
        assert server.commands == []


# --- servers that are not what they should be -------------------------------------------------


def fetched(proxy, server, path="/x", *fields):
    return ask(proxy, f"ftp://127.0.0.1:{server.port}{path}", *fields)


def test_the_data_connection_goes_to_the_server_whatever_pasv_says(proxy):
    with socket.create_server(("127.0.0.2", 0)) as victim:
        victim.settimeout(0.3)
        told = "227 go (127,0,0,2,{},{})".format(*divmod(victim.getsockname()[1], 256))
        with ScriptedFtp(EPSV=b"500 what?", PASV=told.encode(), data=b"x") as server:
            head, _ = fetched(proxy, server)

            assert status_of(head) == 502
            with pytest.raises(TimeoutError):
                victim.accept()


def test_another_address_in_pasv_does_no_harm_where_the_port_is_right(proxy):
    def pasv(server, connection):
        return "227 go (10,0,0,1,{},{})".format(*divmod(server.data_port, 256)).encode()

    with ScriptedFtp(EPSV=b"502 what?", PASV=pasv, data=b"hello") as server:
        head, content = fetched(proxy, server)

        assert (status_of(head), content) == (200, b"hello")


@pytest.mark.parametrize(
    "answer",
    [b"229 go (|||25|)", b"229 go (|||0|)", b"229 go (|||99999|)", b"229 go", b"229 (|2|::1|9|)"],
)
def test_a_port_that_is_none_or_another_services_is_refused(proxy, answer):
    with ScriptedFtp(EPSV=answer, data=b"x") as server:
        head, _ = fetched(proxy, server)

        assert status_of(head) == 502
        assert server.data_connections == 0


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ({"greeting": b"421 full"}, 503),
        ({"greeting": b"554 go away"}, 502),
        ({"greeting": b"HTTP/1.1 400 Bad Request"}, 504),
        ({"greeting": lambda *_: None}, 504),
        ({"USER": b"530 no"}, 401),
        ({"PASS": b"530 no"}, 401),
        ({"PASS": b"332 account?"}, 401),
        ({"USER": b"230 come in"}, 200),
        ({"TYPE": b"504 no"}, 502),
        ({"RETR": b"550 Permission denied.", "CWD": b"550 no"}, 403),
        ({"RETR": b"550 No such file", "CWD": b"550 no"}, 404),
        ({"RETR": b"450 busy"}, 404),
        ({"RETR": b"425 no data connection"}, 503),
        ({"RETR": b"451 broken"}, 502),
        ({"RETR": lambda *_: None}, 504),
        ({"EPSV": b"421 full"}, 502),
        ({"EPSV": b"500 no", "PASV": b"500 no"}, 502),
        ({"SIZE": b"213 many"}, 200),
        ({"USER": b"999 strange"}, 502),
    ],
)
def test_what_a_server_says_becomes_a_status(impatient, answers, status):
    with ScriptedFtp(data=b"hello", **answers) as server:
        head, _ = fetched(impatient, server)

        assert status_of(head) == status


def test_no_server_is_a_502(proxy):
    head, _ = ask(proxy, f"ftp://127.0.0.1:{free_port()}/x")

    assert status_of(head) == 502
    assert "connection_refused" in head


def closing(server, connection):
    connection.shutdown(socket.SHUT_RDWR)
    raise OSError


@pytest.mark.parametrize("word", ["greeting", "USER", "TYPE", "SIZE", "EPSV", "RETR"])
def test_a_server_that_hangs_up_is_a_502(proxy, word):
    with ScriptedFtp(data=b"x", **{word: closing}) as server:
        head, _ = fetched(proxy, server)

        assert status_of(head) == 502


def endless(server, connection):
    while True:
        connection.sendall(b"220-and another thing\r\n" * 100)


def one_line(server, connection):
    while True:
        connection.sendall(b"2" * 65536)


@pytest.mark.parametrize("answer", [endless, one_line])
def test_a_reply_without_an_end_is_cut(proxy, answer):
    with ScriptedFtp(greeting=answer) as server:
        head, _ = fetched(proxy, server)

        assert status_of(head) == 502
        assert "does not end" in head


def test_more_than_the_size_that_was_said_is_no_second_response(proxy):
    data = b"hello" + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with ScriptedFtp(data=data, SIZE=b"213 5") as server:
        head, content = fetched(proxy, server)

        assert status_of(head) == 200
        assert b"HTTP" not in content
        assert len(content) <= 5


def broken_off(server, connection):
    connection.sendall(b"150 coming\r\n")
    with server.accept_data() as data:
        data.sendall(server.data[:3])
    return b"426 broken off"


def silent_at_the_end(server, connection):
    connection.sendall(b"150 coming\r\n")
    with server.accept_data() as data:
        data.sendall(server.data)


@pytest.mark.parametrize("answer", [broken_off, silent_at_the_end])
def test_a_transfer_that_is_not_complete_does_not_look_complete(impatient, answer):
    with ScriptedFtp(data=b"hello", RETR=answer, SIZE=b"502 no") as server:
        head, content = fetched(impatient, server)

        assert "chunked" in head
        assert not content.endswith(b"0\r\n\r\n")


def test_a_client_that_leaves_takes_the_session_with_it(proxy):
    ended = []

    def retr(server, connection):
        connection.sendall(b"150 coming\r\n")
        with server.accept_data() as data:
            try:
                while True:
                    data.sendall(b"x" * 65536)
            except OSError:
                ended.append(True)
        return b"426 gone"

    with ScriptedFtp(RETR=retr, SIZE=b"502 no") as server:
        with socket.create_connection(proxy.address, timeout=5) as client:
            authority = f"127.0.0.1:{server.port}"
            client.sendall(
                f"GET ftp://{authority}/x HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
            )
            assert client.recv(64)
        eventually(lambda: ended)


def test_a_client_that_leaves_before_the_answer_leaves_no_session_open(proxy):
    import threading

    go_on, closed = threading.Event(), threading.Event()

    def retr(server, connection):
        data = server.accept_data()
        go_on.wait(5)
        connection.sendall(b"150 coming\r\n")
        data.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            if data.recv(1):
                return b"226 what?"
        closed.set()
        return b"426 gone"

    with ScriptedFtp(RETR=retr) as server:
        with socket.create_connection(proxy.address, timeout=5) as client:
            authority = f"127.0.0.1:{server.port}"
            client.sendall(
                f"GET ftp://{authority}/x HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
            )
            eventually(lambda: server.data_connections)
        go_on.set()

        assert closed.wait(5)


def test_there_is_a_limit_on_sessions_with_a_server(impatient):
    with ScriptedFtp(greeting=lambda *_: None) as server:
        authority = f"127.0.0.1:{server.port}"
        head = f"GET ftp://{authority}/x HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
        clients = [socket.create_connection(impatient.address, timeout=6) for _ in range(3)]
        for client in clients:
            client.sendall(head.encode())
        statuses = sorted(int(read_all(client).split()[1]) for client in clients)
        for client in clients:
            client.close()

    assert statuses == [503, 504, 504]


def test_a_listing_that_is_too_long_is_cut_and_says_so(proxy):
    line = b"type=file;size=1; " + b"x" * 200
    with ScriptedFtp(data=b"".join(line + b"%d\r\n" % n for n in range(25_000))) as server:
        _, content = fetched(proxy, server, "/", "Accept: application/json")

        said = json.loads(content)
        assert said["complete"] is False
        assert 15_000 < len(said["entries"]) <= 20_000


def test_what_a_server_says_is_text_on_the_page(proxy):
    with ScriptedFtp(RETR=b"550 <script>alert(1)</script>\x1b[31m", CWD=b"550 no") as server:
        head, content = fetched(proxy, server, "/x", "Accept: text/html")

        assert status_of(head) == 404
        assert b"<script>" not in content
        assert b"\x1b" not in content
