"""What every program under test has in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from benchmarks.cases import Service
from benchmarks.programs.base import Place, Program

IDLE_SECONDS = 600
"""How long every program is told to keep an idle connection, where it can be told."""


class Peer(Program):
    """A program under test, tuned for speed: what it can do, and how it is configured for that.

    Attributes:
        services: what it can be started as, each with a remark for the table, or an empty one.
        log: how its access log is written, for the reader of the table.
        tuning: what was set beside the log, for the same reader.
        speaks_connect: whether its tunnels begin with CONNECT.
    """

    services: ClassVar[Mapping[Service, str]]
    log: ClassVar[str]
    tuning: ClassVar[str] = ""
    speaks_connect: ClassVar[bool] = True

    @abstractmethod
    def command(self, service: Service, place: Place) -> list[str]:
        """Write its configuration into its place and return the command that starts it.

        Its access log must hold a line for every exchange.
        """
