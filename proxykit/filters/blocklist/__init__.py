"""The ``blocklist`` filter: hosts files, domain lists and Adblock filter lists."""

from __future__ import annotations

from .filter import Blocklist, BlocklistFactory
from .options import BlocklistOptions

__all__ = ["Blocklist", "BlocklistFactory", "BlocklistOptions"]
