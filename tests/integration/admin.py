"""A proxy with an admin API, as tests of that want it, and a client of the API."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import contextmanager

from demo.proxies import Proxy, free_port
from tests.scripted import ScriptedOrigin
from tests.waiting import eventually

SITE = """
[log]
access = "access.log"
format = "json"
[cache.main]
size = "8MiB"
[cache.unused]
size = "1MiB"
[pool.app]
servers = ["{one}", {{ url = "{two}", weight = 3 }}]
[reverse.site]
listen = ["127.0.0.1:{port}"]
[[reverse.site.routes]]
name = "ruled"
path = "/ruled/"
pool = "app"
cache = {{ use = "main", key_headers = ["Authorization"], key_cookies = ["session"] }}
[[reverse.site.routes]]
pool = "app"
cache = "main"
[admin]
listen = ["127.0.0.1:{admin}"]
hosts = ["proxy.example"]
"""


def answering(connection, head):
    """Answer as the path asks; the content says which of the origins it was."""
    path = head.split(b" ")[1]
    status = b"404 Not Found" if b"missing" in path else b"200 OK"
    fields = b"Cache-Control: max-age=60\r\n" if b"plain" not in path else b""
    if b"tagged" in path:
        fields += b"Cache-Tag: red, blue\r\n"
    if b"vary" in path:
        fields += b"Vary: Accept, Cookie\r\n"
    if b"cookie" in path:
        fields += b"Set-Cookie: session=secret\r\nCache-Control: public\r\n"
    content = b"%d %s" % (connection.getsockname()[1], path)
    connection.sendall(
        b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, fields, len(content), content)
    )


@contextmanager
def serving(directory, more: str = ""):
    """Run a proxy with two origins and an admin API."""
    port, admin = free_port(), free_port()
    with ScriptedOrigin(answering) as one, ScriptedOrigin(answering) as two:
        text = SITE.format(one=one.url, two=two.url, port=port, admin=admin) + more
        with Proxy.serving(directory, text, port) as proxy:
            proxy.text = text
            proxy.one, proxy.two = one, two
            proxy.admin = Api(("127.0.0.1", admin), token_of(directory))
            yield proxy


def token_of(directory) -> str:
    """Give the token; a proxy makes it a moment after it began to listen."""
    file = directory / "admin.token"
    eventually(file.exists)
    return file.read_text().strip()


class Api:
    """Asks an admin API.

    :ivar address: its host and port, or the path of its UNIX socket.
    """

    def __init__(self, address, token):
        self.address = address
        self.token = token

    def ask(self, method, path, content=None, headers=None):
        """Give the status, the fields and the content of an answer."""
        fields = {"Authorization": f"Bearer {self.token}"}
        if content is not None:
            fields["Content-Type"] = "application/json"
            content = content if isinstance(content, bytes) else json.dumps(content)
        fields |= headers or {}
        connection = http.client.HTTPConnection("localhost", timeout=5)
        if isinstance(self.address, tuple):
            connection.sock = socket.create_connection(self.address, timeout=5)
        else:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(5)
            connection.sock.connect(self.address)
        if "Host" not in fields:
            fields["Host"] = "127.0.0.1:9180"
        fields = {name: value for name, value in fields.items() if value is not None}
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if content is not None:
            fields.setdefault("Content-Length", str(len(content)))
        for name, value in fields.items():
            connection.putheader(name, value)
        connection.endheaders(content.encode() if isinstance(content, str) else content)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, response.headers, body

    def get(self, path):
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def post(self, path, content):
        status, _, body = self.ask("POST", path, content)
        assert status in (200, 202), body
        return json.loads(body)

    def refusal(self, method, path, content=None, headers=None):
        status, _, body = self.ask(method, path, content, headers)
        return status, json.loads(body)["error"]
