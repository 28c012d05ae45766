"""What a forward proxy answers by itself: its PAC file, and the page about the client."""

from __future__ import annotations

import json
import subprocess

import pytest

from demo.proxies import free_port
from tests.forward.node import run
from tests.scripted import ScriptedOrigin, exchange, reply

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

CONFIGURATION = """
[forward.office]
listen = ["127.0.0.1:{port}"]
allow_private = true
{keys}

[[forward.office.filters]]
use = "access"
rules = [
    {{ action = "deny", name = "no <games>", domain = ".games.example" }},
    {{ action = "deny", name = "not you", client = "127.0.0.2" }},
]

[[forward.office.filters]]
use = "headers"
request = {{ set = {{ X-Office = "1" }} }}
"""


@pytest.fixture(scope="module")
def serve(start, tmp_path_factory):
    def run_with(keys="", configuration=CONFIGURATION):
        file, port = tmp_path_factory.mktemp("reception") / "proxykit.toml", free_port()
        file.write_text(configuration.format(port=port, keys=keys))
        return start("serve", "--config", str(file), port=port)

    return run_with


@pytest.fixture(scope="module")
def proxy(serve):
    return serve('pac = { direct = ["*.lan", "10.0.0.0/8"] }')


@pytest.fixture(scope="module")
def plain(serve):
    return serve('info_host = ""')


def ask(proxy, target, host, *fields, method="GET"):
    lines = "".join(f"{field}\r\n" for field in fields)
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n"
    head, _, content = exchange(proxy.address, head.encode()).partition(b"\r\n\r\n")
    return head, content


def about(proxy, query="", *fields):
    head, content = ask(
        proxy,
        f"http://proxykit.internal/{query}",
        "proxykit.internal",
        "Accept: application/json",
        *fields,
    )
    assert head.startswith(b"HTTP/1.1 200 ")
    return json.loads(content)


# --- the PAC file -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/proxy.pac", "/wpad.dat"])
def test_the_pac_file_names_the_proxy_where_it_was_fetched(proxy, path):
    head, content = ask(proxy, path, f"127.0.0.1:{proxy.port}")

    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nContent-Type: application/x-ns-proxy-autoconfig\r\n" in head
    found, _ = run(content, ["a.example", "x.lan", "10.1.2.3"])
    assert found["a.example"] == f"PROXY 127.0.0.1:{proxy.port}"
    assert found["x.lan"] == found["10.1.2.3"] == "DIRECT"


def test_wpads_host_has_port_80(proxy):
    _, content = ask(proxy, "/wpad.dat", "wpad")

    assert b'"PROXY wpad:80"' in content


def test_head_has_no_content_and_other_methods_are_refused(proxy):
    head, content = ask(proxy, "/proxy.pac", "wpad", method="HEAD")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert content == b""

    head, _ = ask(proxy, "/proxy.pac", "wpad", "Content-Length: 0", method="POST")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, HEAD\r\n" in head


def test_other_paths_are_still_a_400_that_explains(proxy, plain):
    for each, path in ((proxy, "/"), (proxy, "/proxy.pac/"), (plain, "/proxy.pac")):
        head, content = ask(each, path, "a.example")

        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"--proxy" in content


def test_a_host_that_is_none_reaches_no_script(proxy):
    head, _ = ask(proxy, "/proxy.pac", 'a";alert(1);"')

    assert head.startswith(b"HTTP/1.1 400 ")


def test_the_file_is_only_for_whom_it_is_for(serve):
    proxy = serve('pac = { clients = "192.0.2.0/24", proxies = "http://proxy.lan:3128" }')

    head, content = ask(proxy, "/proxy.pac", "wpad")

    assert head.startswith(b"HTTP/1.1 403 ")
    assert b"proxy.lan" not in content


def test_clients_fetch_it_without_the_credentials_that_they_cannot_have_yet(serve):
    configuration = CONFIGURATION.replace("rules = [", 'default = "deny"\nrules = [')
    proxy = serve("pac = true", configuration)

    head, _ = ask(proxy, "/proxy.pac", "wpad")

    assert head.startswith(b"HTTP/1.1 200 ")


def test_chromium_finds_its_proxy_by_the_pac_file(serve, tmp_path):
    with ScriptedOrigin(
        reply(FINE.replace(b"2\r\n", b"2\r\nContent-Type: text/html\r\n"))
    ) as origin:
        host = f"127.0.0.1:{origin.port}"
        # A name that only the proxy knows the way to: Chromium gets there by it or not at all.
        keys = "pac = { direct = [], plain_names = false }"
        proxy = serve(keys)
        finished = subprocess.run(
            [
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path}",
                f"--proxy-pac-url={proxy.url}/proxy.pac",
                "--proxy-bypass-list=<-loopback>",
                "--dump-dom",
                "http://proxykit.internal/?url=" + host,
            ],
            capture_output=True,
            text=True,
            timeout=28,
            check=True,
        )

    assert "Your proxy" in finished.stdout
    assert "would be fetched" in finished.stdout


# --- the page about the client ----------------------------------------------------------------


def test_the_page_says_who_asks_and_what_applies(proxy):
    said = about(proxy)

    assert said["client_address"] == "127.0.0.1"
    assert said["user"] == ""
    assert said["listener"] == "forward.office"
    assert said["filters"] == ["access", "headers"]
    assert said["pac"] == "/proxy.pac"
    assert "verdict" not in said


@pytest.mark.parametrize(
    ("url", "outcome", "by", "detail"),
    [
        ("http://127.0.0.1:1/x", "allowed", "", ""),
        ("127.0.0.1", "allowed", "", ""),
        ("http://www.games.example/", "refused", "access", "no <games>"),
        ("https://www.games.example/", "refused", "access", "no <games>"),
        ("https://127.0.0.1/", "allowed", "", ""),
        ("https://127.0.0.1:25/", "refused", "destination", "port 25"),
        ("http://nowhere.invalid/", "unreachable", "destination", "does not resolve"),
        ("http://B\u00fccher.games.example/", "refused", "access", "no <games>"),
        ("http://proxykit.internal/", "answered", "", ""),
    ],
)
def test_it_says_what_would_become_of_a_url_and_by_which_rule(proxy, url, outcome, by, detail):
    from urllib.parse import quote

    verdict = about(proxy, "?url=" + quote(url, safe=""))["verdict"]

    assert (verdict["outcome"], verdict["by"]) == (outcome, by)
    assert detail in verdict["detail"]
    assert verdict["url"] == url


def test_private_destinations_are_refused_there_as_everywhere(start):
    proxy = start("forward")

    verdict = about(proxy, "?url=http%3A%2F%2F10.0.0.1%2F")["verdict"]

    assert (verdict["outcome"], verdict["error"]) == ("refused", "destination_ip_prohibited")


def test_nothing_is_sent_anywhere_to_find_out(proxy):
    with ScriptedOrigin(reply(FINE)) as origin:
        verdict = about(proxy, f"?url=http%3A%2F%2F127.0.0.1%3A{origin.port}%2F")["verdict"]

        assert verdict["outcome"] == "allowed"
        assert origin.received == []


def test_what_is_in_the_url_stays_text(proxy):
    query = "?url=http%3A%2F%2Fwww.games.example%2F%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E"
    head, content = ask(
        proxy, f"http://proxykit.internal/{query}", "proxykit.internal", "Accept: text/html"
    )

    assert b"\r\nContent-Type: text/html; charset=utf-8\r\n" in head
    assert b"\r\nContent-Security-Policy: default-src 'none'" in head
    assert b"\r\nCache-Control: no-store\r\n" in head
    assert b"<script" not in content
    assert b"&lt;script&gt;" in content
    assert b"no &lt;games&gt;" in content


@pytest.mark.parametrize(
    "query", ["?url=gopher%3A%2F%2Fa", "?url=http%3A%2F%2F", "?url=http%3A%2F%2Fa%3Ax%2F",
              "?url=http%3A%2F%2Fu%3Ap%40a%20b%2F", "?url=%0D%0A", "?" + "a=b&" * 20]
)  # fmt: skip
def test_what_is_no_url_is_a_400(proxy, query):
    head, _ = ask(proxy, f"http://proxykit.internal/{query}", "proxykit.internal")

    assert head.startswith(b"HTTP/1.1 400 ")


def test_another_page_there_is_not_and_nothing_is_asked_of_a_server_of_that_name(proxy):
    head, _ = ask(proxy, "http://proxykit.internal/other", "proxykit.internal")
    assert head.startswith(b"HTTP/1.1 404 ")

    head, _ = ask(proxy, "http://proxykit.internal/", "proxykit.internal", "Content-Length: 0",
                  method="PUT")  # fmt: skip
    assert head.startswith(b"HTTP/1.1 405 ")


def test_the_page_has_another_name_or_none_if_configured(serve, plain):
    head, _ = ask(plain, "http://proxykit.internal/", "proxykit.internal")
    assert head.startswith(b"HTTP/1.1 502 ")

    named = serve('info_host = "Proxy.Office.Test"')
    head, content = ask(named, "http://proxy.office.test/", "proxy.office.test")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"You are: 127.0.0.1" in content


def test_a_request_without_a_host_is_not_for_the_page_of_no_name(plain):
    answer = exchange(plain.address, b"GET / HTTP/1.0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")


def test_who_may_not_use_the_proxy_may_read_why_and_nothing_else(start):
    proxy = start("forward", "--allow", "192.0.2.0/24")

    said = about(proxy, "?url=http%3A%2F%2Fa.example%2F")

    assert said["refused"]["by"] == "access"
    assert said["refused"]["detail"] == said["verdict"]["detail"] == "no access rule allows this"
    assert "filters" not in said
    assert "listener" not in said


def test_how_often_may_be_asked_is_limited_as_for_everything(start, tmp_path):
    port = free_port()
    file = tmp_path / "proxykit.toml"
    file.write_text(
        f'[forward.a]\nlisten = "127.0.0.1:{port}"\n'
        '[[forward.a.filters]]\nuse = "rate-limit"\nrate = "1/h"\nburst = 2\n'
    )
    proxy = start("serve", "--config", str(file), port=port)
    target = "http://proxykit.internal/", "proxykit.internal"

    heads = [ask(proxy, *target)[0] for _ in range(3)]

    assert [head[9:12] for head in heads] == [b"200", b"200", b"429"]
