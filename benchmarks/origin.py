"""The origin behind every proxy: an nginx that serves a few files out of the page cache."""

from __future__ import annotations

import http.client
import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from benchmarks.cases import BODIES
from benchmarks.processes import free_port, start

CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {files_limit};
pid {directory}/pid;
error_log stderr crit;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    open_file_cache max=64 inactive=1h;
    open_file_cache_valid 1h;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type text/html;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {directory}/files;
        add_header Cache-Control "private, max-age=600";
        add_header Vary "Accept-Encoding";
        add_header X-Content-Type-Options "nosniff";
        add_header Strict-Transport-Security "max-age=31536000; includeSubDomains";
        location / {{ }}
        location /public- {{ add_header Cache-Control "public, max-age=86400"; }}
        location /varied/ {{
            add_header Cache-Control "private, max-age=600";
            add_header Vary "Accept-Encoding";
            add_header X-Content-Type-Options "nosniff";
            add_header Strict-Transport-Security "max-age=31536000; includeSubDomains";
            add_header X-Request-Id "$request_id";
            add_header Set-Cookie "seen=$request_id; Path=/; HttpOnly";
            try_files /1k =404;
        }}
        location = /requests {{ stub_status; }}
    }}
}}
"""


@frozen
class Origin:
    """A running origin.

    Attributes:
        port: where it listens on 127.0.0.1.
        bodies: what it serves, by path.
    """

    port: int
    bodies: dict[str, bytes]

    def requests(self) -> int:
        """Return how many requests it has had since it started."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/requests")
        text = connection.getresponse().read().decode()
        connection.close()
        counted = re.search(r"^ \d+ \d+ (\d+)", text, re.MULTILINE)
        assert counted is not None, text
        return int(counted[1])


@contextmanager
def running_origin(directory: Path, *, core: int, files_limit: int) -> Iterator[Origin]:
    """Run an origin for as long as the block lasts.

    Args:
        directory: an empty folder for its configuration and its files.
        core: the core that it may use.
        files_limit: how many descriptors it may have open.
    """
    port = free_port()
    (directory / "files").mkdir()
    source = random.Random(1)
    bodies = {}
    for path, size in BODIES.items():
        # Not compressible, and the same in every run.
        block = source.randbytes(min(size, 1 << 20))
        body = block * (size // len(block))
        (directory / "files" / path[1:]).write_bytes(body)
        if len(block) == size:
            bodies[path] = body
    bodies["/varied/"] = bodies["/1k"]
    configuration = directory / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            directory=directory,
            port=port,
            connections=files_limit - 100,
            files_limit=files_limit,
            user="user root;" if os.geteuid() == 0 else "",
        )
    )
    command = ["nginx", "-e", "stderr", "-p", f"{directory}/", "-c", str(configuration)]
    process = start(command, core=core, directory=directory)
    try:
        process.wait_until_listening(port)
        yield Origin(port, bodies)
    finally:
        process.stop()
