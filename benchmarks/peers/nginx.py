"""nginx: the yardstick of every table."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cases import Service
from benchmarks.peers.base import IDLE_SECONDS, Peer
from benchmarks.programs import nginx
from benchmarks.programs.base import Place

MAIN = """
@MODULES@
worker_processes 1;
worker_rlimit_nofile @FILES_LIMIT@;
events { worker_connections @CONNECTIONS@; }
"""

HTTP = """
http {
    access_log @ACCESS_LOG@ combined buffer=64k flush=1s;
    keepalive_timeout @IDLE@s;
    keepalive_requests 1000000000;
    @FOLDERS@
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_buffer_size 16k;
    proxy_buffers 16 32k;
    proxy_busy_buffers_size 128k;
    proxy_max_temp_file_size 0;
    upstream origin {
        server 127.0.0.1:@ORIGIN@;
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout @IDLE@s;
    }
    @CACHE@
    server {
        listen 127.0.0.1:@PORT@@TLS@ backlog=4096;
        @CERTIFICATES@
        location / { proxy_pass http://origin; @USE_CACHE@ }
    }
}
"""

STREAM = """
stream {
    log_format basic '$remote_addr [$time_local] $status $bytes_sent $session_time';
    access_log @ACCESS_LOG@ basic buffer=64k flush=1s;
    server {
        listen 127.0.0.1:@PORT@ backlog=4096;
        proxy_pass 127.0.0.1:@ORIGIN@;
        proxy_buffer_size 256k;
    }
}
"""

CACHE = """
    proxy_cache_path @DIRECTORY@/cache keys_zone=main:16m max_size=256m;
    open_file_cache max=64 inactive=1h;
"""
USE_CACHE = "proxy_cache main; add_header X-Cache $upstream_cache_status;"

CERTIFICATES = """
        ssl_certificate @CERTIFICATE@;
        ssl_certificate_key @KEY@;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:10m;
"""

STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


class Nginx(nginx.Nginx, Peer):
    """nginx serves servers only: in the forward cases its reverse proxy is there as the scale."""

    services = {
        Service.REVERSE: "",
        Service.TLS: "",
        Service.FORWARD: "no forward proxy: a reverse one as the scale",
        Service.CACHE: "its files are in the page cache",
        Service.DISK: "",
        Service.TUNNEL: "no CONNECT: its TCP pass-through as the scale",
    }
    log = "combined, buffer=64k flush=1s"
    tuning = (
        "one worker; upstream keepalive 64; proxy_buffers 16 32k, no temporary files; "
        "TCP pass-through with 256k buffers"
    )
    speaks_connect = False

    def command(self, service: Service, place: Place) -> list[str]:
        """Write `nginx.conf` and return the command."""
        # Debian builds stream as a module; a build that has it inside has no such file.
        load = service is Service.TUNNEL and STREAM_MODULE.exists()
        tls = service is Service.TLS
        cached = service in {Service.CACHE, Service.DISK}
        return self.in_foreground(
            place,
            MAIN + (STREAM if service is Service.TUNNEL else HTTP),
            modules=f"load_module {STREAM_MODULE};" if load else "",
            connections=place.files_limit - 100,
            idle=IDLE_SECONDS,
            cache=CACHE if cached else "",
            use_cache=USE_CACHE if cached else "",
            tls=" ssl" if tls else "",
            certificates=CERTIFICATES if tls else "",
        )
