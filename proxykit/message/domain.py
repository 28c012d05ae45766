"""Patterns of domains, as rules name them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_DOMAIN = re.compile(r"(?:\*|\.|\*\.)?[A-Za-z0-9_*-]+(?:\.[A-Za-z0-9_*-]+)*\Z")


def checked_domain(value: str) -> str:
    """Check a pattern: ``a.example``, ``.a.example`` (with all below), ``*.a.example`` (all below).

    ``*`` elsewhere is any text without a dot; alone it is any domain.

    :returns: it, in lower case.
    :raises ValueError: when it is none.
    """
    if not _DOMAIN.match(value):
        raise ValueError(
            f'expected a domain such as "a.example", ".a.example" or "*.a.example", got {value!r}'
        )
    return value.lower()


def domain_matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Compile patterns that were checked.

    :returns: says whether a host, in lower case, matches one of them.
    """
    expression = re.compile("|".join(f"(?:{_expression(each)})" for each in patterns))

    def matches(host: str) -> bool:
        # A name with a dot at its end is the same name to a resolver.
        return expression.fullmatch(host.rstrip(".")) is not None

    return matches


def _expression(pattern: str) -> str:
    if pattern == "*":
        return ".*"
    prefix = ""
    if pattern.startswith("."):
        prefix, pattern = r"(?:.+\.)?", pattern[1:]
    elif pattern.startswith("*."):
        prefix, pattern = r".+\.", pattern[2:]
    return prefix + re.escape(pattern).replace(r"\*", "[^.]*")
