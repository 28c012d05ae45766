"""The ``proxykit`` command: looks at configurations and plug-ins; ``twistd`` runs them.

Each family of its commands is a module of ``proxykit.commands``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__
from .commands import caches, configurations, explaining, passwords, running


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    :param arguments: without the program's name; ``None`` for the process's.
    :returns: the exit status.
    """
    parser = argparse.ArgumentParser(prog="proxykit", description=__doc__)
    parser.add_argument("--version", action="version", version=f"proxykit {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for family in (configurations, explaining, passwords, running, caches):
        family.add_to(commands)
    chosen = parser.parse_args(arguments)
    status: int = chosen.run(chosen)
    return status


if __name__ == "__main__":
    sys.exit(main())
