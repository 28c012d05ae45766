"""Says whether blocklists block a request, and by which line of which list.

The order is that of Adblock Plus and uBlock Origin: an exception of any list is stronger than
what any list blocks, and an ``$important`` rule is stronger than exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import lru_cache

from attrs import frozen

from .adblock import NetworkRule, parse_rule, tokens_in
from .lines import ANY_KEY, PAGE_KEY, TOKEN_KEY
from .names import suffix_keys
from .patterns import Request
from .table import Table

_MOST_HOSTS = 4096
# A rule is read when the first request comes that it might match: most of a list's never are.
_rule = lru_cache(maxsize=4096)(parse_rule)
_KEYS_A_STEP = 64
_MOST_RULES_REMEMBERED = 100  # of one host


@frozen(slots=True)
class Hit:
    """A line of a list.

    :ivar list_name: the list's.
    :ivar line: its number, from 1.
    :ivar rule: what it says: a name, or an Adblock rule as it was written.
    """

    list_name: str
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.list_name}:{self.line}: {self.rule}"


@frozen(slots=True)
class Verdict:
    """What the lists say of a request.

    :ivar hit: what blocks it.
    :ivar exception: what lets it through all the same, or ``None``.
    """

    hit: Hit
    exception: Hit | None = None


_Candidate = tuple[NetworkRule, Hit]


@frozen(slots=True, eq=False)
class _OfHost:
    """All that the lists say of a host, whatever is asked of it."""

    blocked: Hit | None
    important: Hit | None
    exception: Hit | None
    rules: tuple[tuple[str, bytes], ...]


_NOTHING = _OfHost(None, None, None, ())
_NOT_BLOCKED = None, True
_ASK_RULES = None, False


class Blocking:
    """Some lists as one; made anew when a list changes.

    :ivar rules: how many rules must be tried, beside names that are looked up.
    """

    def __init__(self, lists: Sequence[tuple[str, Table]]) -> None:
        """Take tables, each with its list's name."""
        self._lists = tuple(lists)
        self._hosts: dict[str, _OfHost] = {}
        with_kind: dict[str, list[tuple[str, Table]]] = {"token": [], "page": [], "any": []}
        for name, table in lists:
            for kind in with_kind.keys() & set(table.report["kinds"]):
                with_kind[kind].append((name, table))
        self._with_tokens = tuple(with_kind["token"])
        self._with_pages = tuple(with_kind["page"])
        self._with_any = tuple(with_kind["any"])
        self._finds = tuple((name, table.find) for name, table in lists)
        self._top_levels = any(table.report["top_level"] for _, table in lists)
        self._only_hosts = not (self._with_tokens or self._with_pages or self._with_any)
        self.rules = sum(table.report["rules"] for _, table in lists)

    def of_host(self, host: str) -> tuple[Verdict | None, bool]:
        """Say what a host alone decides.

        :returns: a verdict, and whether it stands; if not, ask ``judge``.
        """
        found = self._hosts.get(host)
        if found is None:
            found = self._look_up(host)
        if found.important is not None:
            return Verdict(found.important), True
        if self._only_hosts and not found.rules:
            if found.blocked is None:
                return _NOT_BLOCKED
            return Verdict(found.blocked, found.exception), True
        return _ASK_RULES

    def judge(self, request: Request) -> Generator[None, None, Verdict | None]:
        """Try the rules on a request.

        A generator so that it can be put off: it yields after each step, which takes a few
        microseconds mostly and never longer than the largest regular expression does.

        :returns: what blocks the request, ``None`` when nothing does.
        """
        found = self._hosts.get(request.host) or self._look_up(request.host)
        if found.important is not None:
            return Verdict(found.important)
        hit = found.blocked
        exceptions: list[_Candidate] = []
        important: list[_Candidate] = []
        for candidate in self._candidates(request, found):
            yield
            if candidate is None:
                continue
            rule, place = candidate
            if rule.exception:
                exceptions.append(candidate)
            elif hit is None and rule.matches(request):
                hit = place
                if rule.important:
                    return Verdict(hit)
            elif rule.important:
                important.append(candidate)
        if hit is None:
            return None
        exception = found.exception or (yield from _first_match(exceptions, request))
        exception = exception or (yield from self._exception_of_page(request))
        if exception is None:
            return Verdict(hit)
        strongest = yield from _first_match(important, request)
        return Verdict(hit, exception) if strongest is None else Verdict(strongest)

    # --- looking up ---------------------------------------------------------------------------

    def _look_up(self, host: str) -> _OfHost:
        """Look a host and all that it lies below up in every list, and remember what was found."""
        keys = suffix_keys(host)
        if not self._top_levels and len(keys) > 1:
            keys.pop()
        values: list[tuple[str, bytes, bytes]] = []
        for list_name, find in self._finds:
            for key in keys:
                found_values = find(key)
                if found_values:
                    values += [(list_name, key, value) for value in found_values]
        found = _of_values(values) if values else _NOTHING
        if len(self._hosts) >= _MOST_HOSTS:
            self._hosts.clear()
        if len(found.rules) < _MOST_RULES_REMEMBERED:
            self._hosts[host] = found
        return found

    def _candidates(self, request: Request, found: _OfHost) -> Iterator[_Candidate | None]:
        """Give the rules that might match: those that their list has under a key of the request.

        ``None`` now and then, when there was much to look for and nothing was found.
        """
        for list_name, value in found.rules:
            yield _rule_of(list_name, value)
        if self._with_tokens:
            keys = [TOKEN_KEY + token.encode("ascii") for token in tokens_in(request.lower_url)]
            yield from _under(self._with_tokens, keys)
        if self._with_pages and request.page_host:
            pages = [PAGE_KEY + name for name in suffix_keys(request.page_host)]
            yield from _under(self._with_pages, pages)
        yield from _under(self._with_any, (ANY_KEY,))

    def _exception_of_page(self, request: Request) -> Generator[None, None, Hit | None]:
        """Find an exception for the page that asks: ``@@||page.example^$document``."""
        page = request.page_host
        if not page:
            return None
        asked = _OfPage(page)
        found = self._hosts.get(page) or self._look_up(page)
        for candidate in self._candidates(asked, found):
            yield
            if candidate is None:
                continue
            rule, place = candidate
            if rule.exception and rule.blocks_pages and rule.matches(asked):
                return place
        return None


@frozen(slots=True, eq=False)
class _OfPage:
    """A page as the request for it: all that is known is its host."""

    host: str
    method: str = "get"
    resource_type: str = "document"
    page_host: str = ""
    third_party: bool | None = None

    @property
    def url(self) -> str:
        return f"https://{self.host}/"

    lower_url = url

    @property
    def host_starts(self) -> tuple[int, ...]:
        return host_starts(self.url, self.host)


def host_starts(url: str, host: str) -> tuple[int, ...]:
    """Give the places in a URL where a label of its host begins."""
    start = url.find("://") + 3
    end = start + len(host)
    found = [start]
    at = url.find(".", start, end)
    while at >= 0:
        found.append(at + 1)
        at = url.find(".", at + 1, end)
    return tuple(found)


def _under(
    lists: Iterable[tuple[str, Table]], keys: Sequence[bytes]
) -> Iterator[_Candidate | None]:
    for list_name, table in lists:
        for index, key in enumerate(keys, 1):
            for value in table.find(key):
                yield _rule_of(list_name, value)
            if index % _KEYS_A_STEP == 0:
                yield None


def _rule_of(list_name: str, value: bytes) -> _Candidate:
    line, _, text = value[1:].decode("utf-8").partition(":")
    return _rule(text), Hit(list_name, int(line), text)


_NAMED: dict[bytes, Callable[[str], str]] = {
    b"d": lambda name: name,
    b"a": lambda name: f"||{name}^",
    b"e": lambda name: f"@@||{name}^",
    b"i": lambda name: f"||{name}^$important",
}


def _of_values(values: Iterable[tuple[str, bytes, bytes]]) -> _OfHost:
    """Sort what was found: the first of each kind counts, and every rule."""
    first: dict[bytes, Hit] = {}
    rules: list[tuple[str, bytes]] = []
    for list_name, key, value in values:
        letter = value[:1]
        if letter == b"r":
            rules.append((list_name, value))
        elif letter not in first:
            first[letter] = _hit_of_name(list_name, key.decode("ascii"), value)
    blocked = first.get(b"d") or first.get(b"a")
    return _OfHost(blocked, first.get(b"i"), first.get(b"e"), tuple(rules))


def _hit_of_name(list_name: str, name: str, value: bytes) -> Hit:
    return Hit(list_name, int(value[1:]), _NAMED[value[:1]](name))


def _first_match(
    candidates: Iterable[_Candidate], request: Request
) -> Generator[None, None, Hit | None]:
    for rule, place in candidates:
        yield
        if rule.matches(request):
            return place
    return None
