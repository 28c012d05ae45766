"""The clients that people use work through both directions."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack

import aiohttp
import bcrypt
import httpx
import pytest
import requests
from websockets.sync.client import connect

from demo.origins import PAGE
from demo.proxies import Proxy, free_port
from tests.waiting import eventually

NODE = """
const http = require("http");
const [host, port, path, authority] = process.argv.slice(1);
http.get({host, port, path, headers: {Host: authority}}, (response) => {
  let text = "";
  response.on("data", (data) => (text += data));
  response.on("end", () => process.stdout.write(text));
});
"""


@pytest.fixture(scope="module")
def reverse(start, origins):
    return start("reverse", "--backend", origins.url)


@pytest.fixture(scope="module")
def forward(start, origins):
    ports = ",".join(url.rsplit(":", 1)[1] for url in (origins.url, origins.https_url))
    return start("forward", "--allow-private", "--connect-ports", ports)


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=25, check=True).stdout


def test_curl_through_a_reverse_proxy(reverse):
    assert output_of("curl", "-sS", reverse.url + "/") == PAGE


def test_curl_through_a_forward_proxy(forward, origins):
    assert (
        output_of("curl", "-sS", "--noproxy", "", "--proxy", forward.url, origins.url + "/") == PAGE
    )


def test_curl_through_a_tunnel_with_tls_inside(forward, origins, certificate):
    page = output_of(
        "curl", "-sS", "--noproxy", "", "--proxy", forward.url, "-k", origins.https_url + "/"
    )
    assert page == PAGE


def test_requests_through_both(reverse, forward, origins):
    session = requests.Session()
    session.trust_env = False
    assert session.get(reverse.url + "/", timeout=5).text == PAGE
    through = session.get(origins.url + "/", proxies={"http": forward.url}, timeout=5)
    assert through.text == PAGE
    assert "proxykit" in through.headers["Via"]
    session.close()


def test_httpx_through_both(reverse, forward, origins):
    with httpx.Client(trust_env=False) as client:
        assert client.post(reverse.url + "/echo", content=b"x").status_code == 200
    with httpx.Client(trust_env=False, proxy=forward.url) as client:
        assert client.get(origins.url + "/").text == PAGE


async def _aiohttp(url, proxy=None):
    async with aiohttp.ClientSession() as session, session.get(url, proxy=proxy) as response:
        return await response.text()


def test_aiohttp_through_both(reverse, forward, origins):
    import asyncio

    assert asyncio.run(_aiohttp(reverse.url + "/")) == PAGE
    assert asyncio.run(_aiohttp(origins.url + "/", forward.url)) == PAGE


def test_node_through_both(reverse, forward, origins):
    authority = origins.url.removeprefix("http://")
    assert output_of("node", "-e", NODE, reverse.host, str(reverse.port), "/", authority) == PAGE
    page = output_of(
        "node", "-e", NODE, forward.host, str(forward.port), origins.url + "/", authority
    )
    assert page == PAGE


def test_chromium_with_a_configured_proxy(forward, origins, tmp_path):
    page = output_of(
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
        f"--proxy-server={forward.url}",
        "--proxy-bypass-list=<-loopback>",
        "--dump-dom",
        origins.url + "/",
    )

    assert "Served by an origin" in page
    assert "GET /" not in page


@pytest.fixture
def guarded(tmp_path, origins, certificate):
    """A forward proxy with TLS and users, and the port where it speaks TLS."""
    hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
    (tmp_path / "users").write_text(f"ada:{hashed}\n")
    port, tls_port = free_port(), free_port()
    file = tmp_path / "proxykit.toml"
    file.write_text(
        f'''
        [log]
        access = "access.log"
        [forward.office]
        listen = ["127.0.0.1:{port}"]
        allow_private = true
        connect_ports = [443, {origins.https_url.rsplit(":", 1)[1]}]
        tls = {{ listen = ["127.0.0.1:{tls_port}"], certificates = [
            {{ certificate = "{certificate.certificate}", key = "{certificate.key}" }} ] }}
        [[forward.office.filters]]
        use = "auth"
        users = "users"
        '''
    )
    with Proxy(tmp_path, "serve", "--config", str(file), port=port) as proxy:
        yield proxy, tls_port


def test_curl_through_a_proxy_with_tls_and_users(guarded, origins, certificate):
    _, tls_port = guarded
    proxy = [
        "--proxy",
        f"https://127.0.0.1:{tls_port}",
        "--proxy-cacert",
        str(certificate.authority),
    ]
    curl = ["curl", "-sS", "--noproxy", "", *proxy, "--proxy-user", "ada:open sesame"]

    assert output_of(*curl, origins.url + "/") == PAGE
    assert output_of(*curl, "-k", origins.https_url + "/") == PAGE


class Browser:
    """Chromium, driven by its DevTools protocol."""

    def __init__(self, folder, proxy):
        self._stack = ExitStack()
        self._process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={folder}", "--remote-debugging-port=0",
             f"--proxy-server={proxy}", "--proxy-bypass-list=<-loopback>", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        address = eventually(lambda: self._page(folder / "DevToolsActivePort"))
        self._socket = self._stack.enter_context(connect(address, proxy=None))
        self._number = 0

    def _page(self, told):
        """Give the address of the browser's page, ``None`` while there is none."""
        if not told.exists() or not (port := told.read_text().partition("\n")[0]):
            return None
        pages = requests.get(f"http://127.0.0.1:{port}/json/list", timeout=5).json()
        found = [page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"]
        return found[0] if found else None

    def tell(self, method, **parameters):
        self._number += 1
        told = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(told))
        return self._number

    def hear(self):
        return json.loads(self._socket.recv(timeout=20))

    def tell_and_wait(self, method, **parameters):
        """Tell it something that has to be so before anything else is done."""
        number = self.tell(method, **parameters)
        while self.hear().get("id") != number:
            pass

    def close(self):
        self._stack.close()
        self._process.kill()
        self._process.wait()


def test_chromium_asks_for_a_users_password_and_goes_on_with_it(guarded, origins, tmp_path):
    proxy, _ = guarded
    browser = Browser(tmp_path / "browser", proxy.url)
    challenges = []
    try:
        browser.tell_and_wait("Page.enable")
        browser.tell_and_wait("Fetch.enable", handleAuthRequests=True)
        browser.tell("Page.navigate", url=origins.url + "/")
        answer = text = None
        while not text:
            heard = browser.hear()
            told = heard.get("params", {})
            if heard.get("method") == "Fetch.requestPaused":
                browser.tell("Fetch.continueRequest", requestId=told["requestId"])
            elif heard.get("method") == "Fetch.authRequired":
                challenges.append(told["authChallenge"])
                given = {"response": "ProvideCredentials", "username": "ada"}
                given["password"] = "open sesame"
                browser.tell(
                    "Fetch.continueWithAuth",
                    requestId=told["requestId"],
                    authChallengeResponse=given,
                )
            elif heard.get("method") == "Page.loadEventFired":
                answer = browser.tell("Runtime.evaluate", expression="document.body.innerText")
            elif answer is not None and heard.get("id") == answer:
                text = heard["result"]["result"]["value"]
    finally:
        browser.close()

    assert "Served by an origin" in text
    assert challenges[0]["source"] == "Proxy"
    assert challenges[0]["scheme"].lower() == "basic"
