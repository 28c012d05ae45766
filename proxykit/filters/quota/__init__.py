"""The ``quota`` filter: how much each client or user may have a day and a month."""

from __future__ import annotations

from .filter import QuotaFactory

__all__ = ["QuotaFactory"]
