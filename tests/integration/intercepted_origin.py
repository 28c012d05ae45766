"""An origin for namespaces: says at which of its addresses it was reached, and for which Host.

python intercepted_origin.py CERTIFICATE KEY ADDRESS:PORT[/tls] ...
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        said = {
            "reached": self.connection.getsockname()[0],
            "port": self.connection.getsockname()[1],
            "client": self.client_address[0],
            "host": self.headers["Host"],
            "via": self.headers["Via"] or "",
            "path": self.path,
        }
        content = json.dumps(said).encode()
        if self.path == "/large":
            content = b"x" * 5_000_000
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # HTTPServer's looks its own name up, and nobody answers here.
        TCPServer.server_bind(self)

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class Server6(Server):
    address_family = socket.AF_INET6


def main(certificate: str, key: str, *places: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    for place in places:
        place, _, tls = place.partition("/")
        host, _, port = place.rpartition(":")
        kind = Server6 if ":" in host else Server
        server = kind((host.strip("[]"), int(port)), Handler)
        if tls:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=server.serve_forever).start()
    print("ready", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
