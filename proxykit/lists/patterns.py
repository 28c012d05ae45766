"""The patterns of Adblock rules: text, anchors, ``*`` and ``^``, tried on a request's URL."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from attrs import frozen


class Request(Protocol):
    """What a rule is tried on.

    :ivar url: the whole URL as it was asked for.
    :ivar lower_url: in lower case.
    :ivar host: its host, in lower case.
    :ivar host_starts: where the host's labels begin in the URL.
    :ivar resource_type: one of ``RESOURCE_TYPES``, ``""`` when nobody can tell.
    :ivar page_host: the host of the page that asks, ``""`` when nobody can tell.
    :ivar third_party: whether that is another site, ``None`` when nobody can tell.
    :ivar method: in lower case.
    """

    @property
    def url(self) -> str: ...
    @property
    def lower_url(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def host_starts(self) -> tuple[int, ...]: ...
    @property
    def resource_type(self) -> str: ...
    @property
    def page_host(self) -> str: ...
    @property
    def third_party(self) -> bool | None: ...
    @property
    def method(self) -> str: ...


# ``^``: a character that is no letter, digit, or one of "_-.%", or the address's end.
_SEPARATOR = r"(?:[^a-zA-Z0-9_.%-]|\Z)"


def finder(
    pattern: str, *, match_case: bool, at_name: bool, at_start: bool, at_end: bool
) -> Callable[[Request], bool]:
    """Compile a pattern: pieces between asterisks, each found behind the one before.

    A piece has one length, so that its first place is the best one and nothing is tried twice.
    """
    if not (at_name or at_start or at_end) and "*" not in pattern and "^" not in pattern:
        if match_case:
            return lambda request: pattern in request.url
        return lambda request: pattern in request.lower_url
    first, *rest = [_Piece.of(text) for text in re.split(r"\*+", pattern)]
    last = rest[-1] if rest else first

    def found_from(url: str, end: int) -> bool:
        for piece in rest:
            if at_end and piece is last:
                return piece.ends(url, end)
            end = piece.find(url, end)
            if end < 0:
                return False
        return not at_end or end == len(url)

    def matches(request: Request) -> bool:
        url = request.url if match_case else request.lower_url
        if at_name or at_start:
            return any(
                end >= 0 and found_from(url, end)
                for end in (
                    first.at(url, start) for start in (request.host_starts if at_name else (0,))
                )
            )
        if at_end and not rest:
            return first.ends(url, 0)
        end = first.find(url, 0)
        return end >= 0 and found_from(url, end)

    return matches


@frozen(slots=True, eq=False)
class _Piece:
    """What stands between two asterisks."""

    text: str
    expression: re.Pattern[str] | None
    at_end: re.Pattern[str] | None

    @classmethod
    def of(cls, text: str) -> _Piece:
        if "^" not in text:
            return cls(text, None, None)
        # Without repetitions, so that matching it is bounded by its length.
        source = "".join(_SEPARATOR if c == "^" else re.escape(c) for c in text)
        return cls(text, re.compile(source), re.compile(source + r"\Z"))

    def at(self, url: str, start: int) -> int:
        """Give the end of the piece at a place, -1 when it is not there."""
        if self.expression is None:
            return start + len(self.text) if url.startswith(self.text, start) else -1
        match = self.expression.match(url, start)
        return -1 if match is None else match.end()

    def find(self, url: str, start: int) -> int:
        """Give the end of its first place from somewhere on, -1 when there is none."""
        if self.expression is None:
            at = url.find(self.text, start)
            return -1 if at < 0 else at + len(self.text)
        match = self.expression.search(url, start)
        return -1 if match is None else match.end()

    def ends(self, url: str, start: int) -> bool:
        """Say whether the URL ends with it, from somewhere on."""
        if self.at_end is None:
            return url.endswith(self.text) and len(url) - len(self.text) >= start
        return self.at_end.search(url, start) is not None
