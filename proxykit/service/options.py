"""The command line of ``twistd proxykit``: each mode is a short way to write a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.python import usage

from ..config.load import ConfigurationErrors, from_mapping, load
from ..config.models import Configuration


class _Mode(usage.Options):
    """What forward and reverse share."""

    optFlags = [
        ["proxy-protocol", None, "Connections begin with a PROXY header, from --trust-proxy only."],
    ]
    optParameters = [
        ["access-log", None, "-", "Where the access log goes; - is standard output."],
        ["log-format", None, "combined", "common, combined, json, or a format string."],
        ["admin", None, None, "The admin API listens there, at 127.0.0.1:9180 for instance."],
        ["admin-token-file", None, "admin.token", "Holds its token; made when there is none."],
        ["cache", None, None, "Keep responses in memory, so many bytes: 256MiB for instance."],
        ["cache-dir", None, None, "Keep responses on disk there; --cache is the memory in front."],
    ]
    _default_listen = ""

    def __init__(self) -> None:
        """Begin with nothing given."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._listen: list[str] = []
        self._trust_proxy: list[str] = []

    def opt_listen(self, endpoint: str) -> None:
        """Where clients connect: HOST:PORT, :PORT, unix:/path or a Twisted endpoint. Repeats."""
        self._listen.append(endpoint)

    def opt_trust_proxy(self, network: str) -> None:
        """A network (CIDR) whose X-Forwarded-For and PROXY headers are believed. Repeats."""
        self._trust_proxy.append(network)

    def mapping(self) -> dict[str, Any]:
        """Give the configuration as its file would say it."""
        mapping: dict[str, Any] = {
            "log": {"access": self["access-log"], "format": self["log-format"]}
        }
        if self._has_cache():
            mapping["cache"] = {"main": self._cache()}
        return mapping

    def cache_use(self) -> dict[str, Any]:
        """Give what a listener or a route that may use the cache has."""
        return {"cache": "main"} if self._has_cache() else {}

    def _has_cache(self) -> bool:
        return self["cache"] is not None or self["cache-dir"] is not None

    def _cache(self) -> dict[str, Any]:
        size: str | None = self["cache"]
        memory = None if size is None else int(size) if size.isdecimal() else size
        if self["cache-dir"] is None:
            return {"store": "memory", "size": memory}
        cache = {"store": "disk", "directory": self["cache-dir"]}
        return cache if memory is None else cache | {"memory": memory}

    def configuration(self) -> Configuration:
        """Check the options as the configuration that they stand for.

        :raises ConfigurationErrors: for all that is wrong with them.
        """
        return from_mapping(self.mapping() | self._admin(), Path.cwd(), "options")

    def _admin(self) -> dict[str, Any]:
        if self["admin"] is None:
            return {}
        return {"admin": {"listen": self["admin"], "token_file": self["admin-token-file"]}}

    def listener(self) -> dict[str, Any]:
        """Give what a listener of either kind has."""
        listen = self._listen or [self._default_listen]
        return {
            "listen": listen,
            "trust_proxy": self._trust_proxy,
            "proxy_protocol": bool(self["proxy-protocol"]),
        }


class ForwardOptions(_Mode):
    """A forward proxy, for clients."""

    optFlags = [
        ["allow-private", None, "May reach loopback, private and link-local destinations."],
    ]
    optParameters = [
        ["connect-ports", None, "443", "Ports that CONNECT may reach."],
        ["users", None, None, "An htpasswd file: clients are asked for a name and a password."],
        ["anonymity", None, "transparent", "transparent, anonymous or elite."],
        ["rate", None, None, "Bandwidth for each client, such as 2MiB/s."],
    ]
    _default_listen = "127.0.0.1:3128"
    longdesc = f"Without --listen, clients connect to {_default_listen}."

    def __init__(self) -> None:
        """Begin with nothing given."""
        super().__init__()
        self._allow: list[str] = []
        self._socks: list[str] = []
        self._parents: list[str] = []
        self._block: list[str] = []

    def opt_socks(self, endpoint: str) -> None:
        """Also speak SOCKS4, 4a and 5 there. Repeats."""
        self._socks.append(endpoint)

    def opt_parent(self, url: str) -> None:
        """Send through a parent: http://, https://, socks5:// or socks4://. Repeats, best first."""
        self._parents.append(url)

    def opt_allow(self, network: str) -> None:
        """A network (CIDR) whose clients may use the proxy; loopback if none is given. Repeats."""
        self._allow.append(network)

    def opt_block(self, file: str) -> None:
        """A blocklist: hosts file, domain list, or Adblock filter list. Repeats."""
        self._block.append(file)

    def mapping(self) -> dict[str, Any]:
        """See ``_Mode.mapping``."""
        try:
            ports = [int(port) for port in self["connect-ports"].replace(",", " ").split()]
        except ValueError:
            raise usage.UsageError("--connect-ports takes port numbers, such as 443,8443") from None
        filters: list[dict[str, Any]] = [
            {"use": "access", "allow": self._allow or ["127.0.0.0/8", "::1"]}
        ]
        if self["users"] is not None:
            filters.append({"use": "auth", "users": self["users"]})
        if self._block:
            filters.append({"use": "blocklist", "lists": self._block})
        if self["rate"] is not None:
            filters.append({"use": "bandwidth", "rate": self["rate"]})
        filters.append({"use": "anonymity", "level": self["anonymity"]})
        listener = self.listener() | {
            "allow_private": bool(self["allow-private"]),
            "connect_ports": ports,
            "filters": filters,
            "socks": self._socks,
            "parents": self._parents,
            **self.cache_use(),
        }
        return super().mapping() | {"forward": {"main": listener}}


class ReverseOptions(_Mode):
    """A reverse proxy, for servers."""

    optParameters = [
        ["balance", None, "round-robin", "How servers are picked."],
        ["health", None, None, "Active health checks of the servers on this path."],
        ["certificate", None, None, "A PEM file: the listener then speaks TLS."],
        ["key", None, None, "A PEM file with the certificate's key."],
        ["rate-limit", None, None, "Requests for each client's address, such as 100/s."],
    ]
    _default_listen = "127.0.0.1:8080"
    longdesc = f"Without --listen, clients connect to {_default_listen}."

    def __init__(self) -> None:
        """Begin with nothing given."""
        super().__init__()
        self._backends: list[dict[str, Any]] = []

    def opt_backend(self, backend: str) -> None:
        """A server to send to: URL[,weight=N], http, https or unix:. Repeats; one is required."""
        url, comma, weight = backend.partition(",weight=")
        if comma and not weight.isdecimal():
            raise usage.UsageError(f"--backend {backend}: the weight is not a number")
        self._backends.append({"url": url, "weight": int(weight)} if comma else {"url": url})

    def postOptions(self) -> None:
        """Check what options need each other."""
        if not self._backends:
            raise usage.UsageError("--backend is required: where should requests go?")
        if (self["certificate"] is None) != (self["key"] is None):
            raise usage.UsageError("--certificate and --key go together")

    def mapping(self) -> dict[str, Any]:
        """See ``_Mode.mapping``."""
        listener = self.listener() | {
            "routes": [{"name": "main", "pool": "main", **self.cache_use()}]
        }
        if self["certificate"] is not None:
            pair = {"certificate": self["certificate"], "key": self["key"]}
            listener["tls"] = {"listen": listener.pop("listen"), "certificates": [pair]}
        if self["rate-limit"] is not None:
            listener["filters"] = [{"use": "rate-limit", "rate": self["rate-limit"]}]
        pool = {"servers": self._backends, "balance": self["balance"]}
        if self["health"] is not None:
            pool["health"] = {"path": self["health"]}
        return super().mapping() | {"pool": {"main": pool}, "reverse": {"main": listener}}


class ServeOptions(usage.Options):
    """Everything that a configuration file says."""

    optParameters = [["config", None, None, "The configuration, a TOML file."]]

    def postOptions(self) -> None:
        """Check that there is a file."""
        if self["config"] is None:
            raise usage.UsageError("serve needs --config FILE")
        # twistd may change its directory when it becomes a daemon; a reload must find the file.
        self["config"] = str(Path(self["config"]).resolve())

    def configuration(self) -> Configuration:
        """Load the file.

        :raises ConfigurationErrors: for all that is wrong with it.
        """
        return load(Path(self["config"]))


class Options(usage.Options):
    """``twistd proxykit``."""

    subCommands = [
        ["forward", None, ForwardOptions, "A forward proxy, for clients."],
        ["reverse", None, ReverseOptions, "A reverse proxy, for servers."],
        ["serve", None, ServeOptions, "Everything that a configuration file says."],
    ]

    @property
    def synopsis(self) -> str:
        """What stands behind ``twistd proxykit``, unless a mode does."""
        return "{forward|reverse|serve} [options]" if self.subCommand is None else ""

    def getSynopsis(self) -> str:
        """See ``usage.Options``; a mode's own begins with this one."""
        synopsis: str = super().getSynopsis()
        return synopsis.rstrip()

    def postOptions(self) -> None:
        """Check that there is a mode and that it can run."""
        if self.subCommand is None:
            raise usage.UsageError("say forward, reverse or serve")
        try:
            self.subOptions.configuration()
        except ConfigurationErrors as errors:
            raise usage.UsageError("\n".join(map(str, errors.problems))) from errors
