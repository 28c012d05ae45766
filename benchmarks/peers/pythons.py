"""The proxies written in Python: Proxykit, stock Twisted, proxy.py and mitmproxy."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.cases import Service
from benchmarks.machine import REPOSITORY
from benchmarks.peers.base import IDLE_SECONDS, Peer
from benchmarks.programs import proxykit
from benchmarks.programs.base import Place, first_match

MITMPROXY_ENVIRONMENT = REPOSITORY / "benchmarks" / ".mitmproxy"
"""The virtual environment that `benchmarks/install` makes: mitmproxy's pins are its own."""


def installed_version(distribution: str) -> str:
    """Return the version of a distribution in this environment.

    Raises:
        OSError: it is not installed.
    """
    try:
        return version(distribution)
    except PackageNotFoundError:
        raise OSError("not installed") from None


class Proxykit(proxykit.Proxykit, Peer):
    """Proxykit, started as its users start it."""

    services = dict.fromkeys(Service, "")
    log = "its default format and buffer"
    tuning = "none: every default"

    def command(self, service: Service, place: Place) -> list[str]:
        """Return the command; there is no configuration file."""
        address = f"127.0.0.1:{place.port}"
        if service in {Service.REVERSE, Service.TLS, Service.CACHE, Service.DISK}:
            mode, options = "reverse", ["--listen", address]
            options += ["--backend", f"http://127.0.0.1:{place.origin}"]
            options += ["--cache", "256MiB"] if service is Service.CACHE else []
            if service is Service.DISK:
                options += ["--cache-dir", str(place.directory / "store"), "--cache", "0"]
        else:
            mode, options = "forward", ["--listen", address, "--allow-private"]
            options += ["--connect-ports", f"443,{place.origin}"]
        if service is Service.TLS:
            options += ["--certificate", str(place.certificate.certificate)]
            options += ["--key", str(place.certificate.key)]
        return self.in_foreground(mode, *options, "--access-log", str(place.access_log))


class StockTwisted(Peer):
    """What Twisted itself offers: `ReverseProxyResource`, and the protocol `Proxy`."""

    name = "twisted"
    services = {Service.REVERSE: "", Service.TLS: "", Service.FORWARD: ""}
    log = "combined, the buffer of Python's files"
    tuning = "epoll reactor; it cannot keep connections to the origin"

    def version(self) -> str:
        """Return Twisted's version."""
        return installed_version("twisted")

    def working_directory(self, place: Place) -> Path:
        """Return the checkout, in which Python finds the small program."""
        return REPOSITORY

    def command(self, service: Service, place: Place) -> list[str]:
        """Return the command; there is no configuration file."""
        command = [sys.executable, "-m", "benchmarks.peers.stock_twisted"]
        command += [service.value, str(place.port), str(place.origin), str(place.access_log)]
        if service is Service.TLS:
            command += [str(place.certificate_with_key)]
        return command


class ProxyPy(Peer):
    """proxy.py with one acceptor: forward without threads, reverse with them."""

    name = "proxy.py"
    services = {Service.REVERSE: "", Service.TLS: "", Service.FORWARD: "", Service.TUNNEL: ""}
    log = "its own format through logging, unbuffered; a line a connection, not an exchange"
    tuning = "one acceptor; forward without threads, reverse with them (without, it hangs)"

    def version(self) -> str:
        """Return its version."""
        return installed_version("proxy.py")

    def working_directory(self, place: Place) -> Path:
        """Return the checkout, in which proxy.py finds the route to the origin."""
        return REPOSITORY

    def environment(self, place: Place) -> dict[str, str]:
        """Tell the route where the origin is, and put the checkout on the path."""
        return {"BENCHMARK_ORIGIN": str(place.origin), "PYTHONPATH": str(REPOSITORY)}

    def command(self, service: Service, place: Place) -> list[str]:
        """Return the command; there is no configuration file."""
        command = [sys.executable, "-m", "proxy", "--hostname", "127.0.0.1"]
        command += ["--port", str(place.port), "--backlog", "4096"]
        command += ["--num-workers", "1", "--num-acceptors", "1"]
        command += ["--timeout", str(IDLE_SECONDS), "--open-file-limit", str(place.files_limit)]
        command += ["--data-dir", str(place.directory), "--log-file", str(place.access_log)]
        if service in {Service.REVERSE, Service.TLS}:
            # Without threads, its reverse proxy dies of the second request of a connection.
            command += ["--threaded", "--disable-http-proxy", "--enable-reverse-proxy"]
            command += ["--plugins", "benchmarks.peers.proxy_py_route.ToOrigin"]
        if service is Service.TLS:
            command += ["--cert-file", str(place.certificate.certificate)]
            command += ["--key-file", str(place.certificate.key)]
        return command


class Mitmproxy(Peer):
    """mitmdump, which looks into everything that passes."""

    name = "mitmproxy"
    services = {
        Service.REVERSE: "",
        Service.TLS: "",
        Service.FORWARD: "",
        Service.TUNNEL: "nothing looked into (ignore_hosts)",
    }
    log = "mitmdump's two lines an exchange on standard output, a file"
    tuning = "bodies streamed (stream_large_bodies=1m) only where they are 1 MiB and more"

    @staticmethod
    def program() -> str:
        """Return mitmdump: that of the benchmark's own environment, or another."""
        own = MITMPROXY_ENVIRONMENT / "bin" / "mitmdump"
        return str(own) if own.exists() else "mitmdump"

    def version(self) -> str:
        """Return what `mitmdump --version` says."""
        return first_match(r"Mitmproxy: (\S+)", self.program(), "--version")

    def output(self, place: Place) -> Path:
        """Return the access log, which is what mitmdump prints."""
        return place.access_log

    def command(self, service: Service, place: Place) -> list[str]:
        """Return the command; there is no configuration file."""
        mode = "regular"
        if service in {Service.REVERSE, Service.TLS}:
            mode = f"reverse:http://127.0.0.1:{place.origin}"
        command = [self.program(), "--mode", mode, "--listen-host", "127.0.0.1"]
        command += ["--listen-port", str(place.port)]
        command += ["--set", f"confdir={place.directory}", "--set", "stream_large_bodies=1m"]
        if service is Service.TLS:
            command += ["--certs", f"*={place.certificate_with_key}"]
        if service is Service.TUNNEL:
            command += ["--ignore-hosts", ".*"]
        return command
