"""Several origins that say who they are, behind a proxy with one pool."""

from __future__ import annotations

import http.client
import signal
from collections import Counter
from contextlib import ExitStack, closing, contextmanager

from demo.proxies import Proxy, free_port
from tests.scripted import ScriptedOrigin, reply
from tests.waiting import eventually


def named(name, fields=b""):
    """Give a script that answers with a name."""
    return reply(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(name), fields, name))


@contextmanager
def named_origins(names):
    """Run an origin for each letter, which answers with it."""
    with ExitStack() as stack:
        yield [stack.enter_context(ScriptedOrigin(named(name.encode("ascii")))) for name in names]


class Pooled:
    """A proxy whose configuration has one pool."""

    def __init__(self, directory, listener='listen = ["127.0.0.1:{port}"]'.format):
        self.port = free_port()
        self.file = directory / f"proxykit-{self.port}.toml"
        self._listener = listener(port=self.port)
        self.proxy = Proxy(directory, "serve", "--config", str(self.file), port=self.port)

    def write(self, servers, keys=""):
        """Write the configuration.

        :param servers: origins, or a server's entry in TOML.
        :param keys: the pool's other keys.
        """
        entries = ", ".join(each if isinstance(each, str) else f'"{each.url}"' for each in servers)
        self.file.write_text(
            f"[pool.app]\nservers = [{entries}]\n{keys}\n"
            f'[reverse.site]\n{self._listener}\n[[reverse.site.routes]]\npool = "app"\n'
        )
        return self

    def reload(self, servers, keys=""):
        """Write it anew and wait until it is taken over."""
        before = self.proxy.output.read_text().count("the configuration was reloaded")
        self.write(servers, keys)
        self.proxy.process.send_signal(signal.SIGHUP)
        said = self.proxy.output.read_text
        eventually(lambda: said().count("the configuration was reloaded") > before, 5, said)

    def __enter__(self):
        self.proxy.__enter__()
        return self

    def __exit__(self, *error):
        self.proxy.__exit__(*error)

    def client(self):
        """Connect, for as long as ``with`` lasts."""
        return closing(http.client.HTTPConnection(*self.proxy.address, timeout=5))


def ask(client, path="/", **fields):
    """Send a request; give who answered and the cookie that was set, if one was."""
    client.request("GET", path, headers={n.replace("_", "-"): v for n, v in fields.items()})
    response = client.getresponse()
    return response.read().decode("ascii"), response.getheader("Set-Cookie")


def who_answers(pooled, count, **fields):
    """Count who answers so many requests on one connection."""
    with pooled.client() as client:
        return Counter(ask(client, **fields)[0] for _ in range(count))
