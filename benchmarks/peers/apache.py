"""Apache httpd with mod_proxy, in both directions."""

from __future__ import annotations

from benchmarks.cases import Service
from benchmarks.peers.base import IDLE_SECONDS, Peer
from benchmarks.programs import apache
from benchmarks.programs.base import Place

CONFIGURATION = """
Listen 127.0.0.1:@PORT@
ListenBacklog 4096
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
KeepAliveTimeout @IDLE@
MaxKeepAliveRequests 0
ProxyIOBufferSize 262144
BufferedLogs On
LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined
CustomLog "@ACCESS_LOG@" combined
"""

MODULES = ("log_config", "proxy_connect", "socache_shmcb", "ssl")

REVERSE = """
ProxyPreserveHost On
ProxyPass "/" "http://127.0.0.1:@ORIGIN@/" enablereuse=On keepalive=On
"""

TLS = """
SSLEngine On
SSLCertificateFile "@CERTIFICATE@"
SSLCertificateKeyFile "@KEY@"
SSLProtocol -all +TLSv1.2 +TLSv1.3
SSLSessionCache "shmcb:@DIRECTORY@/tls(512000)"
"""

FORWARD = """
ProxyRequests On
ProxyVia On
AllowCONNECT 443 @ORIGIN@
<Proxy "*">
    Require all granted
</Proxy>
# Without this Apache opens a connection to the origin for every request.
<Proxy "http://127.0.0.1:@ORIGIN@">
    ProxySet enablereuse=On keepalive=On
</Proxy>
"""


class Apache(apache.Apache, Peer):
    """Apache with the event MPM: one process, 64 threads."""

    services = {Service.REVERSE: "", Service.TLS: "", Service.FORWARD: "", Service.TUNNEL: ""}
    log = "combined, BufferedLogs On"
    tuning = (
        "event MPM, one process of 64 threads; ProxyIOBufferSize 262144; enablereuse=On, also "
        "for the origin of the forward cases"
    )

    def command(self, service: Service, place: Place) -> list[str]:
        """Write `httpd.conf` and return the command."""
        forward = service in {Service.FORWARD, Service.TUNNEL}
        template = FORWARD if forward else REVERSE
        if service is Service.TLS:
            template += TLS
        return self.in_foreground(
            place, CONFIGURATION + template, modules=MODULES, idle=IDLE_SECONDS
        )
