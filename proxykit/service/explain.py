"""Says what would become of a request: which filter decides it by which rule, and where it goes."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from attrs import frozen

from ..engine.exchange import Exchange
from ..engine.pipeline import Pipeline, Route
from ..errors import ConfigurationError, ProxykitError
from ..interfaces import IExplaining
from ..message.response import Response
from .asking import exchange_for
from .compilation import Plan


@frozen(slots=True)
class Question:
    """A request that nobody sends.

    :ivar url: an http or https URL. Of an https URL a forward proxy sees a CONNECT.
    :ivar client: the client's IP address.
    :ivar user: who is taken to have authenticated, ``""`` for nobody.
    :ivar groups: that user's groups.
    :ivar method: the method.
    :ivar fields: field lines such as ``Referer: http://a.example/``.
    """

    url: str
    client: str
    user: str = ""
    groups: frozenset[str] = frozenset()
    method: str = "GET"
    fields: tuple[str, ...] = ()


def chosen_pipeline(plan: Plan, name: str | None) -> Pipeline:
    """Give the policy of a listener.

    :param name: the listener's, ``forward.office`` or only ``office``; may be left out if there is
        but one.
    :raises ConfigurationError: when that is none, or could be several.
    """
    pipelines = {each.pipeline.name: each.pipeline for each in plan.listeners.values()}
    found = [
        each
        for known, each in pipelines.items()
        if name is None or name == known or name == known.partition(".")[2]
    ]
    if len(found) != 1:
        names = ", ".join(sorted(pipelines))
        raise ConfigurationError(f"say which listener with --listener; there are {names}")
    return found[0]


async def explain(plan: Plan, pipeline: Pipeline, question: Question) -> list[str]:
    """Send a request down the road as far as it goes without a server.

    :returns: lines of text.
    :raises ProxykitError: when the question is no request.
    """
    names = {id(each): name for name, each in plan.filters}
    exchange = _exchange(pipeline, question)
    user = f", user {question.user}" if question.user else ""
    request = exchange.request
    lines = [f"{request.method.decode('ascii')} {question.url} from {question.client}{user}"]
    lines[0] += f" on {pipeline.name}"
    if not await _filters(pipeline.chain.request, names, exchange, question, lines):
        return lines
    try:
        route: Route = await _result(pipeline.choose(exchange))
        exchange.route = route
        lines.append(f"route: {_route(route, exchange)}")
        if await _filters(route.inner.request, names, exchange, question, lines):
            lines.append(f"goes to: {_where(route, exchange)}")
    except ProxykitError as error:
        lines.append(f"route: answered {error.status}: {error}")
    return lines


def _exchange(pipeline: Pipeline, question: Question) -> Exchange:
    exchange = exchange_for(
        pipeline, question.url, question.client, question.method, question.fields
    )
    exchange.user, exchange.groups = question.user, question.groups
    return exchange


async def _filters(
    steps: Iterable[Any],
    names: dict[int, str],
    exchange: Exchange,
    question: Question,
    lines: list[str],
) -> bool:
    """Run request filters; say whether the request goes on behind them."""
    for step in steps:
        owner = getattr(step, "__self__", None)
        said, goes_on = await _filter(step, exchange, question)
        lines.append(f"{names.get(id(owner), 'filter')}: {said}")
        if IExplaining.providedBy(owner):
            lines += [f"    {line}" for line in owner.explain(exchange)]
        if not goes_on:
            return False
    return True


async def _filter(step: Any, exchange: Exchange, question: Question) -> tuple[str, bool]:
    try:
        answer: Response | None = await _result(step(exchange))
    except ProxykitError as error:
        said, status = f"answers {error.status}: {error}", error.status
    else:
        if answer is None:
            return "goes on", True
        said, status = f"answers {answer.status}", answer.status
        if exchange.detail:
            said += f": {exchange.detail}"
    if status in (401, 407) and question.user:
        # Nobody's password is asked for here.
        exchange.user, exchange.groups = question.user, question.groups
        return f"would ask who it is; taken to be {question.user}", True
    return said, False


async def _result(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value


def _route(route: Route, exchange: Exchange) -> str:
    if route.name:
        return route.name
    return "a tunnel to the origin" if route.tunnel else "the origin itself"


def _where(route: Route, exchange: Exchange) -> str:
    if route.answer is not None:
        return f"nowhere, it is answered {route.answer(exchange).status}"
    if route.upstream is None:
        return "nowhere, no route takes it: 404"
    server = route.upstream.choose(exchange).name
    addresses: Sequence[str] = exchange.addresses or ()
    return f"{server} ({', '.join(addresses)})" if addresses else server
