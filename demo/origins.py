"""The servers behind the proxies: a page, an echo, a large download, a WebSocket, TLS."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import random
import threading
from collections.abc import Iterator
from typing import Self

from aiohttp import WSMsgType, web

from .certificates import CertificatePair

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>An origin's page</title></head>
<body><h1 id="title">Served by an origin</h1><p>What you read came through a proxy.</p></body>
</html>
"""
TEXT = "A line of text that compresses well.\n" * 200

# Of an odd length and without a pattern, so that a piece that is lost, doubled or swapped with
# another changes the checksum.
_BLOCK = random.Random(9110).randbytes(262_147)


def download_pieces(size: int) -> Iterator[bytes]:
    """Give the content of a download piece by piece; the whole of it is never held.

    :param size: in bytes.
    """
    left = size
    while left > len(_BLOCK):
        yield _BLOCK
        left -= len(_BLOCK)
    yield _BLOCK[:left]


def download_checksum(size: int) -> str:
    """Give the SHA-256 checksum of a download of this size, in hexadecimal."""
    checksum = hashlib.sha256()
    for piece in download_pieces(size):
        checksum.update(piece)
    return checksum.hexdigest()


async def _page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html", headers={"ETag": '"page-1"'})


async def _echo(request: web.Request) -> web.Response:
    """Answer with the request as this origin saw it."""
    content = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "fields": [[name, value] for name, value in request.headers.items()],
            "content": content.decode("latin-1"),
            "checksum": hashlib.sha256(content).hexdigest(),
            "chunked": request.headers.get("Transfer-Encoding", "") == "chunked",
        }
    )


async def _download(request: web.Request) -> web.StreamResponse:
    size = int(request.query["bytes"])
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    response.content_length = size
    await response.prepare(request)
    for piece in download_pieces(size):
        await response.write(piece)
    await response.write_eof()
    return response


async def _chunked(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for piece in download_pieces(int(request.query["bytes"])):
        await response.write(piece)
    await response.write_eof()
    return response


async def _compressed(request: web.Request) -> web.Response:
    return web.Response(
        body=gzip.compress(TEXT.encode("ascii")),
        content_type="text/plain",
        headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"},
    )


async def _ranged(request: web.Request) -> web.Response:
    whole = _BLOCK[:1000]
    wanted = request.http_range
    if wanted.start is None and wanted.stop is None:
        return web.Response(body=whole, headers={"Accept-Ranges": "bytes"})
    start, stop, _ = wanted.indices(len(whole))
    return web.Response(
        status=206,
        body=whole[start:stop],
        headers={"Content-Range": f"bytes {start}-{stop - 1}/{len(whole)}"},
    )


async def _redirect(request: web.Request) -> web.Response:
    raise web.HTTPFound(request.query.get("to", "/"))


async def _empty(request: web.Request) -> web.Response:
    return web.Response(status=204)


async def _conversation(request: web.Request) -> web.WebSocketResponse:
    """Say back what is said, until the client is done."""
    socket = web.WebSocketResponse(max_msg_size=16 * 1024 * 1024)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


def _application() -> web.Application:
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_get("/", _page)
    application.router.add_route("*", "/echo", _echo)
    application.router.add_route("*", "/echo/{rest:.*}", _echo)
    application.router.add_get("/download", _download)
    application.router.add_get("/chunked", _chunked)
    application.router.add_get("/compressed", _compressed)
    application.router.add_get("/ranged", _ranged)
    application.router.add_get("/redirect", _redirect)
    application.router.add_get("/empty", _empty)
    application.router.add_get("/conversation", _conversation)
    return application


class Origins:
    """An HTTP and, with a certificate, an HTTPS server on loopback, in a thread of their own.

    :ivar http_port: where HTTP is served, once it is entered.
    :ivar https_port: where HTTPS is served, 0 without a certificate.
    """

    def __init__(self, certificate: CertificatePair | None = None) -> None:
        """Make servers that do not run yet."""
        self.http_port = 0
        self.https_port = 0
        self._certificate = certificate
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="origins")
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The HTTP server's URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def https_url(self) -> str:
        """The HTTPS server's URL, without a slash at its end."""
        return f"https://127.0.0.1:{self.https_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        self._runner = web.AppRunner(_application(), access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        if self._certificate is not None:
            context = self._certificate.server_context()
            await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        ports = [address[1] for address in self._runner.addresses]
        self.http_port = ports[0]
        self.https_port = ports[1] if len(ports) > 1 else 0

    async def _stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()
