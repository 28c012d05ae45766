"""What every program that is configured and started here has in common."""

from __future__ import annotations

import os
import pwd
import re
import resource
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import ClassVar

from attrs import frozen

from benchmarks.processes import DidNotStart, Process, start
from demo.certificates import CertificatePair, make_certificate
from demo.proxies import free_port

START_ATTEMPTS = 2
"""A free port may be taken by another program before ours listens; then one more try helps."""

MARK = re.compile("@([A-Z_]+)@")
OF_PLACE = {
    "DIRECTORY": attrgetter("directory"),
    "PORT": attrgetter("port"),
    "ORIGIN": attrgetter("origin"),
    "ACCESS_LOG": attrgetter("access_log"),
    "FILES_LIMIT": attrgetter("files_limit"),
    "CERTIFICATE": attrgetter("certificate.certificate"),
    "KEY": attrgetter("certificate.key"),
    "CERTIFICATE_WITH_KEY": attrgetter("certificate_with_key"),
}
"""The marks that stand for what a place has."""


@frozen
class Place:
    """Where one started program works.

    Attributes:
        directory: a folder of its own for configuration, logs and what it writes beside.
        port: where it shall listen on 127.0.0.1.
        origin: the port of the origin on 127.0.0.1.
    """

    directory: Path
    port: int
    origin: int

    @property
    def access_log(self) -> Path:
        """The file for a line for every exchange."""
        return self.directory / "access.log"

    @property
    def files_limit(self) -> int:
        """How many descriptors it may have open: as many as this process."""
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    @cached_property
    def certificate(self) -> CertificatePair:
        """What it shows to TLS clients, made when it is first asked for."""
        return make_certificate(self.directory, "127.0.0.1")

    @cached_property
    def certificate_with_key(self) -> Path:
        """The certificate and its key in one PEM file, as some want them."""
        pair = self.certificate
        path = self.directory / "certificate-with-key.pem"
        path.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
        return path

    def write(self, name: str, text: str, **values: object) -> Path:
        """Write a configuration file and return its path.

        Args:
            name: of the file, in this place.
            text: its content. Names between `@` stand in it for what `OF_PLACE` has under them, or
                for one of the values.
            values: by their names in small letters; names stand in them likewise.

        Raises:
            KeyError: the text has a mark that stands for nothing.
        """

        def fill(text: str) -> str:
            return MARK.sub(value_of, text)

        def value_of(mark: re.Match[str]) -> str:
            of_place = OF_PLACE.get(mark[1])
            return str(of_place(self)) if of_place else fill(str(values[mark[1].lower()]))

        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(fill(text))
        return path

    def give_to(self, account: str) -> None:
        """Give the folder to a user, with all that is in it."""
        for path in (self.directory, *self.directory.rglob("*")):
            shutil.chown(path, account)


class Program(ABC):
    """A program: where its version is told, and how it is to be started.

    Attributes:
        name: as the command lines select it.
        accounts: users, of whom it becomes the first that there is when it is started by root.
    """

    name: ClassVar[str]
    accounts: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def version(self) -> str:
        """Return its version in a few words.

        Raises:
            OSError: it is not installed.
        """

    def account(self) -> str | None:
        """Return the user that it is told to become, `None` when it stays who starts it."""
        if os.geteuid() != 0:
            return None
        there = {entry.pw_name for entry in pwd.getpwall()}
        return next((each for each in self.accounts if each in there), None)

    def environment(self, place: Place) -> Mapping[str, str]:
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


@contextmanager
def running(
    program: Program,
    configure: Callable[[Place], Sequence[str]],
    *,
    directory: Path,
    core: int,
    origin: int = 0,
) -> Iterator[tuple[Place, Process]]:
    """Run a program in a place of its own for as long as the block lasts.

    Args:
        program: what to run.
        configure: writes its configuration into the place and returns the command.
        directory: where the place is made.
        core: the only core that it may use.
        origin: the port of the origin on 127.0.0.1; 0 for what has none behind it.

    Raises:
        DidNotStart: it is not installed, ended at once, or does not listen.
    """
    try:
        program.version()
    except OSError:
        raise DidNotStart("not installed") from None
    directory.chmod(0o755)  # some programs leave root behind and must still get in
    for attempt in range(1, START_ATTEMPTS + 1):
        folder = Path(tempfile.mkdtemp(prefix=f"{program.name}-", dir=directory))
        place = Place(folder, free_port(), origin)
        command = configure(place)
        account = program.account()
        if account is not None:
            place.give_to(account)
        process = start(
            command,
            core=core,
            directory=folder,
            output=program.output(place),
            errors=program.error_output(place),
            environment=program.environment(place),
            working_directory=program.working_directory(place),
        )
        try:
            process.wait_until_listening(place.port)
        except DidNotStart as error:
            process.stop()
            if attempt == START_ATTEMPTS:
                # Results are published: what a program says of its files goes in without the path.
                raise DidNotStart(str(error).replace(f"{folder}/", "")) from None
            continue
        try:
            yield place, process
        finally:
            process.stop()
        return


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
