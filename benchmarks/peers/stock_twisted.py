"""`twisted.web.proxy` as it comes, as a program: the proxy that Twisted's users write first."""

from __future__ import annotations

import sys

from twisted.internet import endpoints, reactor
from twisted.web import http, proxy, server


class ForwardFactory(http.HTTPFactory):
    """Makes the forward proxy's protocol, which is all that Twisted's documentation asks for."""

    protocol = proxy.Proxy  # type: ignore[assignment]


def main(service: str, port: str, origin: str, access_log: str, pem: str = "") -> None:
    """Serve until a signal comes.

    Args:
        service: `reverse`, `tls` or `forward`.
        port: where to listen on 127.0.0.1.
        origin: the origin's port.
        access_log: the file for the log.
        pem: certificate and key in one file, for `tls`.
    """
    factory: http.HTTPFactory
    if service == "forward":
        factory = ForwardFactory(logPath=access_log)
    else:
        root = proxy.ReverseProxyResource("127.0.0.1", int(origin), b"")
        factory = server.Site(root, logPath=access_log)
    description = f"tcp:{port}:interface=127.0.0.1:backlog=4096"
    if service == "tls":
        description = f"ssl:{port}:interface=127.0.0.1:backlog=4096:privateKey={pem}"
    endpoint = endpoints.serverFromString(reactor, description)
    endpoint.listen(factory)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
