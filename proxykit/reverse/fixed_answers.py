"""What a route answers by itself: redirects and fixed responses."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..engine.exchange import Exchange
from ..message.path import normalised_path
from ..message.pattern import Pattern
from ..message.response import Response
from .templates import Rewrite, Template, one_leading_slash

Answer = Callable[[Exchange], Response]

_PLACES = ("uri", "host", "path", "query", "scheme")


def redirect_template(to: str, pattern: Pattern | None) -> Template:
    """Compile where a redirect leads.

    :param pattern: of the route's path: its groups can be filled in.
    :raises ValueError: for a place that there is not.
    """
    return Template.of(to, (*_PLACES, *(pattern.groups if pattern is not None else ())))


def redirect(to: str, status: int, pattern: Pattern | None, rewrite: Rewrite | None) -> Answer:
    """Make a route's answer that sends the client elsewhere.

    :param rewrite: what the route does to targets: ``{uri}``, ``{path}`` and ``{query}`` are what
        it makes of the client's.
    """
    template = redirect_template(to, pattern)
    has_groups = not set(template.names).issubset(_PLACES)

    def answer(exchange: Exchange) -> Response:
        values = _values(exchange, rewrite)
        if pattern is not None and has_groups:
            # A filter may have changed the path since the route was chosen by it.
            groups = pattern.captures(normalised_path(exchange.request.path))
            values = (groups or dict.fromkeys(pattern.groups, "")) | values
        return Response(status, [(b"Location", template.fill(values).encode("ascii"))])

    return answer


def _values(exchange: Exchange, rewrite: Rewrite | None) -> dict[str, str]:
    target = exchange.request.origin_target
    if rewrite is not None:
        target = rewrite(target)
    uri = one_leading_slash(target.decode("ascii"))
    path, _, query = uri.partition("?")
    host = exchange.host
    return {
        "uri": uri,
        "path": path,
        "query": query,
        "host": f"[{host}]" if ":" in host else host,
        "scheme": exchange.scheme,
    }


def fixed_response(
    status: int, body: str, content_type: str, fields: Iterable[tuple[str, str]]
) -> Answer:
    """Make a route's answer that is always the same."""
    headers = [(name.encode("ascii"), value.encode("utf-8")) for name, value in fields]
    content = body.encode("utf-8")
    if content:
        headers.append((b"Content-Type", content_type.encode("ascii")))
    return lambda exchange: Response(status, headers, content)
