"""Judges each line of a blocklist for itself: hosts file, domain list, or Adblock rule.

What a line says becomes records of a ``Table``. A record's value begins with a letter:

    d LINE            a name that is blocked with all below it, by a hosts file or a domain list
    a LINE            the same by the Adblock rule ``||name^``
    e LINE            let through with all below it: ``@@||name^``
    i LINE            blocked, and no exception is stronger: ``||name^$important``
    r LINE : TEXT     a rule that must be tried

A rule that must be tried stands under one key only: something that whatever it matches has.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any

from attrs import frozen

from .adblock import NetworkRule, RuleNotSupported, host_of, parse_rule, tokens_of
from .names import domain_name

Record = tuple[bytes, bytes]

ANY_KEY = b"*"
"""The key of rules that might match anything."""

TOKEN_KEY = b"~"
"""What stands before a token."""

PAGE_KEY = b"<"
"""What stands before the name of a page that a rule is for."""

_MOST_UNDER_A_KEY = 10_000
_MOST_BYTES_UNDER_A_KEY = 1 << 20
_MOST_PAGES = 64
_MOST_EXAMPLES = 20
_LONGEST_LINE = 16_384

# What nearly every line of a large list is: judged by one expression.
_COMMON = re.compile(
    r"(?:(?P<sink>0\.0\.0\.0|127\.0\.0\.1)[ \t]+)?(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)+)"
    r"(?:[ \t]+(?:\#.*)?)?\Z"
)
_HOSTS = re.compile(r"([0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?)[ \t]+(.+)\Z")
_COSMETIC = re.compile(r"#(?:@?[$?%]{0,2}|@\$\?)#|##|\$\$|#@#")
_WORD = re.compile(
    r"(?:\*\.|\.)?"
    r"(?P<name>[^\s/$|*^,=:?&@#!]+|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\Z"
)

# Names that hosts files give to the machine itself; they are not what is meant.
_LOCAL = frozenset(
    {
        "localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost",
        "ip6-loopback", "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters",
        "ip6-allhosts", "0.0.0.0",
    }
)  # fmt: skip


class LineNotUnderstood(Exception):
    """A line is nothing that a blocklist can hold; the message says why."""


class LineIgnored(Exception):
    """A line has no say in what a proxy does; the message is what it is."""


@frozen(slots=True)
class _Keys:
    """Where a rule may stand: under one of some keys, or it must under each of others."""

    any_of: tuple[bytes, ...]
    all_of: tuple[bytes, ...] = ()


class Judge:
    """Takes a list's lines, gives the records of its table and a report."""

    def __init__(self) -> None:
        """Begin with no lines."""
        self._counts: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._ignored: Counter[str] = Counter()
        self._examples: list[dict[str, Any]] = []
        self._rules: list[tuple[int, str, _Keys]] = []
        self._keys: Counter[bytes] = Counter()
        self._kinds: set[str] = set()
        self._top_level = False  # whether there is a name without a dot, such as "zip"

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Judge lines, and then give the records of the rules that need a key."""
        for number, line in enumerate(lines, 1):
            try:
                text = line.decode("utf-8").strip(" \t\r\n\ufeff")
                yield from self._line(text, number)
            except UnicodeDecodeError:
                self._skip(number, line.decode("utf-8", "replace"), "the line is not UTF-8")
            except (LineNotUnderstood, RuleNotSupported) as error:
                self._skip(number, text, str(error))
            except LineIgnored as error:
                self._ignored[str(error)] += 1
        yield from self._rule_records()

    def report(self) -> dict[str, Any]:
        """Say what became of the lines; call it when all records were taken."""
        return {
            "names": self._counts["names"],
            "rules": self._counts["rules"],
            "exceptions": self._counts["exceptions"],
            "important": self._counts["important"],
            "ignored": dict(self._ignored),
            "skipped": dict(self._skipped),
            "examples": self._examples,
            "kinds": sorted(self._kinds),
            "top_level": self._top_level,
        }

    # --- lines --------------------------------------------------------------------------------

    def _line(self, text: str, number: int) -> Iterator[Record]:
        match = _COMMON.match(text)
        if match is not None:
            name = domain_name(match["name"])
            if name is not None and name not in _LOCAL:
                self._counts["names"] += 1
                yield name.encode("ascii"), b"d%d" % number
                return
        if not text or (text[0] in "!#" and not _COSMETIC.match(text)):
            return
        if len(text) > _LONGEST_LINE:
            raise LineNotUnderstood("the line is too long")
        if not text.replace("\t", " ").isprintable():
            raise LineNotUnderstood("the line holds control characters")
        if text[0] == "[" and text[-1] == "]" and ":" not in text:
            return  # "[Adblock Plus 2.0]"
        hosts = _HOSTS.match(text)
        if hosts is not None:
            yield from self._hosts_line(hosts[1], hosts[2], number)
            return
        if _COSMETIC.search(text):
            raise LineIgnored("cosmetic rules")
        bare = text.partition(" #")[0].rstrip()
        word = _WORD.match(bare)
        # A word without a dot is what Adblock Plus looks for anywhere in a URL.
        name = domain_name(word["name"]) if word is not None else None
        if name is not None and ("." in name or ":" in name):
            self._counts["names"] += 1
            yield name.encode("ascii"), b"d%d" % number
            return
        yield from self._rule_line(text, number)

    def _hosts_line(self, address: str, names: str, number: int) -> Iterator[Record]:
        try:
            sink = ip_address(address.partition("%")[0])
        except ValueError:
            raise LineNotUnderstood("the line begins like a hosts file's and is none") from None
        found = [domain_name(each) for each in names.partition("#")[0].split()]
        if None in found or not found:
            raise LineNotUnderstood("the line names what is no host")
        if all(name in _LOCAL for name in found):
            raise LineIgnored("names of the machine itself")
        if not (sink.is_unspecified or sink.is_loopback):
            raise LineNotUnderstood("the line leads to a real address, which blocks nothing")
        for name in found:
            if name is not None and name not in _LOCAL:
                self._counts["names"] += 1
                yield name.encode("ascii"), b"d%d" % number

    def _rule_line(self, text: str, number: int) -> Iterator[Record]:
        rule = parse_rule(text)
        if rule.exception:
            self._counts["exceptions"] += 1
        if rule.important:
            self._counts["important"] += 1
        name = rule.whole_host
        if name is not None and not rule.has_options:
            self._counts["names"] += 1
            self._top_level |= "." not in name
            letter = b"e" if rule.exception else b"i" if rule.important else b"a"
            yield name.encode("ascii"), b"%b%d" % (letter, number)
            return
        self._counts["rules"] += 1
        keys = _keys_of(rule)
        self._rules.append((number, text, keys))
        self._keys.update(keys.any_of)

    # --- rules --------------------------------------------------------------------------------

    def _rule_records(self) -> Iterator[Record]:
        """Give each rule under the rarest of its keys."""
        taken: Counter[bytes] = Counter()
        size: Counter[bytes] = Counter()
        for number, text, keys in self._rules:
            value = b"r%d:%b" % (number, text.encode("utf-8"))
            chosen = keys.all_of or (min(keys.any_of, key=self._keys.__getitem__),)
            taken.update(chosen)
            size.update(dict.fromkeys(chosen, len(value)))
            if any(
                taken[key] > _MOST_UNDER_A_KEY or size[key] > _MOST_BYTES_UNDER_A_KEY
                for key in chosen
            ):
                self._counts["rules"] -= 1
                self._skip(number, text, "too many rules have nothing else to be told apart by")
                continue
            for key in chosen:
                self._top_level |= b"." not in key
                self._kinds.add({b"*": "any", b"~": "token", b"<": "page"}.get(key[:1], "host"))
                yield key, value

    def _skip(self, number: int, text: str, reason: str) -> None:
        self._skipped[reason] += 1
        if len(self._examples) < _MOST_EXAMPLES:
            self._examples.append({"line": number, "text": text[:200], "reason": reason})


def _keys_of(rule: NetworkRule) -> _Keys:
    host = host_of(rule)
    if host is not None:
        return _Keys((host.encode("ascii"),))
    tokens = tuple(TOKEN_KEY + token.encode("ascii") for token in tokens_of(rule))
    if tokens:
        return _Keys(tokens)
    if 0 < len(rule.pages) <= _MOST_PAGES:
        return _Keys((), tuple(PAGE_KEY + page.encode("ascii") for page in rule.pages))
    return _Keys((ANY_KEY,))
