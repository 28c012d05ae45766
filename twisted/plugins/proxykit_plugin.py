"""What Twisted finds of Proxykit: the twistd plug-in, the reactor, the built-in plug-ins."""

from __future__ import annotations

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

from proxykit.balancing.consistent_hash import HashClientFactory, HashFactory, HashUriFactory
from proxykit.balancing.ewma import PeakEwmaFactory
from proxykit.balancing.first import FirstFactory
from proxykit.balancing.least_connections import LeastConnectionsFactory
from proxykit.balancing.random_two import RandomTwoFactory
from proxykit.balancing.round_robin import RoundRobinFactory
from proxykit.caching.disk.factory import DiskStoreFactory
from proxykit.caching.memory import MemoryStoreFactory
from proxykit.caching.redis.factory import RedisStoreFactory
from proxykit.filters.access import AccessFactory
from proxykit.filters.anonymity import AnonymityFactory
from proxykit.filters.auth import AuthFactory
from proxykit.filters.bandwidth import BandwidthFactory
from proxykit.filters.blocklist import BlocklistFactory
from proxykit.filters.compress import CompressFactory
from proxykit.filters.content import ContentFactory
from proxykit.filters.cors import CorsFactory
from proxykit.filters.forward_auth import ForwardAuthFactory
from proxykit.filters.headers import HeadersFactory
from proxykit.filters.jwt import JwtFactory
from proxykit.filters.maintenance import MaintenanceFactory
from proxykit.filters.mirror import MirrorFactory
from proxykit.filters.quota import QuotaFactory
from proxykit.filters.rate_limit import RateLimitFactory
from proxykit.filters.rewrite import RewriteFactory

proxykit = ServiceMaker(
    "Proxykit", "proxykit.service.tap", "An HTTP proxy, forward and reverse.", "proxykit"
)

reactor = Reactor("proxykit", "proxykit.net.reactor", "The fast epoll reactor of Proxykit.")

access = AccessFactory()
anonymity = AnonymityFactory()
auth = AuthFactory()
bandwidth = BandwidthFactory()
blocklist = BlocklistFactory()
compress = CompressFactory()
content = ContentFactory()
cors = CorsFactory()
forward_auth = ForwardAuthFactory()
headers = HeadersFactory()
jwt = JwtFactory()
maintenance = MaintenanceFactory()
mirror = MirrorFactory()
quota = QuotaFactory()
rate_limit = RateLimitFactory()
rewrite = RewriteFactory()

ewma = PeakEwmaFactory()
first = FirstFactory()
hash_by = HashFactory()
hash_client = HashClientFactory()
hash_uri = HashUriFactory()
least_connections = LeastConnectionsFactory()
random_two = RandomTwoFactory()
round_robin = RoundRobinFactory()

disk_store = DiskStoreFactory()
memory_store = MemoryStoreFactory()
redis_store = RedisStoreFactory()
