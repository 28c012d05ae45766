"""The origin behind every proxy: an nginx that serves a few files out of the page cache."""

from __future__ import annotations

import http.client
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from benchmarks.cases import BODIES
from benchmarks.programs.base import Place, running
from benchmarks.programs.nginx import Nginx

CONFIGURATION = """
worker_processes 1;
worker_rlimit_nofile @FILES_LIMIT@;
events { worker_connections @CONNECTIONS@; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    open_file_cache max=64 inactive=1h;
    open_file_cache_valid 1h;
    @FOLDERS@
    default_type text/html;
    server {
        listen 127.0.0.1:@PORT@ backlog=4096;
        root @DIRECTORY@/files;
        add_header Cache-Control "private, max-age=600";
        add_header Vary "Accept-Encoding";
        add_header X-Content-Type-Options "nosniff";
        add_header Strict-Transport-Security "max-age=31536000; includeSubDomains";
        location / { }
        location /public- { add_header Cache-Control "public, max-age=86400"; }
        location /varied/ {
            add_header Cache-Control "private, max-age=600";
            add_header Vary "Accept-Encoding";
            add_header X-Content-Type-Options "nosniff";
            add_header Strict-Transport-Security "max-age=31536000; includeSubDomains";
            add_header X-Request-Id "$request_id";
            add_header Set-Cookie "seen=$request_id; Path=/; HttpOnly";
            try_files /1k =404;
        }
        location = /requests { stub_status; }
    }
}
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
def running_origin(directory: Path, *, core: int) -> Iterator[Origin]:
    """Run an origin for as long as the block lasts.

    Args:
        directory: where its place is made.
        core: the core that it may use.
    """
    nginx = Nginx()
    bodies: dict[str, bytes] = {}

    def configure(place: Place) -> list[str]:
        bodies.update(write_files(place.directory / "files"))
        return nginx.in_foreground(place, CONFIGURATION, connections=place.files_limit - 100)

    with running(nginx, configure, directory=directory, core=core) as (place, _):
        yield Origin(place.port, bodies)


def write_files(directory: Path) -> dict[str, bytes]:
    """Make the folder of what is served, and return the bodies of the smaller files, by path."""
    directory.mkdir()
    source = random.Random(1)
    bodies = {}
    for path, size in BODIES.items():
        # Not compressible, and the same in every run.
        block = source.randbytes(min(size, 1 << 20))
        body = block * (size // len(block))
        (directory / path[1:]).write_bytes(body)
        if len(block) == size:
            bodies[path] = body
    bodies["/varied/"] = bodies["/1k"]
    return bodies
