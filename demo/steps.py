"""What the demonstration does, a step each: a real request through a proxy, and what must come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from attrs import frozen
from websockets.sync.client import connect

from .certificates import CertificatePair
from .origins import PAGE, Origins, download_checksum
from .proxies import Proxy

DOWNLOAD = 256 * 1024 * 1024
_SECONDS = 10


class NotAsExpected(Exception):
    """A step's outcome is not what Proxykit promises."""


@frozen
class Outcome:
    """What came of a step.

    :ivar status: of the response.
    :ivar size: of the content that came back, in bytes.
    :ivar via: the response's Via, which names the proxies that it passed.
    :ivar remark: what else a reader should know.
    """

    status: int
    size: int
    via: str = ""
    remark: str = ""


@frozen
class Step:
    """One thing that is shown.

    :ivar title: what is done, for a newcomer.
    :ivar through: which proxy.
    :ivar run: does it; raises ``NotAsExpected``.
    """

    title: str
    through: str
    run: Callable[[], Outcome]


@frozen
class Stage:
    """Everything that runs while the steps are taken.

    :ivar strict: a forward proxy with nothing but defaults.
    """

    origins: Origins
    certificate: CertificatePair
    reverse: Proxy
    forward: Proxy
    strict: Proxy

    def steps(self) -> Iterator[Step]:
        """Give the steps, in the order in which they are shown."""
        ways = (
            ("reverse proxy", self.reverse.url, self._direct()),
            ("forward proxy", self.origins.url, self._proxied(self.forward)),
        )
        for through, url, client in ways:
            yield Step("GET a page", through, _bind(get_a_page, client, url))
            yield Step("POST a form's JSON", through, _bind(post_json, client, url))
            yield Step("Download 256 MiB", through, _bind(download, client, url))
        yield Step(
            "WebSocket conversation", "reverse proxy", _bind(converse, self.reverse.url, None)
        )
        yield Step(
            "WebSocket conversation",
            "forward proxy",
            _bind(converse, self.origins.url, self.forward.url),
        )
        yield Step(
            "GET a page over TLS, inside a CONNECT tunnel",
            "forward proxy",
            _bind(tunnel, self._proxied(self.forward), self.origins.https_url),
        )
        yield Step(
            "Ask a forward proxy as if it were a web server",
            "forward proxy",
            _bind(refused, self._direct(), self.forward.url, 400),
        )
        yield Step(
            "Ask a forward proxy for this machine itself",
            "forward proxy with defaults",
            _bind(refused, self._proxied(self.strict), self.origins.url, 403),
        )

    def _direct(self) -> httpx.Client:
        return httpx.Client(trust_env=False, timeout=_SECONDS)

    def _proxied(self, proxy: Proxy) -> httpx.Client:
        return httpx.Client(
            proxy=proxy.url,
            trust_env=False,
            timeout=_SECONDS,
            verify=self.certificate.client_context(),
        )


def get_a_page(client: httpx.Client, url: str) -> Outcome:
    """Fetch an HTML page."""
    response = client.get(f"{url}/")
    _expect(response.status_code, 200, "the status")
    _expect(response.text, PAGE, "the page")
    return _outcome(response, len(response.content))


def post_json(client: httpx.Client, url: str) -> Outcome:
    """Send JSON to an origin that says what it saw."""
    sent = {"name": "Ada", "languages": ["en", "fr"]}
    response = client.post(f"{url}/echo", json=sent)
    _expect(response.status_code, 200, "the status")
    seen = response.json()
    _expect(seen["method"], "POST", "the method that the origin saw")
    _expect(json.loads(seen["content"]), sent, "the JSON that the origin saw")
    fields = {name.lower(): value for name, value in seen["fields"]}
    if "via" not in fields:
        raise NotAsExpected("the origin saw no Via in the request")
    return _outcome(
        response,
        len(response.content),
        f"the origin was told: X-Forwarded-For: {fields.get('x-forwarded-for', '-')}",
    )


def download(client: httpx.Client, url: str) -> Outcome:
    """Fetch what would not fit a small proxy's memory, and check every byte."""
    checksum = hashlib.sha256()
    size = 0
    with client.stream("GET", f"{url}/download?bytes={DOWNLOAD}") as response:
        _expect(response.status_code, 200, "the status")
        for piece in response.iter_raw():
            checksum.update(piece)
            size += len(piece)
    _expect(size, DOWNLOAD, "the size")
    _expect(checksum.hexdigest(), download_checksum(DOWNLOAD), "the checksum")
    return _outcome(response, size, f"SHA-256 {checksum.hexdigest()[:16]}… is right")


def converse(url: str, proxy: str | None) -> Outcome:
    """Say three things over a WebSocket and hear each of them back."""
    address = url.replace("http:", "ws:") + "/conversation"
    size = 0
    said: list[str | bytes] = ["Hello, origin.", "Grüße über zwei Wege", bytes(range(256)) * 256]
    with connect(address, proxy=proxy, open_timeout=_SECONDS, close_timeout=_SECONDS) as socket:
        assert socket.response is not None
        status = socket.response.status_code
        via = socket.response.headers.get("Via", "")
        for message in said:
            socket.send(message)
            heard = socket.recv(timeout=_SECONDS)
            _expect(heard, message, "the answer")
            size += len(message)
    _expect(status, 101, "the status")
    remark = f"{len(said)} messages there and back"
    if proxy is not None:
        remark += "; through a CONNECT tunnel, into which the proxy does not look"
    return Outcome(status, size, via, remark)


def tunnel(client: httpx.Client, url: str) -> Outcome:
    """Fetch a page over TLS; the proxy only carries the bytes."""
    response = client.get(f"{url}/")
    _expect(response.status_code, 200, "the status")
    _expect(response.text, PAGE, "the page")
    return _outcome(
        response, len(response.content), "the origin's own certificate was verified, end to end"
    )


def refused(client: httpx.Client, url: str, status: int) -> Outcome:
    """Ask for what is not served; the answer has to say why."""
    response = client.get(f"{url}/")
    _expect(response.status_code, status, "the status")
    if "Proxy-Status" not in response.headers:
        raise NotAsExpected("the refusal has no Proxy-Status that says why")
    return _outcome(response, len(response.content), response.text.splitlines()[0])


def _outcome(response: httpx.Response, size: int, remark: str = "") -> Outcome:
    return Outcome(response.status_code, size, response.headers.get("Via", ""), remark)


def _bind(function: Callable[..., Outcome], *arguments: Any) -> Callable[[], Outcome]:
    return lambda: function(*arguments)


def _expect(actual: object, expected: object, what: str) -> None:
    if actual != expected:
        raise NotAsExpected(f"{what} is {_short(actual)}, but should be {_short(expected)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"
