"""Proxykit, in the foreground and in its place."""

from __future__ import annotations

from pathlib import Path

from benchmarks.machine import REPOSITORY
from benchmarks.programs.base import Place, Program
from demo.proxies import twistd_command
from proxykit import __version__


class Proxykit(Program):
    """Proxykit, started as its users start it."""

    name = "proxykit"

    def version(self) -> str:
        """Return the version of this checkout."""
        return __version__

    def working_directory(self, place: Place) -> Path:
        """Return the checkout, in which twistd finds the plug-in."""
        return REPOSITORY

    def in_foreground(self, mode: str, *options: str) -> list[str]:
        """Return the command, of `reverse`, `forward` or `serve`."""
        return [*twistd_command(), "proxykit", mode, *options]
