"""The ``proxykit`` command: looks at configurations and plug-ins; ``twistd`` runs them.

Each family of its commands is a module of ``proxykit.commands``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from . import __version__
from .commands import caches, configurations, explaining, passwords, privoxy, running
from .observe.report import command as report_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    :param arguments: without the program's name; ``None`` for the process's.
    :returns: the exit status.
    """
    parser = argparse.ArgumentParser(
        prog="proxykit",
        description="Looks at configurations, and talks to what runs. "
        "A proxy is started with: twistd proxykit {forward|reverse|serve}",
    )
    parser.add_argument("--version", action="version", version=f"proxykit {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for family in (configurations, explaining, passwords, privoxy, running, caches):
        family.add_to(commands)
    report_command.add_arguments(commands.add_parser("report", help="sum up JSON access logs"))
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has had enough of it: | head. What is left is not written at the
        # interpreter's end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
