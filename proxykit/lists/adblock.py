"""One network rule of an Adblock filter list: parsed, and tried on a request.

Adblock Plus' syntax (help.adblockplus.org, "How to write filters") with the options that uBlock
Origin's lists use beside. What cannot be judged from a request is not guessed: such a rule is
refused with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from attrs import define, frozen

from ..message.pattern import Pattern
from .names import domain_name, suffixes
from .patterns import Request, finder

_LONGEST_PATTERN = 512
_LONGEST_RULE = 16_384
_TYPES = {
    "script": "script",
    "image": "image", "img": "image",
    "stylesheet": "stylesheet", "css": "stylesheet",
    "xmlhttprequest": "xmlhttprequest", "xhr": "xmlhttprequest",
    "subdocument": "subdocument", "frame": "subdocument",
    "document": "document", "doc": "document",
    "media": "media",
    "font": "font",
    "websocket": "websocket",
    "ping": "ping", "beacon": "ping",
    "object": "object",
    "other": "other",
}  # fmt: skip
RESOURCE_TYPES = frozenset(_TYPES.values())
"""What a request can be for."""

# What only a browser sees, or does.
_OF_A_PAGE = frozenset(
    {
        "popup", "popunder", "elemhide", "generichide", "specifichide", "genericblock",
        "ghide", "shide", "ehide", "inline-script", "inline-font", "cname", "webrtc",
    }
)  # fmt: skip


_NOT_IN_URLS = frozenset(' \t"<>`\\')


class RuleNotSupported(Exception):
    """A line is a network rule that this engine cannot keep; the message says why."""


@define(slots=True, eq=False)
class _Options:
    """A rule's options while they are read."""

    types: frozenset[str] | None = None
    not_types: frozenset[str] = frozenset()
    third_party: bool | None = None
    pages: frozenset[str] = frozenset()
    not_pages: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    not_hosts: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    not_methods: frozenset[str] = frozenset()
    match_case: bool = False
    important: bool = False


@frozen(slots=True, eq=False, repr=False)
class NetworkRule:
    """A network rule.

    :ivar text: as it was written.
    :ivar exception: whether it lets through what others block.
    :ivar important: whether no exception is stronger.
    :ivar pattern: what is looked for in the URL, without anchors; ``""`` for a regular expression.
    :ivar at_name: whether the pattern begins where a label of the host begins (``||``).
    :ivar at_start: whether it begins where the URL does (``|``).
    :ivar at_end: whether it ends where the URL does.
    :ivar pages: hosts of pages that it is only for.
    """

    text: str
    exception: bool
    important: bool
    pattern: str
    at_name: bool
    at_start: bool
    at_end: bool
    pages: frozenset[str]
    _options: _Options
    _found: Callable[[Request], bool]

    @property
    def has_options(self) -> bool:
        """Whether more than the URL decides."""
        options = self._options
        return bool(
            options.types is not None
            or options.not_types
            or options.third_party is not None
            or options.pages
            or options.not_pages
            or options.hosts
            or options.not_hosts
            or options.methods
            or options.not_methods
        )

    @property
    def whole_host(self) -> str | None:
        """The name when the pattern is ``||name^`` and nothing more, else ``None``."""
        if not self.at_name or self.at_end:
            return None
        return domain_name(self.pattern[:-1]) if self.pattern.endswith("^") else None

    @property
    def blocks_pages(self) -> bool:
        """Whether it says itself that it is for whole pages."""
        return self._options.types is not None and "document" in self._options.types

    def matches(self, request: Request) -> bool:
        """Try the rule; what costs more is tried later."""
        return self._found(request) and self._allows(request)

    def _allows(self, request: Request) -> bool:
        """Try the options."""
        options = self._options
        if options.methods and request.method not in options.methods:
            return False
        if request.method in options.not_methods:
            return False
        if options.types is not None or options.not_types:
            kind = request.resource_type
            if not kind:
                return options.types == RESOURCE_TYPES and not options.not_types
            if kind in options.not_types:
                return False
            if options.types is not None and kind not in options.types:
                return False
        elif request.resource_type == "document" and self.whole_host is None:
            # As in browsers: a pattern is for what a page loads, not for pages.
            return False
        if options.third_party is not None and request.third_party is not options.third_party:
            return False
        if options.hosts and not _below(request.host, options.hosts):
            return False
        if options.not_hosts and _below(request.host, options.not_hosts):
            return False
        if options.pages or options.not_pages:
            return self._is_for_page(request.page_host)
        return True

    def _is_for_page(self, host: str) -> bool:
        """Try ``domain``: of the names that a page lies below, the longest that is told decides."""
        options = self._options
        for name in suffixes(host):
            if name in options.not_pages:
                return False
            if name in options.pages:
                return True
        return not options.pages

    def __repr__(self) -> str:
        return f"<NetworkRule {self.text!r}>"


def _below(host: str, names: frozenset[str]) -> bool:
    return any(name in names for name in suffixes(host))


# --- reading ----------------------------------------------------------------------------------

# What stands behind the last dollar sign are options if it begins like one.
_OPTIONS = re.compile(r"~?[A-Za-z0-9_-]+(?:[=,]|\Z)")


def parse_rule(text: str) -> NetworkRule:
    """Read a network rule.

    :param text: a line without white space at its ends.
    :raises RuleNotSupported: when it is none that can be kept.
    """
    if len(text) > _LONGEST_RULE:
        raise RuleNotSupported("the rule is too long")
    exception = text.startswith("@@")
    pattern = text[2:] if exception else text
    options = _Options()
    before, dollar, after = pattern.rpartition("$")
    if dollar and not _is_expression(pattern) and _OPTIONS.match(after):
        pattern = before
        _read_options(after, options, exception=exception)
    if _is_expression(pattern):
        found = _expression(pattern[1:-1], match_case=options.match_case)
        return NetworkRule(
            text, exception, options.important, "", False, False, False, options.pages,
            options, found,
        )  # fmt: skip
    return _plain_rule(text, pattern, options, exception=exception)


def _is_expression(pattern: str) -> bool:
    return len(pattern) > 2 and pattern[0] == "/" and pattern[-1] == "/"


def _plain_rule(text: str, pattern: str, options: _Options, *, exception: bool) -> NetworkRule:
    at_name = pattern.startswith("||")
    at_start = not at_name and pattern.startswith("|")
    pattern = pattern[2:] if at_name else pattern[1:] if at_start else pattern
    at_end = pattern.endswith("|")
    pattern = pattern[:-1] if at_end else pattern
    if pattern.startswith("*"):
        at_name = at_start = False
    if pattern.endswith("*"):
        at_end = False
    pattern = pattern.strip("*")
    if not options.match_case:
        pattern = pattern.lower()
    if len(pattern) > _LONGEST_PATTERN:
        raise RuleNotSupported("the pattern is too long")
    if _NOT_IN_URLS & set(pattern):
        raise RuleNotSupported("the pattern holds what stands in no URL, white space for instance")
    if len(pattern) < 3 and not (options.pages or options.hosts) and not (pattern and at_name):
        raise RuleNotSupported("the pattern is so short that it matches nearly everything")
    if not pattern.isascii():
        # URLs are ASCII. A host's name has a form in it, a path could be encoded in many ways.
        name, rest = re.match(r"([^/^:?*|]*)(.*)", pattern, re.DOTALL).groups()  # type: ignore[union-attr]
        encoded = domain_name(name) if at_name and rest.isascii() else None
        if encoded is None:
            raise RuleNotSupported("the pattern is not ASCII")
        pattern = encoded + rest
    found = finder(
        pattern, match_case=options.match_case, at_name=at_name, at_start=at_start, at_end=at_end
    )
    return NetworkRule(
        text, exception, options.important, pattern, at_name, at_start, at_end, options.pages,
        options, found,
    )  # fmt: skip


_IGNORED = frozenset({"", "_"})  # a placeholder between commas


def _read_options(text: str, options: _Options, *, exception: bool) -> None:
    types: set[str] = set()
    not_types: set[str] = set()
    of_a_page = False
    for each in text.split(","):
        name, equals, value = each.strip().partition("=")
        positive = not name.startswith("~")
        name = name.removeprefix("~").lower()
        if equals:
            known = positive and _read_names(name, value, options)
        elif name in _TYPES:
            (types if positive else not_types).add(_TYPES[name])
            known = True
        elif name in _OF_A_PAGE:
            known = of_a_page = True
        elif name == "all" and positive:
            types |= RESOURCE_TYPES
            known = True
        else:
            known = name in _IGNORED or _read_flag(name, options, positive=positive)
        if not known:
            raise RuleNotSupported(f"the option {name[:40]} is not supported")
    if of_a_page and not types:
        raise RuleNotSupported("the rule is for what only a browser sees of a page")
    options.important = options.important and not exception
    options.types = frozenset(types) if types else None
    options.not_types = frozenset(not_types)


def _read_flag(name: str, options: _Options, *, positive: bool) -> bool:
    """Read an option without a value, and say whether it is known."""
    if name in ("third-party", "3p"):
        options.third_party = positive
    elif name in ("first-party", "1p"):
        options.third_party = not positive
    elif name == "match-case" and positive:
        options.match_case = True
    elif name == "important" and positive:
        options.important = True
    else:
        return False
    return True


def _read_names(name: str, value: str, options: _Options) -> bool:
    """Read an option with names, and say whether it is known."""
    if name in ("domain", "from"):
        options.pages, options.not_pages = _names(value, name)
    elif name == "to":
        options.hosts, options.not_hosts = _names(value, name)
    elif name == "denyallow":
        options.not_hosts, _ = _names(value, name)
    elif name == "method":
        methods = value.lower().split("|")
        options.methods = frozenset(each for each in methods if not each.startswith("~"))
        options.not_methods = frozenset(each[1:] for each in methods if each.startswith("~"))
    else:
        return False
    return True


def _names(value: str, option: str) -> tuple[frozenset[str], frozenset[str]]:
    """Read names and names with ``~``, between bars."""
    names: set[str] = set()
    not_names: set[str] = set()
    for each in value.split("|"):
        positive = not each.startswith("~")
        name = domain_name(each.removeprefix("~"))
        if name is None:
            raise RuleNotSupported(f"the option {option} holds what is no domain")
        (names if positive else not_names).add(name)
    return frozenset(names), frozenset(not_names)


def _expression(text: str, *, match_case: bool) -> Callable[[Request], bool]:
    try:
        # JavaScript's expressions may write a slash with a backslash, which RE2 refuses.
        pattern = Pattern.of(text.replace("\\/", "/"), case_sensitive=match_case)
    except ValueError as error:
        raise RuleNotSupported(str(error)) from None
    return lambda request: pattern.search(request.url)


# --- indexing ---------------------------------------------------------------------------------

_TOKEN = re.compile(r"[a-z0-9%]{2,}+")
_HOST_OF_PATTERN = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?=[/^:?]|\Z)")


def host_of(rule: NetworkRule) -> str | None:
    """Give the name that a request's host must lie below for the rule to match, if there is one."""
    if not rule.at_name:
        return None
    match = _HOST_OF_PATTERN.match(rule.pattern.lower())
    if match is None or (match.end() == len(rule.pattern) and not rule.at_end):
        return None  # "||ads." and "||ads" go on with anything
    return domain_name(match[0])


def tokens_of(rule: NetworkRule) -> Iterator[str]:
    """Give the tokens that must stand in the URL of whatever the rule matches.

    A run of letters, digits and percent signs that cannot go on to either side.
    """
    pattern = rule.pattern.lower()
    for match in _TOKEN.finditer(pattern):
        start, end = match.span()
        if start == 0 and not (rule.at_name or rule.at_start):
            continue
        if end == len(pattern) and not rule.at_end:
            continue
        if pattern[start - 1 : start] == "*" or pattern[end : end + 1] == "*":
            continue
        yield match[0]


def tokens_in(lower_url: str) -> set[str]:
    """Give a URL's tokens."""
    return set(_TOKEN.findall(lower_url))
