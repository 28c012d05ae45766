"""Starts the process that makes a table out of a list, and takes what it made."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from .table import Table, TableError

_SECONDS = 300.0
_MOST_OUTPUT = 4096


def compile_list(reactor: Any, kind: str, path: Path) -> Deferred[Table]:
    """Make a table in another process.

    The table comes back as a file without a name, which is mapped: nothing is copied, nothing is
    left behind, and the reactor goes on turning.

    :param kind: one of ``compiling.KINDS``.
    :returns: the table, or fails with ``TableError``; cancelling it ends the process.
    """
    # The file must stay open until the process has ended; the protocol keeps it.
    file = tempfile.TemporaryFile()  # noqa: SIM115
    compiler = _Compiler(file)
    reactor.spawnProcess(
        compiler,
        sys.executable,
        _command(kind, path),
        env=_environment(),
        childFDs={1: file.fileno(), 2: "r"},
    )
    compiler.timer = reactor.callLater(_SECONDS, compiler.kill)
    return compiler.done


def compile_list_now(kind: str, path: Path) -> Table:
    """Make a table in another process and wait for it: only where no reactor turns.

    :raises TableError: when it cannot be made.
    """
    with tempfile.TemporaryFile() as file:
        finished = subprocess.run(
            _command(kind, path), env=_environment(), stdout=file, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, timeout=_SECONDS, check=False,
        )  # fmt: skip
        if finished.returncode:
            raise TableError(_reason(finished.stderr))
        return Table.mapped(file)


def _command(kind: str, path: Path) -> list[str]:
    # -P: what happens to lie in the working directory is not what is imported.
    return [sys.executable, "-P", "-m", "proxykit.lists.compiling", kind, str(path)]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _reason(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "the process that reads it ended without a word"


class _Compiler(ProcessProtocol):
    """The process, as long as it runs."""

    timer: Any = None

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._output = b""
        self.done: Deferred[Table] = Deferred(lambda _: self.kill())

    def kill(self) -> None:
        """End the process at once."""
        try:
            assert self.transport is not None
            self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            pass

    def errReceived(self, data: bytes) -> None:
        self._output = (self._output + data)[-_MOST_OUTPUT:]

    def processEnded(self, reason: Failure) -> None:
        if self.timer.active():
            self.timer.cancel()
        with self._file:
            if self.done.called:
                return  # cancelled
            try:
                if getattr(reason.value, "exitCode", None) != 0:
                    raise TableError(_reason(self._output))
                table = Table.mapped(self._file)
            except TableError as error:
                self.done.errback(Failure(error))
            else:
                self.done.callback(table)
