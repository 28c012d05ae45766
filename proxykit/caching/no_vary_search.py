"""No-Vary-Search: a response that says which differences between queries mean nothing.

The field (draft-ietf-httpbis-no-vary-search) is a Dictionary of structured fields (RFC 8941) with
``key-order``, ``params`` and ``except``; one that is malformed is as if it were absent.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from attrs import frozen

from .keys import PARTS

_STRING = rb'"(?:[ !#-\[\]-~]|\\["\\])*+"'
_INNER_LIST = rb"\([ ]*+(?:" + _STRING + rb"[ ]*+)*+\)"
_MEMBER = re.compile(
    rb"[ \t]*+(key-order|params|except)(?:=(?:(\?[01])|(" + _INNER_LIST + rb")))?+[ \t]*+(?:,|\Z)"
)
_ITEM = re.compile(_STRING)
_LONGEST = 2048
_MOST_RULES = 4
_MOST_BASES = 4096
_MOST_KEYS = 1024

Canonical = tuple[tuple[bytes, bytes], ...]


@frozen(slots=True)
class SearchRule:
    """Which differences between queries mean nothing.

    :ivar ordered: whether the order of parameters counts.
    :ivar ignore_all: whether no parameter counts but those of ``kept``.
    :ivar ignored: else, those that do not.
    """

    ordered: bool = True
    ignore_all: bool = False
    ignored: frozenset[bytes] = frozenset()
    kept: frozenset[bytes] = frozenset()

    def canonical(self, query: bytes) -> Canonical:
        """Give what two queries have in common that mean the same."""
        pairs: list[tuple[bytes, bytes]] = []
        for each in query.split(b"&"):
            if not each:
                continue
            name, _, value = each.partition(b"=")
            pair = (_decode(name), _decode(value))
            counts = pair[0] in self.kept if self.ignore_all else pair[0] not in self.ignored
            if counts:
                pairs.append(pair)
        if not self.ordered:
            pairs.sort(key=lambda pair: pair[0])
        return tuple(pairs)


def _decode(value: bytes) -> bytes:
    return unquote_to_bytes(value.replace(b"+", b" "))


def parse_rule(value: bytes | None) -> SearchRule | None:
    """Parse the field.

    :returns: ``None`` when it is absent or malformed, or says that every difference counts.
    """
    if not value or len(value) > _LONGEST:
        return None
    members: dict[bytes, bool | frozenset[bytes]] = {}
    position = 0
    while position < len(value):
        match = _MEMBER.match(value, position)
        if match is None:
            return None
        name, flag, names = match.groups()
        if names is not None:
            items = _ITEM.findall(names)
            members[name] = frozenset(re.sub(rb"\\(.)", rb"\1", each[1:-1]) for each in items)
        else:
            members[name] = flag != b"?0"
        position = match.end()
    order, params, kept = (members.get(name) for name in (b"key-order", b"params", b"except"))
    if isinstance(order, frozenset) or isinstance(kept, bool):
        return None
    if kept is not None and params is not True:
        return None  # "except" means something only beside a bare "params"
    rule = SearchRule(
        ordered=not order,
        ignore_all=params is True,
        ignored=params if isinstance(params, frozenset) else frozenset(),
        kept=kept or frozenset(),
    )
    return None if rule == SearchRule() else rule


class Aliases:
    """Which stored key stands for others, by what responses said with No-Vary-Search.

    What is forgotten costs a request upstream, no more; so tables that are full are emptied.
    """

    __slots__ = ("_bases",)

    def __init__(self) -> None:
        """Begin empty."""
        self._bases: dict[bytes, dict[SearchRule, dict[Canonical, bytes]]] = {}

    def note(self, key: bytes, value: bytes | None) -> None:
        """Note what the response that is stored under a key says."""
        rule = parse_rule(value)
        if rule is None or PARTS in key:
            return
        base, _, query = key.partition(b"?")
        if len(self._bases) >= _MOST_BASES and base not in self._bases:
            self._bases.clear()
        rules = self._bases.setdefault(base, {})
        if len(rules) >= _MOST_RULES and rule not in rules:
            rules.clear()
        keys = rules.setdefault(rule, {})
        if len(keys) >= _MOST_KEYS:
            keys.clear()
        keys[rule.canonical(query)] = key

    def resolve(self, key: bytes) -> bytes:
        """Give the key under which to look for what a key asks for."""
        if not self._bases:
            return key
        base, _, query = key.partition(b"?")
        for rule, keys in self._bases.get(base, {}).items():
            found = keys.get(rule.canonical(query))
            if found is not None:
                return found
        return key
