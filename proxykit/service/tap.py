"""What twistd calls: options in, a service out."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService
from twisted.python.usage import UsageError

from ..config.load import ConfigurationErrors
from ..errors import ConfigurationError
from .options import Options
from .proxy import ProxyService

__all__ = ["Options", "makeService"]


def makeService(options: Any) -> IService:
    """Make the service that the options ask for.

    :raises UsageError: when it cannot be made.
    """
    from twisted.internet import reactor

    chosen = options.subOptions
    try:
        configuration = chosen.configuration()
        reread = chosen.configuration if options.subCommand == "serve" else None
        return ProxyService(configuration, reactor, reread)  # type: ignore[return-value]
    except (ConfigurationErrors, ConfigurationError) as error:
        raise UsageError(str(error)) from error
