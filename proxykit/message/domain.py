"""Patterns of domains, as rules name them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .pattern import Pattern

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
    exact: set[str] = set()
    suffixes: list[str] = []
    globs: list[Pattern] = []
    for pattern in patterns:
        if pattern == "*":
            return lambda host: True
        name = pattern.removeprefix("*.").removeprefix(".")
        if "*" in name:
            globs.append(domain_glob(pattern))
            continue
        if not pattern.startswith("*."):
            exact.add(name)
        if name != pattern:
            suffixes.append("." + name)
    below = tuple(suffixes)

    def matches(host: str) -> bool:
        # A name with a dot at its end is the same name to a resolver.
        host = host.rstrip(".")
        return host in exact or host.endswith(below) or any(glob.search(host) for glob in globs)

    return matches


def domain_glob(pattern: str) -> Pattern:
    """Compile a pattern that was checked and has asterisks inside of names; ``*`` alone is none."""
    prefix = ""
    if pattern.startswith("."):
        prefix, pattern = r"(?:.+\.)?", pattern[1:]
    elif pattern.startswith("*."):
        prefix, pattern = r".+\.", pattern[2:]
    return Pattern.of(prefix + pattern.replace(".", r"\.").replace("*", "[^.]*"), whole=True)
