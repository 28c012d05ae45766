"""The ``proxykit`` command: looks at configurations and plug-ins; ``twistd`` runs them."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .authentication.passwords import hash_password
from .config.load import ConfigurationErrors, load
from .config.registry import balancer_factories, filter_factories, store_factories
from .config.schema import configuration_schema
from .errors import ConfigurationError, ProxykitError
from .interfaces import IChecked
from .observe.report import command as report_command
from .service.build import compile_plan
from .service.compilation import Environment
from .service.explain import Question, chosen_pipeline, explain
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
    hashing = commands.add_parser("hash-password", help="make a line of an htpasswd file")
    hashing.add_argument("user", nargs="?", help="the line's user; without one, the hash alone")
    hashing.set_defaults(run=lambda chosen: _hash_password(chosen.user))
    explain = commands.add_parser("explain", help="say which rule decides a request, and why")
    explain.add_argument("--config", type=Path, required=True, metavar="FILE")
    explain.add_argument("--listener", metavar="NAME", help="which one, if there are several")
    explain.add_argument("--client", required=True, metavar="IP")
    explain.add_argument("--user", default="", help="who is taken to have authenticated")
    explain.add_argument("--group", action="append", default=[], help="that user's; repeats")
    explain.add_argument("--method", default="GET")
    explain.add_argument("--header", action="append", default=[], help='"Name: value"; repeats')
    explain.add_argument("url")
    explain.set_defaults(run=_explain)
    privoxy = commands.add_parser(
        "privoxy", help="say what of Privoxy's action and filter files is taken over"
    )
    privoxy.add_argument("file", type=Path, nargs="+", help="ends with .action or .filter")
    privoxy.set_defaults(run=lambda chosen: _privoxy(chosen.file))
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
        for _, each in plan.filters:
            if IChecked.providedBy(each):
                print(*each.check(), sep="\n")
    except (ConfigurationErrors, ConfigurationError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{file}: fine, {len(plan.listeners)} listeners, {len(configuration.pool)} pools")
    return 0


def _explain(chosen: argparse.Namespace) -> int:
    from twisted.internet import reactor  # noqa: TID251 - a program asks for it, once
    from twisted.internet.defer import Deferred
    from twisted.internet.task import react

    question = Question(
        chosen.url,
        chosen.client,
        chosen.user,
        frozenset(chosen.group),
        chosen.method,
        tuple(chosen.header),
    )

    async def explained() -> None:
        plan = compile_plan(load(chosen.config), Environment.of(reactor), ())
        pipeline = chosen_pipeline(plan, chosen.listener)
        plan.start()
        try:
            print(*await explain(plan, pipeline, question), sep="\n")
        except ProxykitError as error:
            raise ConfigurationError(str(error)) from error
        finally:
            plan.retire()

    async def run() -> None:
        try:
            await explained()
        except (ConfigurationErrors, ConfigurationError) as error:
            print(error, file=sys.stderr)
            raise SystemExit(1) from error

    try:
        react(lambda _: Deferred.fromCoroutine(run()))
    except SystemExit as end:
        return int(end.code or 0)


def _schema() -> int:
    print(json.dumps(configuration_schema(), indent=2))
    return 0


def _plugins() -> int:
    kinds: dict[str, dict[str, Any]] = {
        "filter": filter_factories(),
        "balancer": balancer_factories(),
        "store": store_factories(),
    }
    for kind, factories in kinds.items():
        for name, factory in sorted(factories.items()):
            print(f"{kind:9} {name:16} {factory.description}")
    return 0


def _hash_password(user: str | None) -> int:
    try:
        name = None if user is None else _without_controls(user, "the user's name")
        if name is not None and (not name or ":" in name or name != name.strip() or name[0] == "#"):
            raise ValueError("a user's name has no colon, no spaces at its ends and no # before it")
        password = _without_controls(_read_password(), "the password")
        text = hash_password(password.encode("utf-8"))
    except (ValueError, EOFError) as error:
        print(f"proxykit hash-password: {error}", file=sys.stderr)
        return 1
    print(text if name is None else f"{name}:{text}")
    return 0


def _read_password() -> str:
    """Read a password: twice from a terminal, where a slip is not seen; else a line of input.

    :raises ValueError: when the two differ, or the input is not UTF-8.
    """
    if not sys.stdin.isatty():
        return sys.stdin.buffer.readline().rstrip(b"\r\n").decode("utf-8")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise ValueError("the two passwords differ")
    return password


def _without_controls(text: str, what: str) -> str:
    """Give a text as clients are to send it (RFC 7617 section 2.1).

    :raises ValueError: when it holds control characters, which they may not send.
    """
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in text):
        raise ValueError(f"{what} holds control characters")
    return unicodedata.normalize("NFC", text)


def _privoxy(files: Sequence[Path]) -> int:
    from .filters.content.privoxy.reading import read_files, text_of
    from .filters.content.privoxy.report import Report

    texts: dict[str, list[tuple[str, str]]] = {".action": [], ".filter": []}
    for file in files:
        if file.suffix not in texts:
            print(f"{file}: its name ends with neither .action nor .filter", file=sys.stderr)
            return 1
        try:
            texts[file.suffix].append((str(file), text_of(file)))
        except (OSError, ValueError) as error:
            print(f"{file}: cannot be read: {error}", file=sys.stderr)
            return 1
    report = Report()
    read_files(texts[".filter"], texts[".action"], report)
    print(*report.lines(), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
