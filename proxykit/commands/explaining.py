"""``proxykit explain``: which rule decides a request, and why."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..config.load import ConfigurationErrors, load
from ..errors import ConfigurationError, ProxykitError
from ..service.build import compile_plan
from ..service.compilation import Environment
from ..service.explain import Question, chosen_pipeline, explain


def add_to(commands: Any) -> None:
    """Add the command; see ``commands.configurations``."""
    parser = commands.add_parser("explain", help="say which rule decides a request, and why")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--listener", metavar="NAME", help="which one, if there are several")
    parser.add_argument("--client", required=True, metavar="IP")
    parser.add_argument("--user", default="", help="who is taken to have authenticated")
    parser.add_argument("--group", action="append", default=[], help="that user's; repeats")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--header", action="append", default=[], help='"Name: value"; repeats')
    parser.add_argument("url")
    parser.set_defaults(run=_explain)


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
