"""What Twisted finds of Proxykit: the twistd plug-in and the reactor."""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

proxykit = ServiceMaker(
    "Proxykit", "proxykit.service.tap", "an HTTP proxy, forward and reverse", "proxykit"
)

reactor = Reactor("proxykit", "proxykit.net.reactor", "Proxykit's epoll reactor")
