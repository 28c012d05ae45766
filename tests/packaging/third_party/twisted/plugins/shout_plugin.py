"""What Twisted finds of this package."""

from __future__ import annotations

from shout_filter import ShoutFactory

shout = ShoutFactory()
