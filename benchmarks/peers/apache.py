"""Apache httpd with mod_proxy, in both directions."""

from __future__ import annotations

import os
import pwd

from benchmarks.cases import Service
from benchmarks.peers.base import IDLE_SECONDS, Peer, Place, first_match, user_exists

CONFIGURATION = """
ServerRoot "{directory}"
DefaultRuntimeDir "{directory}"
PidFile "{directory}/pid"
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
ListenBacklog 4096
{modules}
{user}
ErrorLog "{directory}/stderr"
LogLevel error
ServerLimit 1
StartServers 1
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
MaxConnectionsPerChild 0
AsyncRequestWorkerFactor 1000
KeepAlive On
KeepAliveTimeout {idle}
MaxKeepAliveRequests 0
ProxyIOBufferSize 262144
BufferedLogs On
LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
CustomLog "{access_log}" combined
<Location "/">
    Require all granted
</Location>
{service}
"""

MODULES = (
    "mpm_event",
    "authz_core",
    "log_config",
    "proxy",
    "proxy_http",
    "proxy_connect",
    "socache_shmcb",
    "ssl",
)

REVERSE = """
ProxyPreserveHost On
ProxyPass "/" "http://127.0.0.1:{origin}/" enablereuse=On keepalive=On
"""

TLS = """
SSLEngine On
SSLCertificateFile "{certificate}"
SSLCertificateKeyFile "{key}"
SSLProtocol -all +TLSv1.2 +TLSv1.3
SSLSessionCache "shmcb:{directory}/tls(512000)"
"""

FORWARD = """
ProxyRequests On
ProxyVia On
AllowCONNECT 443 {origin}
<Proxy "*">
    Require all granted
</Proxy>
# Without this Apache opens a connection to the origin for every request.
<Proxy "http://127.0.0.1:{origin}">
    ProxySet enablereuse=On keepalive=On
</Proxy>
"""


class Apache(Peer):
    """Apache with the event MPM: one process, 64 threads."""

    name = "apache"
    services = {Service.REVERSE: "", Service.TLS: "", Service.FORWARD: "", Service.TUNNEL: ""}
    log = "combined, BufferedLogs On"
    tuning = (
        "event MPM, one process of 64 threads; ProxyIOBufferSize 262144; enablereuse=On, also "
        "for the origin of the forward cases"
    )

    def version(self) -> str:
        """Return what `apache2 -v` says."""
        return first_match(r"Apache/(\S+)", "apache2", "-v")

    def command(self, service: Service, place: Place) -> list[str]:
        """Write `httpd.conf` and return the command."""
        forward = service in {Service.FORWARD, Service.TUNNEL}
        template = FORWARD if forward else REVERSE
        if service is Service.TLS:
            template += TLS
        user = ""
        if os.geteuid() == 0:
            account = "www-data" if user_exists("www-data") else "nobody"
            user = f"User {account}\nGroup #{pwd.getpwnam(account).pw_gid}"
        configuration = place.write(
            "httpd.conf",
            CONFIGURATION.format(
                directory=place.directory,
                port=place.port,
                modules="\n".join(
                    f"<IfModule !{name}_module>\n"
                    f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
                    "</IfModule>"
                    for name in MODULES
                ),
                user=user,
                idle=IDLE_SECONDS,
                access_log=place.access_log,
                service=template.format(
                    origin=place.origin,
                    certificate=place.certificate.certificate,
                    key=place.certificate.key,
                    directory=place.directory,
                ),
            ),
        )
        return ["apache2", "-f", str(configuration), "-DFOREGROUND"]
