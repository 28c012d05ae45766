"""The clients that people use work through both directions."""

from __future__ import annotations

import subprocess

import aiohttp
import httpx
import pytest
import requests

from demo.origins import PAGE

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
