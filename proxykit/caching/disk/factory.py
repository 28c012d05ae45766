"""The plug-in of the store on disk: its options, and what makes one of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from ...errors import ConfigurationError
from ...interfaces import ICacheStoreFactory
from ...options import BuildContext, Options, Size
from .store import DiskStore


class DiskOptions(Options):
    """The store on disk."""

    directory: str = Field(min_length=1, description="Where it lies; made if it is missing.")
    size: Size = Field(
        default=1024 * 1024 * 1024,
        ge=16 * 1024 * 1024,
        description="All that lies there, the index among it.",
    )
    memory: Size = Field(
        default=64 * 1024 * 1024,
        description="Of each worker, for what is asked for often.",
    )
    min_free: Size = Field(
        default=128 * 1024 * 1024,
        description="What is left free of the file system; for that the store shrinks.",
    )


@implementer(IPlugin, ICacheStoreFactory)
class DiskStoreFactory:
    """See ``ICacheStoreFactory``."""

    name = "disk"
    description = "keeps responses on disk, shared by the workers, with memory in front"
    options = DiskOptions

    def build(self, options: DiskOptions, context: BuildContext) -> Any:
        """See ``ICacheStoreFactory``."""
        path = (context.directory / Path(options.directory).expanduser()).resolve()
        existing = path
        while not existing.exists():
            existing = existing.parent
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            raise ConfigurationError(f"the cache's directory {path} cannot be written")
        return DiskStore(context.reactor, path, options.size, options.memory, options.min_free)
