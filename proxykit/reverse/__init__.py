"""What only a reverse proxy has: routes, pools, and a pool as a resource of twisted.web."""

from .resource import ReverseProxyResource

__all__ = ["ReverseProxyResource"]
