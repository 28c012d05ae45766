"""Proxykit as its users run it: a twistd process on a free port."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

_CHECKOUT = Path(__file__).resolve().parent.parent


class ProxyDidNotStart(Exception):
    """A proxy's process ended, or was silent, before it listened; the message holds its output."""


def free_port() -> int:
    """Give a port on which nothing listens.

    Taken from below the ports that the kernel hands out, so that no outgoing connection takes it
    before the proxy does.
    """
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def listens(
    process: subprocess.Popen[bytes], address: tuple[str, int], seconds: float = 20.0
) -> bool:
    """Wait until a process takes connections.

    :returns: whether it does; not when it ended before, or when the time is over.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(address, timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


class Proxy:
    """A proxy in a process of its own.

    :ivar port: where it listens.
    :ivar output: the file with what twistd wrote.
    :ivar process: the process, once it was started.
    :ivar file: the configuration, when it was made ``serving`` one.
    """

    process: subprocess.Popen[bytes]
    file: Path

    def __init__(
        self,
        directory: Path,
        mode: str,
        *options: str,
        port: int | None = None,
        host: str = "127.0.0.1",
        reactor: str | None = None,
    ) -> None:
        """Make one that does not run yet.

        :param directory: where its logs are written.
        :param mode: ``forward``, ``reverse`` or ``serve``.
        :param options: of that mode.
        :param port: where it listens; by itself a free one, which the options are told of. For
            ``serve``, of which the configuration says where to listen, the port must be given.
        :param host: the address where it listens.
        :param reactor: a Twisted reactor's name, by itself twistd's own choice.
        """
        self.port = port if port is not None else free_port()
        self.host = host
        self.output = directory / f"twistd-{self.port}.log"
        self.access_log = directory / f"access-{self.port}.log"
        reactor_options = ["--reactor", reactor] if reactor is not None else []
        self._command = [*twistd_command(), *reactor_options, "proxykit", mode]
        if mode != "serve":
            self._command += ["--listen", f"{host}:{self.port}"]
            if "--access-log" not in options:
                self._command += ["--access-log", str(self.access_log)]
        self._command += options

    @classmethod
    def serving(cls, directory: Path, configuration: str, port: int) -> Self:
        """Make one that does not run yet, out of a configuration; its ``file`` is in the directory.

        :param configuration: in TOML; it must say to listen on this port.
        """
        file = directory / f"proxykit-{port}.toml"
        file.write_text(configuration)
        proxy = cls(directory, "serve", "--config", str(file), port=port)
        proxy.file = file
        return proxy

    @property
    def url(self) -> str:
        """The URL where it listens, without a slash at its end."""
        return f"http://{self.host}:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        """The address where it listens."""
        return self.host, self.port

    def begin(self) -> Self:
        """Start its process, without waiting until it listens."""
        environment = dict(os.environ)
        found = [str(_CHECKOUT), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(found)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self._command, stdout=output, stderr=output, env=environment, cwd=_CHECKOUT
            )
        return self

    def wait_until_it_listens(self, seconds: float = 20.0) -> Self:
        """Wait until it takes connections.

        :raises ProxyDidNotStart: when it does not in that time.
        """
        if listens(self.process, self.address, seconds):
            return self
        self.stop()
        raise ProxyDidNotStart(f"{' '.join(self._command)}\n{self.output.read_text()}")

    def stop(self, seconds: float = 10.0) -> int:
        """Ask it to end, as an init system would.

        :returns: the process's exit code.
        """
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def log_lines(self) -> list[str]:
        """Give the lines of its access log; they are all there once it was stopped."""
        return self.access_log.read_text().splitlines() if self.access_log.exists() else []

    def __enter__(self) -> Self:
        return self.begin().wait_until_it_listens()

    def __exit__(self, *_: object) -> None:
        self.stop()


def twistd_command() -> list[str]:
    """Give the twistd of the Python that runs this, with what keeps it in the foreground.

    :raises ProxyDidNotStart: when it is not installed.
    """
    beside = Path(sys.executable).with_name("twistd")
    found = str(beside) if beside.exists() else shutil.which("twistd")
    if found is None:
        raise ProxyDidNotStart("twistd is not installed: pip install '.[test]'")
    return [found, "--nodaemon", "--pidfile="]
