"""The ``access`` filter: who may ask for what, when. The first rule that matches decides."""

from __future__ import annotations

from .filter import Access, AccessFactory
from .options import AccessOptions, Rule

__all__ = ["Access", "AccessFactory", "AccessOptions", "Rule"]
