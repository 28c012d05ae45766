"""The ``proxykit`` command: looks at configurations and plug-ins; ``twistd`` runs them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .config.load import ConfigurationErrors, load
from .config.registry import balancer_factories, filter_factories
from .config.schema import configuration_schema
from .errors import ConfigurationError
from .observe.report import command as report_command
from .service.build import compile_plan
from .service.compilation import Environment
from .service.log import make_access_log


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    :param arguments: without the program's name; ``None`` for the process's.
    :returns: the exit status.
    """
    parser = argparse.ArgumentParser(prog="proxykit", description=__doc__)
    parser.add_argument("--version", action="version", version=f"proxykit {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="print every error of a configuration")
    check.add_argument("file", type=Path)
    check.set_defaults(run=lambda chosen: _check(chosen.file))
    schema = commands.add_parser("schema", help="print the configuration's JSON schema")
    schema.set_defaults(run=lambda chosen: _schema())
    plugins = commands.add_parser("plugins", help="list what a configuration can name")
    plugins.set_defaults(run=lambda chosen: _plugins())
    report_command.add_arguments(commands.add_parser("report", help="sum up JSON access logs"))
    chosen = parser.parse_args(arguments)
    status: int = chosen.run(chosen)
    return status


def _check(file: Path) -> int:
    from twisted.internet import reactor  # noqa: TID251 - a program asks for it, once

    try:
        configuration = load(file)
        environment = Environment.of(reactor)
        make_access_log(configuration, environment)
        plan = compile_plan(configuration, environment, ())
    except (ConfigurationErrors, ConfigurationError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{file}: fine, {len(plan.listeners)} listeners, {len(configuration.pool)} pools")
    return 0


def _schema() -> int:
    print(json.dumps(configuration_schema(), indent=2))
    return 0


def _plugins() -> int:
    kinds: dict[str, dict[str, Any]] = {
        "filter": filter_factories(),
        "balancer": balancer_factories(),
    }
    for kind, factories in kinds.items():
        for name, factory in sorted(factories.items()):
            print(f"{kind:9} {name:16} {factory.description}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
