"""What Twisted finds of Proxykit: the twistd plug-in, the reactor, the built-in plug-ins."""

from __future__ import annotations

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

from proxykit.balancing.round_robin import RoundRobinFactory
from proxykit.caching.disk.factory import DiskStoreFactory
from proxykit.caching.memory import MemoryStoreFactory
from proxykit.caching.redis.factory import RedisStoreFactory
from proxykit.filters.access import AccessFactory
from proxykit.filters.headers import HeadersFactory

proxykit = ServiceMaker(
    "Proxykit", "proxykit.service.tap", "An HTTP proxy, forward and reverse.", "proxykit"
)

reactor = Reactor("proxykit", "proxykit.net.reactor", "The fast epoll reactor of Proxykit.")

access = AccessFactory()
headers = HeadersFactory()
disk_store = DiskStoreFactory()
memory_store = MemoryStoreFactory()
redis_store = RedisStoreFactory()
round_robin = RoundRobinFactory()
