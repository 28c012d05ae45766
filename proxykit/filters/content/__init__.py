"""The ``content`` filter: rules on pages and fields, and a reader for Privoxy's files."""

from __future__ import annotations

from .filter import ContentFactory

__all__ = ["ContentFactory"]
