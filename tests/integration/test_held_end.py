"""A server that ends its connection behind a response that is held back here."""

from __future__ import annotations

import socket
import ssl

import pytest

from tests.scripted import ScriptedOrigin, exchange

BODY = bytes(range(256)) * 2000


class SecureOrigin(ScriptedOrigin):
    """The same over TLS; the end of the connection comes with the end of what it says."""

    def __init__(self, script, certificate):
        super().__init__(script)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.certificate, certificate.key)

    def serve(self, connection):
        ends = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(*ends, server_side=True)
        head = b""
        while b"\r\n\r\n" not in head:
            try:
                head += tls.read(65536)
            except ssl.SSLWantReadError:
                connection.sendall(ends[1].read())
                ends[0].write(connection.recv(65536))
        tls.write(self.script(connection, head))
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
        connection.sendall(ends[1].read())
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)


@pytest.mark.parametrize(
    "fields", [b"", b"Content-Length: %d\r\n" % len(BODY)], ids=["until close", "length"]
)
def test_what_it_sent_before_is_all_passed_on_at_its_pace(configured, certificate, fields):
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + fields + b"\r\n" + BODY
    with SecureOrigin(lambda connection, head: answer, certificate) as origin:
        proxy = configured(
            lambda port: (
                f"""
[pool.app]
servers = ["https://localhost:{origin.port}"]
tls = {{ ca = "{certificate.authority}" }}
[reverse.site]
listen = ["127.0.0.1:{port}"]
[[reverse.site.routes]]
pool = "app"
[[reverse.site.routes.filters]]
use = "bandwidth"
rate = "400KiB/s"
"""
            )
        )
        request = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"

        assert exchange(proxy.address, request).partition(b"\r\n\r\n")[2] == BODY
