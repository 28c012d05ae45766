"""The caches that the cache tests are run against: how each is configured and started.

Each may do what the tests have as optimal and its documentation offers as a setting; nothing is
written that would be for the tests alone.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from attrs import frozen

from benchmarks.peers.base import first_match, user_exists

REPOSITORY = Path(__file__).parents[1]


@frozen
class Place:
    """Where one cache works: a folder of its own, where it listens, and where its origin will."""

    directory: Path
    port: int
    origin: int

    def write(self, name: str, text: str) -> Path:
        """Write a configuration file, with the place put in, and return its path."""
        path = self.directory / name
        path.write_text(
            text.replace("@DIRECTORY@", str(self.directory))
            .replace("@PORT@", str(self.port))
            .replace("@ORIGIN@", str(self.origin))
        )
        return path

    def give_to(self, *accounts: str) -> str | None:
        """Give the folder to the first of these users that there is; when started by root."""
        account = next((each for each in accounts if user_exists(each)), None)
        if account is None or os.geteuid() != 0:
            return None
        shutil.chown(self.directory, account)
        return account


class Cache(ABC):
    """A cache: its name in the table, and how it is started."""

    name: ClassVar[str]
    remark: ClassVar[str] = ""

    @abstractmethod
    def version(self) -> str:
        """Return its version.

        Raises:
            OSError: it is not installed.
        """

    @abstractmethod
    def command(self, place: Place) -> list[str]:
        """Write its configuration and return the command that starts it."""

    def environment(self, place: Place) -> Mapping[str, str]:
        """Return environment variables that it needs beside the usual ones."""
        return {}

    def working_directory(self, place: Place) -> Path:
        """Return the folder in which it is started."""
        return place.directory


class Proxykit(Cache):
    """Proxykit, with its defaults."""

    name = "Proxykit"
    remark = "defaults"
    rules: ClassVar[str] = ""

    def version(self) -> str:
        """Return the version of this checkout."""
        from proxykit import __version__

        return __version__

    def working_directory(self, place: Place) -> Path:
        """Return the checkout, in which twistd finds the plug-in."""
        return REPOSITORY

    def command(self, place: Place) -> list[str]:
        """Return the command."""
        file = place.write(
            "proxykit.toml",
            f"""
[reverse.site]
listen = "127.0.0.1:@PORT@"
[[reverse.site.routes]]
pool = "app"
[reverse.site.routes.cache]
use = "main"
{self.rules}
[pool.app]
servers = ["http://127.0.0.1:@ORIGIN@"]
[cache.main]
size = "64MiB"
[log]
access = "@DIRECTORY@/access.log"
""",
        )
        twistd = shutil.which("twistd", path=str(Path(sys.executable).parent)) or "twistd"
        return [twistd, "--nodaemon", "--pidfile=", "proxykit", "serve", "--config", str(file)]


class LiberalProxykit(Proxykit):
    """Proxykit, allowed to store what it refuses by default."""

    remark = "`allow_errors`, `allow_set_cookie`, `stale_if_error`"
    rules = 'allow_errors = true\nallow_set_cookie = true\nstale_if_error = "1h"'


class Nginx(Cache):
    """nginx with `proxy_cache`."""

    name = "nginx"
    remark = "`proxy_cache_revalidate`, `_use_stale`, `_background_update`"

    def version(self) -> str:
        """Return what `nginx -v` says."""
        return first_match(r"nginx/(\S+)", "nginx", "-v")

    def command(self, place: Place) -> list[str]:
        """Write `nginx.conf` and return the command."""
        user = "user root;" if os.geteuid() == 0 else ""
        parts = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        folders = "".join(f"{each}_temp_path @DIRECTORY@/{each};" for each in parts)
        file = place.write(
            "nginx.conf",
            f"""
daemon off; {user} pid @DIRECTORY@/pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off; {folders}
    proxy_cache_path @DIRECTORY@/cache keys_zone=main:16m max_size=64m;
    server {{
        listen 127.0.0.1:@PORT@;
        location / {{
            proxy_pass http://127.0.0.1:@ORIGIN@;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache main;
            proxy_cache_revalidate on;
            proxy_cache_background_update on;
            proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;
        }}
    }}
}}
""",
        )
        return ["nginx", "-e", "stderr", "-p", f"{place.directory}/", "-c", str(file)]


class Squid(Cache):
    """Squid as an accelerator."""

    name = "Squid"

    def version(self) -> str:
        """Return what `squid -v` says."""
        return first_match(r"Version (\S+)", "squid", "-v")

    def command(self, place: Place) -> list[str]:
        """Write `squid.conf` and return the command."""
        account = place.give_to("proxy", "squid")
        file = place.write(
            "squid.conf",
            f"""
http_port 127.0.0.1:@PORT@ accel no-vhost defaultsite=127.0.0.1
cache_peer 127.0.0.1 parent @ORIGIN@ 0 no-query originserver login=PASSTHRU name=origin
acl all_ports port 1-65535
http_access allow all_ports
cache_mem 64 MB
access_log none
cache_log @DIRECTORY@/cache.log
cache_store_log none
pid_filename @DIRECTORY@/pid
coredump_dir @DIRECTORY@
netdb_filename none
pinger_enable off
icp_port 0
shutdown_lifetime 1 second
visible_hostname benchmark
{f"cache_effective_user {account}" if account else ""}
""",
        )
        return ["squid", "-N", "-f", str(file)]


class Varnish(Cache):
    """Varnish with its built-in VCL."""

    name = "Varnish"
    remark = "built-in VCL, `default_ttl=0`, `default_grace=0`, `default_keep=1h`"

    def version(self) -> str:
        """Return what `varnishd -V` says."""
        return first_match(r"varnish-(\S+)", "varnishd", "-V")

    def command(self, place: Place) -> list[str]:
        """Write the VCL and return the command."""
        file = place.write(
            "default.vcl",
            'vcl 4.1; backend default { .host = "127.0.0.1"; .port = "@ORIGIN@"; }',
        )
        # By itself it keeps what says nothing for two minutes, uses it stale, and never validates.
        storage = ["-s", "malloc,64m", "-n", str(place.directory / "work"), "-t", "0"]
        storage += ["-p", "default_grace=0", "-p", "default_keep=3600"]
        place.directory.chmod(0o755)
        address = f"127.0.0.1:{place.port}"
        return ["varnishd", "-F", "-a", address, "-f", str(file), *storage, "-T", "none"]


class Apache(Cache):
    """Apache httpd with `mod_cache` and its store on disk."""

    name = "Apache"
    remark = "`mod_cache_disk`, `CacheQuickHandler off`"

    def version(self) -> str:
        """Return what `apache2 -v` says."""
        return first_match(r"Apache/(\S+)", "apache2", "-v")

    def command(self, place: Place) -> list[str]:
        """Write `httpd.conf` and return the command."""
        account = place.give_to("www-data", "nobody")
        user = f"User {account}\nGroup #{pwd.getpwnam(account).pw_gid}" if account else ""
        names = ("mpm_event", "authz_core", "proxy", "proxy_http", "cache", "cache_disk")
        modules = "\n".join(
            f"<IfModule !{name}_module>\n"
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n</IfModule>"
            for name in names
        )
        store = place.directory / "cache"
        store.mkdir()
        if account:
            shutil.chown(store, account)
        file = place.write(
            "httpd.conf",
            f"""
ServerRoot "@DIRECTORY@"
DefaultRuntimeDir "@DIRECTORY@"
PidFile "@DIRECTORY@/pid"
ServerName 127.0.0.1
Listen 127.0.0.1:@PORT@
{modules}
{user}
ErrorLog "@DIRECTORY@/stderr"
LogLevel error
ProxyPreserveHost On
ProxyPass "/" "http://127.0.0.1:@ORIGIN@/"
CacheRoot "@DIRECTORY@/cache"
CacheQuickHandler off
CacheEnable disk /
<Location "/">
    Require all granted
</Location>
""",
        )
        return ["apache2", "-f", str(file), "-DFOREGROUND"]


class TrafficServer(Cache):
    """Apache Traffic Server."""

    name = "Traffic Server"

    def version(self) -> str:
        """Return what `traffic_server --version` says."""
        return first_match(r"Traffic Server (\d\S+)", "traffic_server", "--version")

    def command(self, place: Place) -> list[str]:
        """Write its configuration and return the command."""
        account = place.give_to("trafficserver")
        for name in ("configuration", "run", "log", "cache"):
            (place.directory / name).mkdir()
            if account:
                shutil.chown(place.directory / name, account)
        place.write("configuration/remap.config", "map / http://127.0.0.1:@ORIGIN@/\n")
        place.write(
            "configuration/ip_allow.yaml",
            "ip_allow: [{apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL}]\n",
        )
        place.write("configuration/storage.config", "@DIRECTORY@/cache 64M\n")
        user = f"CONFIG proxy.config.admin.user_id STRING {account}" if account else ""
        place.write(
            "configuration/records.config",
            f"""
CONFIG proxy.config.http.server_ports STRING @PORT@:ip-in=127.0.0.1
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
CONFIG proxy.config.http.cache.required_headers INT 1
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.local_state_dir STRING @DIRECTORY@/run
CONFIG proxy.config.log.logfile_dir STRING @DIRECTORY@/log
{user}
""",
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
