"""Proxykit: one HTTP proxy engine on Twisted, for clients and for servers."""

__version__ = "0.1.0"
