"""The plug-in that makes proxy.py a reverse proxy; proxy.py loads it by name."""

# mypy: disallow-subclassing-any=False
# Where proxy.py is not installed, mypy takes its classes for Any.

from __future__ import annotations

import os
from typing import Any

from proxy.http.parser import HttpParser
from proxy.http.server import ReverseProxyBasePlugin
from proxy.http.url import Url

ORIGIN = f"http://127.0.0.1:{os.environ.get('BENCHMARK_ORIGIN', '0')}".encode()


class ToOrigin(ReverseProxyBasePlugin):
    """Sends every path to the origin, unchanged."""

    def routes(self) -> list[str | tuple[str, list[bytes]]]:
        """Return the one pattern, which every path matches."""
        return ["/.*"]

    def handle_route(self, request: HttpParser, pattern: Any) -> Url:
        """Return where a request goes."""
        return Url.from_bytes(ORIGIN + (request.path or b"/"))
