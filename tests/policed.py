"""A forward proxy with filters behind a stall detector, and requests to it in a line each."""

from __future__ import annotations

from contextlib import contextmanager

from demo.proxies import Proxy, free_port
from tests.scripted import exchange
from tests.stalls.detector import FILTER, PLUGINS


def get(url, *fields, method="GET"):
    host = url.split("/")[2] if "//" in url else url
    lines = [f"{method} {url} HTTP/1.1", f"Host: {host}", "Connection: close", *fields, "", ""]
    return "\r\n".join(lines).encode()


def status(proxy, url, *fields, method="GET"):
    return int(exchange(proxy.address, get(url, *fields, method=method)).split(b" ")[1])


@contextmanager
def serving(directory, filters, patch, port=None):
    """Run a forward proxy with filters behind the stall detector."""
    patch.setenv("PYTHONPATH", str(PLUGINS))
    port = port or free_port()
    table = "[[forward.a.filters]]\n"
    configuration = f'[forward.a]\nlisten = ["127.0.0.1:{port}"]\nallow_private = true\n'
    configuration += "".join(f"{table}{each}\n" for each in [FILTER, *filters])
    with Proxy.serving(directory, configuration, port) as proxy:
        yield proxy
