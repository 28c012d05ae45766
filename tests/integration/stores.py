"""Proxies with each kind of store, and a real Redis."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess

import hiredis
import pytest

from demo.proxies import free_port
from tests.integration.admin import Api, token_of
from tests.integration.cached import ask, cache_says, fresh, serving, until
from tests.scripted import exchange

_CONFIGURATION = """
[cache.main]
store = "{store}"
{cache}
[pool.a]
servers = ["{site}"]
[reverse.a]
listen = ["127.0.0.1:{port}"]
[[reverse.a.routes]]
path = "/sliced/"
pool = "a"
cache = {{ use = "main", slice_size = "4KiB" }}
[[reverse.a.routes]]
pool = "a"
cache = {{ use = "main", purge_from = ["127.0.0.1"] }}
[admin]
listen = ["127.0.0.1:{admin}"]
"""


class Redis:
    """A server in a process of its own."""

    def __init__(self, directory, *options):
        self.port = free_port()
        self.socket = directory / f"redis-{self.port}.sock"
        self._options = [
            *("--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket)),
            *("--save", "", "--appendonly", "no", "--dir", str(directory), *options),
        ]

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", *self._options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._answers)
        return self

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(10)

    def ask(self, *command):
        reader = hiredis.Reader()
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(hiredis.pack_command(command))
            while (answer := reader.gets()) is False:
                reader.feed(connection.recv(65536))
        if isinstance(answer, hiredis.ReplyError):
            raise answer
        return answer

    def keys(self, kind):
        return self.ask(b"KEYS", b"proxykit:1:%s:*" % kind)


class Machine:
    """Proxies that share a store, where it can be shared."""

    def __init__(self, directory, site, stack, store, max_object_size="8MiB"):
        self.store = store
        self._directory, self._site, self._stack = directory, site, stack
        self._cache = 'size = "32MiB"'
        if store == "disk":
            self._cache += '\ndirectory = "store"\nmin_free = 0'
        elif store == "redis":
            if shutil.which("redis-server") is None:
                pytest.skip("there is no redis-server")
            self.redis = Redis(directory).start()
            stack.callback(self.redis.stop)
            self._cache = f'url = "{self.redis.url}"\ntimeout = "2s"'
        self._cache += f'\nmax_object_size = "{max_object_size}"'

    def start(self):
        admin = free_port()
        proxy = self._stack.enter_context(
            serving(
                self._directory,
                _CONFIGURATION,
                store=self.store,
                cache=self._cache,
                site=self._site.url,
                admin=admin,
            )
        )
        proxy.admin = Api(("127.0.0.1", admin), token_of(self._directory))
        path = b"/ready/%d" % proxy.port
        self._site.put(path, fresh())
        until(lambda: cache_says(exchange(proxy.address, ask(path))).startswith(b"hit"))
        return proxy
