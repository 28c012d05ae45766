"""What every program under test has in common."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from attrs import frozen

from benchmarks.cases import Service
from benchmarks.certificate import Certificate

IDLE_SECONDS = 600
"""How long every program is told to keep an idle connection, where it can be told."""


@frozen
class Place:
    """Where one started program works.

    Attributes:
        directory: a folder of its own for configuration, logs and what it writes beside.
        port: where it shall listen on 127.0.0.1.
        origin: the port of the origin on 127.0.0.1.
        certificate: what it shows to TLS clients.
        access_log: the file that must hold a line for every exchange.
        files_limit: how many descriptors it may have open.
    """

    directory: Path
    port: int
    origin: int
    certificate: Certificate
    access_log: Path
    files_limit: int

    def write(self, name: str, text: str) -> Path:
        """Write a configuration file and return its path."""
        path = self.directory / name
        path.write_text(text)
        return path


class Peer(ABC):
    """A program under test: what it can do, and how it is configured and started.

    Attributes:
        name: as `--only` selects it and the tables show it.
        services: what it can be started as, each with a remark for the table, or an empty one.
        log: how its access log is written, for the reader of the table.
        tuning: what was set beside the log, for the same reader.
        speaks_connect: whether its tunnels begin with CONNECT.
    """

    name: ClassVar[str]
    services: ClassVar[Mapping[Service, str]]
    log: ClassVar[str]
    tuning: ClassVar[str] = ""
    speaks_connect: ClassVar[bool] = True
    account: ClassVar[str | None] = None
    """The user that it becomes when it is started by root and refuses to stay root."""

    @abstractmethod
    def version(self) -> str:
        """Return its version in a few words.

        Raises:
            OSError: it is not installed.
        """

    @abstractmethod
    def command(self, service: Service, place: Place) -> list[str]:
        """Write its configuration into its place and return the command that starts it."""

    def environment(self, place: Place) -> dict[str, str]:
        """Return environment variables that it needs beside the usual ones."""
        return {}

    def working_directory(self, place: Place) -> Path:
        """Return the folder in which it is started."""
        return place.directory

    def output(self, place: Place) -> Path | None:
        """Return the file for its standard output, if that is not just chatter."""
        return None

    def error_output(self, place: Place) -> Path:
        """Return the file for its standard error, which is where it says why it fails."""
        return place.directory / "stderr"

    def prepare(self, place: Place) -> None:
        """Make its place usable for the user that it runs as."""
        if self.account is not None and os.geteuid() == 0:
            shutil.chown(place.directory, self.account)


def user_exists(name: str) -> bool:
    """Say whether this machine has a user of that name."""
    return any(entry.pw_name == name for entry in pwd.getpwall())


def first_match(pattern: str, *command: str) -> str:
    """Return group 1 of the first match of `pattern` in what a command prints.

    Raises:
        OSError: the command cannot be run, or says nothing of the kind.
    """
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = re.search(pattern, ran.stdout + ran.stderr)
    if found is None:
        raise OSError(f"{command[0]} does not tell its version")
    return found[1]
