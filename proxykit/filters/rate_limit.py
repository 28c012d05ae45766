"""The ``rate-limit`` filter: so many requests in a time, for each client or another key."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from attrs import frozen
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..engine.answers import refusal
from ..engine.exchange import Exchange
from ..engine.keys import client_key, shortened, user_key
from ..errors import TooManyRequests
from ..interfaces import IFilterFactory, IRequestFilter
from ..message.fields import checked_field
from ..message.response import Response
from ..options import BuildContext, Options

_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|m|h|d)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# Buckets that share one place of the table, see Buckets.
_WAYS = 16


# --- options ----------------------------------------------------------------------------------


@frozen(slots=True)
class Rate:
    """So many requests in so many seconds; ``text`` is how that was written."""

    text: str
    count: int
    seconds: int


def parse_rate(value: object) -> Rate:
    """Parse a rate such as ``"100/s"`` or ``"5/m"``.

    :raises ValueError: when it is none.
    """
    if isinstance(value, Rate):
        return value
    match = _RATE.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'expected a rate such as "100/s", "5/m" or "1000/h", got {value!r}')
    return Rate(match[0], int(match[1]), _SECONDS[match[2]])


def _checked_key(value: str) -> str:
    if value in ("client", "user", "route"):
        return value
    kind, _, name = value.partition(":")
    if kind != "header" or not name:
        raise ValueError(f'expected "client", "user", "route" or "header:NAME", got {value!r}')
    checked_field(name.encode("utf-8"), b"")
    return value


class RateLimitOptions(Options):
    """How many requests whom is allowed."""

    rate: Annotated[
        Rate,
        BeforeValidator(parse_rate, json_schema_input_type=str),
        WithJsonSchema({"type": "string", "pattern": "^" + _RATE.pattern.replace(r"\Z", "$")}),
    ] = Field(description='Such as "100/s"; s, m, h and d stand for a second up to a day.')
    burst: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        default=None,
        description="How many may come at once after a rest; the rate's number if not said.",
    )
    key: Annotated[str, AfterValidator(_checked_key)] = Field(
        default="client",
        description='Who is counted together: "client", "user", "header:NAME", or "route".',
    )
    table_size: Annotated[int, Field(ge=_WAYS, le=16_777_216, strict=True)] = Field(
        default=65_536, description="How many of them are remembered."
    )


# --- buckets ----------------------------------------------------------------------------------


class Buckets:
    """Token buckets by their keys, of which only so many are remembered.

    A bucket is one number: the time at which it will be full again (the generic cell rate
    algorithm). One that is full by now says no more than none at all.

    The table is divided into places by the keys' hash, which nobody outside can foresee, and each
    place holds a few buckets. Where one too many comes, the one that is fullest goes: a client that
    makes up addresses pushes out what it just made up, not the buckets of those who are limited,
    and whoever is pushed out begins with a full one. Nobody is ever refused for want of room.
    """

    def __init__(self, rate: Rate, burst: int, size: int) -> None:
        """Make an empty table.

        :param burst: what a full bucket holds.
        :param size: how many buckets are remembered.
        """
        self._interval = rate.seconds / rate.count
        self._tolerance = (burst - 1) * self._interval + 1e-6
        self._places: dict[int, dict[str, float]] = {}
        self._count = max(1, size // _WAYS)

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def take(self, key: str, now: float) -> float:
        """Take one token out of a bucket.

        :param now: in seconds, on any clock that does not go back far.
        :returns: 0 when there was one; else the seconds until there will be, and none is taken.
        """
        number = hash(key) % self._count
        place = self._places.get(number)
        if place is None:
            place = self._places[number] = {}
        full_at = place.get(key)
        if full_at is None:
            if len(place) >= _WAYS:
                del place[min(place, key=place.__getitem__)]
            full_at = now
        elif full_at < now:
            full_at = now
        wait = full_at - now - self._tolerance
        if wait > 0:
            return wait
        place[key] = full_at + self._interval
        return 0.0


# --- keys -------------------------------------------------------------------------------------

Key = Callable[[Exchange], str]


def _by_client(exchange: Exchange) -> str:
    return client_key(exchange.client_address)


def _by_header(name: bytes) -> Key:
    def key(exchange: Exchange) -> str:
        value = exchange.request.section.get(name)
        return "h " + shortened(value.decode("latin-1")) if value else _by_client(exchange)

    return key


def _by_route(exchange: Exchange) -> str:
    return ""


def _key(text: str) -> Key:
    kind, _, name = text.partition(":")
    if kind == "header":
        return _by_header(name.lower().encode("ascii"))
    return {"client": _by_client, "user": user_key, "route": _by_route}[kind]


# --- the filter -------------------------------------------------------------------------------


@implementer(IRequestFilter)
class RateLimit:
    """Answers 429 to who asks for too much."""

    def __init__(self, options: RateLimitOptions) -> None:
        """Compile the options; every bucket is full."""
        rate = options.rate
        self._take = Buckets(rate, options.burst or rate.count, options.table_size).take
        self._key = _key(options.key)
        self._text = f"the limit of {rate.text} is used up"

    def request(self, exchange: Exchange) -> Response | None:
        """See ``IRequestFilter``."""
        wait = self._take(self._key(exchange), exchange.started)
        return refusal(exchange, TooManyRequests(self._text), wait) if wait else None


@implementer(IPlugin, IFilterFactory)
class RateLimitFactory:
    """Makes ``rate-limit`` filters."""

    name = "rate-limit"
    description = "limits the requests of each client, user, key or route in a time"
    options = RateLimitOptions

    def build(self, options: RateLimitOptions, context: BuildContext) -> RateLimit:
        """See ``IFilterFactory``."""
        return RateLimit(options)
