"""What the access log says of servers that were asked for a cache."""

from __future__ import annotations

from demo.proxies import Proxy, free_port
from tests.scripted import ScriptedOrigin, exchange, reply

ASK = b"GET %s HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
FRESH = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok"


def logged(tmp_path, servers, *paths):
    """Ask a proxy that caches for paths, one after the other, and give its log."""
    port = free_port()
    file = tmp_path / "proxykit.toml"
    file.write_text(
        '[log]\naccess = "access.log"\nformat = "{target} {status} {upstream} {attempts} {cache}"\n'
        f'[cache.main]\nsize = "1MiB"\n[pool.app]\nservers = {servers}\n'
        f'[reverse.site]\nlisten = "127.0.0.1:{port}"\n'
        '[[reverse.site.routes]]\npool = "app"\ncache = "main"\n'
    )
    with Proxy(tmp_path, "serve", "--config", str(file), port=port) as proxy:
        for path in paths:
            exchange(proxy.address, ASK % path)
    return (tmp_path / "access.log").read_text().splitlines()


def test_a_miss_was_given_to_a_server_once_and_a_hit_to_none(tmp_path):
    with ScriptedOrigin(reply(FRESH)) as origin:
        lines = logged(tmp_path, [origin.url], b"/", b"/")

    server = origin.url.removeprefix("http://")
    assert lines == [f"/ 200 {server} 1 miss", "/ 200  0 hit"]


def test_a_server_that_fails_is_named(tmp_path):
    port = free_port()  # nobody listens there

    (line,) = logged(tmp_path, [f"http://127.0.0.1:{port}"], b"/")

    status, server, attempts = line.split()[1:4]
    assert (status, server) == ("502", f"127.0.0.1:{port}")
    assert int(attempts) > 1
