"""``proxykit check``, ``schema`` and ``plugins``: what a configuration may say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ..config.load import ConfigurationErrors, load
from ..config.registry import balancer_factories, filter_factories, store_factories
from ..config.schema import configuration_schema
from ..errors import ConfigurationError
from ..interfaces import IChecked
from ..service.build import compile_plan
from ..service.compilation import Environment
from ..service.log import make_access_log


def add_to(commands: Any) -> None:
    """Add the commands.

    :param commands: what ``argparse.ArgumentParser.add_subparsers`` gave.
    """
    check = commands.add_parser("check", help="print every error of a configuration")
    check.add_argument("file", type=Path)
    check.set_defaults(run=lambda chosen: _check(chosen.file))
    schema = commands.add_parser("schema", help="print the configuration's JSON schema")
    schema.set_defaults(run=lambda chosen: _schema())
    plugins = commands.add_parser("plugins", help="list what a configuration can name")
    plugins.set_defaults(run=lambda chosen: _plugins())


def _check(file: Path) -> int:
    from twisted.internet import reactor  # noqa: TID251 - a program asks for it, once

    try:
        configuration = load(file)
        environment = Environment.of(reactor)
        make_access_log(configuration, environment)
        plan = compile_plan(configuration, environment, ())
        for _, each in plan.filters:
            if IChecked.providedBy(each):
                for line in each.check():
                    print(line)
    except (ConfigurationErrors, ConfigurationError) as error:
        print(error, file=sys.stderr)
        return 1
    listeners = _counted(len(plan.listeners), "listener")
    print(f"{file}: fine, {listeners}, {_counted(len(configuration.pool), 'pool')}")
    return 0


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _schema() -> int:
    print(json.dumps(configuration_schema(), indent=2))
    return 0


def _plugins() -> int:
    kinds: dict[str, dict[str, Any]] = {
        "filter": filter_factories(),
        "balancer": balancer_factories(),
        "store": store_factories(),
    }
    width = max(len(name) for factories in kinds.values() for name in factories)
    for kind, factories in kinds.items():
        for name, factory in sorted(factories.items()):
            print(f"{kind:9} {name:{width}}  {factory.description}")
    return 0
