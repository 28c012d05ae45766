"""What Twisted finds of Proxykit: the twistd plug-in, the reactor, the built-in plug-ins."""

from __future__ import annotations

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

from proxykit.balancing.round_robin import RoundRobinFactory
from proxykit.filters.access import AccessFactory
from proxykit.filters.compress import CompressFactory
from proxykit.filters.cors import CorsFactory
from proxykit.filters.headers import HeadersFactory
from proxykit.filters.maintenance import MaintenanceFactory
from proxykit.filters.rate_limit import RateLimitFactory
from proxykit.filters.rewrite import RewriteFactory

proxykit = ServiceMaker(
    "Proxykit", "proxykit.service.tap", "An HTTP proxy, forward and reverse.", "proxykit"
)

reactor = Reactor("proxykit", "proxykit.net.reactor", "The fast epoll reactor of Proxykit.")

access = AccessFactory()
compress = CompressFactory()
cors = CorsFactory()
headers = HeadersFactory()
maintenance = MaintenanceFactory()
rate_limit = RateLimitFactory()
rewrite = RewriteFactory()
round_robin = RoundRobinFactory()
