"""nginx: the yardstick of every table."""

from __future__ import annotations

import os

from benchmarks.cases import Service
from benchmarks.peers.base import IDLE_SECONDS, Peer, Place, first_match

MAIN = """
daemon off;
{user}
{modules}
worker_processes 1;
worker_rlimit_nofile {files_limit};
pid {directory}/pid;
error_log stderr error;
events {{ worker_connections {connections}; }}
"""

HTTP = """
http {{
    access_log {access_log} combined buffer=64k flush=1s;
    keepalive_timeout {idle}s;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_buffer_size 16k;
    proxy_buffers 16 32k;
    proxy_busy_buffers_size 128k;
    proxy_max_temp_file_size 0;
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout {idle}s;
    }}
    {cache}
    server {{
        listen 127.0.0.1:{port}{tls} backlog=4096;
        {certificates}
        location / {{ proxy_pass http://origin; {use_cache} }}
    }}
}}
"""

STREAM = """
stream {{
    log_format basic '$remote_addr [$time_local] $status $bytes_sent $session_time';
    access_log {access_log} basic buffer=64k flush=1s;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_pass 127.0.0.1:{origin};
        proxy_buffer_size 256k;
    }}
}}
"""

STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


class Nginx(Peer):
    """nginx serves servers only: in the forward cases its reverse proxy is there as the scale."""

    name = "nginx"
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

    def version(self) -> str:
        """Return what `nginx -v` says."""
        return first_match(r"nginx/(\S+)", "nginx", "-v")

    def command(self, service: Service, place: Place) -> list[str]:
        """Write `nginx.conf` and return the command."""
        tls = service is Service.TLS
        cached = service in {Service.CACHE, Service.DISK}
        cache = f"proxy_cache_path {place.directory}/cache keys_zone=main:16m max_size=256m;"
        template = MAIN + (STREAM if service is Service.TUNNEL else HTTP)
        certificates = (
            f"ssl_certificate {place.certificate.certificate};"
            f"ssl_certificate_key {place.certificate.key};"
            "ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:10m;"
        )
        # Debian builds stream as a module; a build that has it inside has no such file.
        load = os.path.exists(STREAM_MODULE) and service is Service.TUNNEL
        configuration = place.write(
            "nginx.conf",
            template.format(
                user="user root;" if os.geteuid() == 0 else "",
                modules=f"load_module {STREAM_MODULE};" if load else "",
                files_limit=place.files_limit,
                connections=place.files_limit - 100,
                directory=place.directory,
                access_log=place.access_log,
                idle=IDLE_SECONDS,
                origin=place.origin,
                port=place.port,
                cache=f"{cache} open_file_cache max=64 inactive=1h;" if cached else "",
                use_cache="proxy_cache main; add_header X-Cache $upstream_cache_status;"
                if cached
                else "",
                tls=" ssl" if tls else "",
                certificates=certificates if tls else "",
            ),
        )
        return ["nginx", "-e", "stderr", "-p", f"{place.directory}/", "-c", str(configuration)]
