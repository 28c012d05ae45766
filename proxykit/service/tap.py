"""What twistd calls: options in, a service out."""

from __future__ import annotations

import select
import sys
from typing import Any

from twisted.application.service import IService

from ..config.load import ConfigurationErrors
from ..errors import ConfigurationError
from .options import Options
from .proxy import ProxyService

__all__ = ["Options", "makeService"]


def _install_fast_reactor() -> None:
    """Install our reactor, unless the user named one or this system has no epoll."""
    if "twisted.internet.reactor" not in sys.modules and hasattr(select, "epoll"):
        from ..net.reactor import install

        install()


# twistd imports this module when it has read its own options, --reactor among them, and before
# it asks for the reactor: the one moment at which a plug-in can choose one.
_install_fast_reactor()


def makeService(options: Any) -> IService:
    """Make the service that the options ask for.

    :raises SystemExit: when it cannot be made, with the reasons. (twistd shows a ``UsageError``
        as what it is only while it reads options; here it would be a traceback.)
    """
    from twisted.internet import reactor  # noqa: TID251 - here it is chosen

    chosen = options.subOptions
    try:
        configuration = chosen.configuration()
        reread = chosen.configuration if options.subCommand == "serve" else None
        return ProxyService(configuration, reactor, reread)
    except (ConfigurationErrors, ConfigurationError) as error:
        raise SystemExit(f"proxykit: {error}") from error
