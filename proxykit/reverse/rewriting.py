"""What a request's target becomes on its way to a server: prefixes off and on, paths rewritten.

Rewriting works on the path with its dot segments resolved and its unreserved characters decoded
(RFC 3986 section 6.2.2): what a route matched by must be what is rewritten, or ``/x/../api/`` would
pass a prefix that it does not seem to have. Other percent-encodings are kept as the client wrote
them. A route that rewrites nothing sends the target as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ..message.path import normalised_path
from ..message.pattern import Pattern
from .templates import Rewrite, Template, one_leading_slash

PathStep = Callable[[str, str], tuple[str, str]]
"""From a path and its query to others."""


def rewrite_of(
    strip_prefix: str, rules: Sequence[tuple[str, str]], add_prefix: str
) -> Rewrite | None:
    """Compile what a route does to targets, in this order.

    :param strip_prefix: is taken off the front of the path; ``""`` for nothing.
    :param rules: pairs of a regular expression and what takes the path's place; see
        ``checked_rule``. The first that matches is taken.
    :param add_prefix: is put in front; ``""`` for nothing.
    :returns: ``None`` when nothing is done.
    :raises ValueError: when a rule is none.
    """
    steps: list[PathStep] = []
    if prefix := strip_prefix.rstrip("/"):
        steps.append(_strip(prefix))
    if rules:
        steps.append(_first_rule([checked_rule(*rule) for rule in rules]))
    if front := add_prefix.rstrip("/"):
        steps.append(lambda path, query: (front + path, query))
    if not steps:
        return None

    def rewrite(target: bytes) -> bytes:
        if not target.startswith(b"/"):
            return target  # OPTIONS for the whole server
        path, _, query = target.decode("ascii").partition("?")
        path = _settled(path)
        for step in steps:
            path, query = step(path, query)
        return (f"{path}?{query}" if query else path).encode("ascii")

    return rewrite


def checked_rule(pattern: str, to: str) -> tuple[Pattern, Template]:
    """Compile one rule.

    :param to: a path, with ``{1}`` or ``{name}`` for the expression's groups. The query is kept
        unless there is one here; then ``{query}`` is the client's.
    :raises ValueError: when the one is no regular expression or the other no path.
    """
    expression = Pattern.of(pattern)
    template = Template.of(to, ("query", *expression.groups))
    if not re.match(r"/[!-~]*\Z", to):
        raise ValueError(f"expected a path such as /new/{{1}}, got {to!r}")
    return expression, template


def _settled(path: str) -> str:
    """Give a path as it is rewritten and sent: with encoded slashes, where that is harmless."""
    as_sent = normalised_path(path, keep_encoded_slashes=True)
    if "%2f" in path.lower():
        as_matched = normalised_path(path)
        # A server that decodes %2F must come to where the route saw it lead, dots and all.
        if ".." in as_sent or normalised_path(as_sent) != as_matched:
            return as_matched
    return as_sent


def _strip(prefix: str) -> PathStep:
    slashed = prefix + "/"

    def strip(path: str, query: str) -> tuple[str, str]:
        if path != prefix and not path.startswith(slashed):
            # If the route took it, then by an encoded slash behind or in the prefix.
            path = normalised_path(path)
        if path == prefix:
            return "/", query
        return path[len(prefix) :] if path.startswith(slashed) else path, query

    return strip


def _first_rule(rules: Sequence[tuple[Pattern, Template]]) -> PathStep:
    def apply(path: str, query: str) -> tuple[str, str]:
        for pattern, template in rules:
            groups = pattern.captures(path)
            if groups is None:
                continue
            filled = template.fill({**groups, "query": query})
            path, mark, changed = filled.partition("?")
            # A server that builds a reference from //x would name another host.
            return one_leading_slash(path), changed if mark else query
        return path, query

    return apply
