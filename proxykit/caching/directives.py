"""Cache-Control and its kin, parsed: RFC 9111 section 5.2 and RFC 9213."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from ..message.fields import TOKEN

MOST_SECONDS = 2**31
"""What a number of seconds that cannot be represented counts as (RFC 9111 section 1.2.2)."""

_DIRECTIVE = re.compile(
    rb"[ \t]*+(" + TOKEN + rb'++)(?:=(?:"((?:[^"\\]|\\.)*+)"|(' + TOKEN + rb"++)))?+[ \t]*+(?:,|\Z)"
)
_NAME = re.compile(rb"[ \t]*+(" + TOKEN + rb"++)")
_SECONDS = re.compile(rb"[0-9]+\Z")
_LONGEST = 8192
_MOST = 64
_QUOTED = re.compile(rb"\\(.)")


class Directives:
    """The directives of a Cache-Control field, or of one that stands in its place.

    Names are in lower case; of a directive that stands there more than once, all values are kept,
    for a freshness that is said twice in two ways is none (RFC 9111 section 4.2.1).
    """

    __slots__ = ("_values",)

    def __init__(self, values: dict[bytes, tuple[bytes | None, ...]]) -> None:
        """Take names with the argument of each time that they occur."""
        self._values = values

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __bool__(self) -> bool:
        return bool(self._values)

    def __repr__(self) -> str:
        return f"<Directives {sorted(self._values)}>"

    def seconds(self, name: bytes) -> int | None:
        """Give a directive's number of seconds.

        :returns: ``None`` when it is absent; 0 when it is no number or is said twice in two ways:
            "caches are encouraged to consider responses that have invalid freshness information to
            be stale" (RFC 9111 section 4.2.1).
        """
        values = self._values.get(name)
        if values is None:
            return None
        if len(set(values)) > 1:
            return 0
        value = values[0]
        return 0 if value is None else parse_seconds(value) or 0

    def argument(self, name: bytes) -> bytes | None:
        """Give the first argument of a directive, ``None`` if it has none or is absent."""
        return self._values.get(name, (None,))[0]

    def unqualified(self, name: bytes) -> bool:
        """Say whether a directive stands there for the whole response, not for named fields."""
        values = self._values.get(name)
        return values is not None and any(not _names(value) for value in values)

    def field_names(self, name: bytes) -> frozenset[bytes]:
        """Give the fields that a directive (``private``, ``no-cache``) names, in lower case."""
        found: set[bytes] = set()
        for value in self._values.get(name, ()):
            found.update(_names(value))
        return frozenset(found)


def _names(value: bytes | None) -> Iterable[bytes]:
    if not value:
        return ()
    return [name for each in value.lower().split(b",") if (name := each.strip(b" \t"))]


NO_DIRECTIVES = Directives({})


def parse_seconds(value: bytes) -> int | None:
    """Parse ``delta-seconds`` (RFC 9111 section 1.2.2).

    :returns: ``None`` for what is no non-negative integer; ``MOST_SECONDS`` at the most.
    """
    if not _SECONDS.match(value):
        return None
    digits = value.lstrip(b"0") or b"0"
    return MOST_SECONDS if len(digits) > 10 else min(int(digits), MOST_SECONDS)


def parse_directives(value: bytes | None) -> Directives:
    """Parse a Cache-Control field.

    Of what breaks the grammar only the name counts, and what comes behind the next comma: one bad
    directive must not hide a ``no-store``. A field longer than any honest one says that alone.

    :param value: the combined value, ``None`` when there is no such field.
    """
    if not value:
        return NO_DIRECTIVES
    if len(value) > _LONGEST:
        return Directives({b"no-store": (None,)})
    return _parse(value)


@lru_cache(maxsize=512)
def _parse(value: bytes) -> Directives:
    found: dict[bytes, tuple[bytes | None, ...]] = {}
    position = 0
    for _ in range(_MOST):
        match = _DIRECTIVE.match(value, position)
        if match is not None:
            quoted, token = match[2], match[3]
            argument = _QUOTED.sub(rb"\1", quoted) if quoted is not None else token
            name = match[1].lower()
            found[name] = (*found.get(name, ()), argument)
            position = match.end()
        else:
            # Of what breaks the grammar the name still counts: no-cache with a malformed list of
            # fields is a no-cache, a malformed number of seconds is none.
            name_only = _NAME.match(value, position)
            if name_only is not None:
                name = name_only[1].lower()
                found[name] = (*found.get(name, ()), None)
            comma = value.find(b",", position)
            position = len(value) if comma < 0 else comma + 1
        if position >= len(value):
            return Directives(found)
    found[b"no-store"] = (None,)  # more directives than anybody means
    return Directives(found)


# RFC 9213 section 2.1: a Dictionary of structured fields (RFC 8941 section 3.2). All of its types
# are read, for one odd directive must not hide a no-store; parameters are ignored.
_STRING = rb'"(?:[ !#-\[\]-~]|\\["\\])*+"'
_SF_TOKEN = rb"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+"
_OTHER = rb"-?[0-9]{1,12}+\.[0-9]{1,3}+|:[A-Za-z0-9+/=]*+:"  # a Decimal, a Byte Sequence
_INTEGER = rb"-?[0-9]{1,15}+(?![0-9.])"
_ITEM = rb"(?:\?[01]|" + _INTEGER + rb"|" + _OTHER + rb"|" + _STRING + rb"|" + _SF_TOKEN + rb")"
_PARAMETERS = rb"(?:;[ ]*+[a-z*][a-z0-9_.*-]*+(?:=" + _ITEM + rb")?+)*+"
_INNER_LIST = rb"\([ ]*+(?:" + _ITEM + _PARAMETERS + rb"(?:[ ]++|(?=\))))*+\)"
_MEMBER = re.compile(
    rb"[ \t]*+([a-z*][a-z0-9_.*-]*+)"
    rb"(?:=(?:(\?[01])|("
    + _INTEGER
    + rb")|("
    + _STRING
    + rb")|"
    + _SF_TOKEN
    + rb"|"
    + _OTHER
    + rb"|"
    + _INNER_LIST
    + rb"))?+"
    + _PARAMETERS
    + rb"[ \t]*+(,|\Z)"
)
_IN_SECONDS = frozenset({b"max-age", b"s-maxage", b"stale-while-revalidate", b"stale-if-error"})
_ESCAPED = re.compile(rb'\\(["\\])')


def parse_targeted(value: bytes | None) -> Directives | None:
    """Parse a targeted field such as CDN-Cache-Control (RFC 9213 section 2.1).

    A number of seconds is an Integer there and a list of fields is a String; nothing else is read
    as one. What is no number counts as 0, as in Cache-Control, and what is no list as none.

    :returns: ``None`` when the field is absent, empty, or no Dictionary: "When parsing fails, the
        field MUST be ignored"; then Cache-Control counts.
    """
    if not value or len(value) > _LONGEST:
        return None
    found: dict[bytes, tuple[bytes | None, ...]] = {}
    position = 0
    for _ in range(_MOST):
        match = _MEMBER.match(value, position)
        if match is None or (match[5] and match.end() == len(value)):
            return None
        name, flag, number, text = match.group(1, 2, 3, 4)
        if flag == b"?0":
            found.pop(name, None)
        elif name in _IN_SECONDS:
            # The last of two members counts (RFC 8941 section 4.2.2).
            found[name] = (number,)
        else:
            found[name] = (None if text is None else _ESCAPED.sub(rb"\1", text[1:-1]),)
        position = match.end()
        if position >= len(value):
            return Directives(found)
    return None
