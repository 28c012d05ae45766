"""The caches that the cache tests are run against: how each is configured.

Each may do what the tests have as optimal and its documentation offers as a setting; nothing is
written that would be for the tests alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from benchmarks.programs import apache, nginx, proxykit, squid, varnish
from benchmarks.programs.base import Place, Program, first_match


class Cache(Program):
    """A cache, configured to be right: its name in the table, and what is said of it there."""

    title: ClassVar[str]
    remark: ClassVar[str] = ""

    @abstractmethod
    def command(self, place: Place) -> list[str]:
        """Write its configuration into its place and return the command that starts it."""


class Proxykit(proxykit.Proxykit, Cache):
    """Proxykit, with its defaults."""

    title = "Proxykit"
    remark = "defaults"
    rules: ClassVar[str] = ""

    def command(self, place: Place) -> list[str]:
        """Write `proxykit.toml` and return the command."""
        file = place.write(
            "proxykit.toml",
            """
[reverse.site]
listen = "127.0.0.1:@PORT@"
[[reverse.site.routes]]
pool = "app"
[reverse.site.routes.cache]
use = "main"
@RULES@
[pool.app]
servers = ["http://127.0.0.1:@ORIGIN@"]
[cache.main]
size = "64MiB"
[log]
access = "@ACCESS_LOG@"
""",
            rules=self.rules,
        )
        return self.in_foreground("serve", "--config", str(file))


class LiberalProxykit(Proxykit):
    """Proxykit, allowed to store what it refuses by default."""

    remark = "`allow_errors`, `allow_set_cookie`, `stale_if_error`"
    rules = 'allow_errors = true\nallow_set_cookie = true\nstale_if_error = "1h"'


class Nginx(nginx.Nginx, Cache):
    """nginx with `proxy_cache`."""

    title = "nginx"
    remark = "`proxy_cache_revalidate`, `_use_stale`, `_background_update`"

    def command(self, place: Place) -> list[str]:
        """Write `nginx.conf` and return the command."""
        return self.in_foreground(
            place,
            """
events { worker_connections 4096; }
http {
    access_log off;
    @FOLDERS@
    proxy_cache_path @DIRECTORY@/cache keys_zone=main:16m max_size=64m;
    server {
        listen 127.0.0.1:@PORT@;
        location / {
            proxy_pass http://127.0.0.1:@ORIGIN@;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache main;
            proxy_cache_revalidate on;
            proxy_cache_background_update on;
            proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;
        }
    }
}
""",
        )


class Squid(squid.Squid, Cache):
    """Squid as an accelerator."""

    title = "Squid"

    def command(self, place: Place) -> list[str]:
        """Write `squid.conf` and return the command."""
        return self.in_foreground(
            place,
            """
http_port 127.0.0.1:@PORT@ accel no-vhost defaultsite=127.0.0.1
cache_peer 127.0.0.1 parent @ORIGIN@ 0 no-query originserver login=PASSTHRU name=origin
cache_mem 64 MB
access_log none
""",
        )


class Varnish(varnish.Varnish, Cache):
    """Varnish, which by itself keeps what says nothing for two minutes, and never validates."""

    title = "Varnish"
    remark = "built-in VCL, `default_ttl=0`, `default_grace=0`, `default_keep=1h`"

    def command(self, place: Place) -> list[str]:
        """Write the VCL and return the command."""
        times = ["-t", "0", "-p", "default_grace=0", "-p", "default_keep=3600"]
        return self.in_foreground(place, "-s", "malloc,64m", *times)


class Apache(apache.Apache, Cache):
    """Apache httpd with `mod_cache` and its store on disk."""

    title = "Apache"
    remark = "`mod_cache_disk`, `CacheQuickHandler off`"

    def command(self, place: Place) -> list[str]:
        """Write `httpd.conf` and return the command."""
        (place.directory / "cache").mkdir()
        return self.in_foreground(
            place,
            """
Listen 127.0.0.1:@PORT@
ProxyPreserveHost On
ProxyPass "/" "http://127.0.0.1:@ORIGIN@/"
CacheRoot "@DIRECTORY@/cache"
CacheQuickHandler off
CacheEnable disk /
""",
            modules=("cache", "cache_disk"),
        )


class TrafficServer(Cache):
    """Apache Traffic Server."""

    name = "trafficserver"
    title = "Traffic Server"
    accounts = ("trafficserver",)

    def version(self) -> str:
        """Return what `traffic_server --version` says."""
        return first_match(r"Traffic Server (\d\S+)", "traffic_server", "--version")

    def command(self, place: Place) -> list[str]:
        """Write its configuration and return the command."""
        for name in ("run", "log", "cache"):
            (place.directory / name).mkdir()
        place.write("configuration/remap.config", "map / http://127.0.0.1:@ORIGIN@/\n")
        place.write(
            "configuration/ip_allow.yaml",
            "ip_allow: [{apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL}]\n",
        )
        place.write("configuration/storage.config", "@DIRECTORY@/cache 64M\n")
        account = self.account()
        place.write(
            "configuration/records.config",
            """
CONFIG proxy.config.http.server_ports STRING @PORT@:ip-in=127.0.0.1
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
CONFIG proxy.config.http.cache.required_headers INT 1
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.local_state_dir STRING @DIRECTORY@/run
CONFIG proxy.config.log.logfile_dir STRING @DIRECTORY@/log
@USER@
""",
            user=f"CONFIG proxy.config.admin.user_id STRING {account}" if account else "",
        )
        return ["traffic_server"]

    def environment(self, place: Place) -> Mapping[str, str]:
        """Return where its configuration is."""
        return {"PROXY_CONFIG_CONFIG_DIR": str(place.directory / "configuration")}


CACHES: tuple[Cache, ...] = (
    LiberalProxykit(),
    Proxykit(),
    Nginx(),
    Squid(),
    Varnish(),
    Apache(),
    TrafficServer(),
)
