"""The ``bandwidth`` filter: how many bytes a second each client, user or another key may have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..engine.exchange import Exchange
from ..engine.keys import KEYS
from ..engine.pacing import Pacing
from ..interfaces import IFilterFactory, IPacer
from ..net.pacing import Bucket, Pacemaker
from ..options import BuildContext, Options, Size, parse_size

_BITS = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kMG]?)bit\Z")
_POWERS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}

# Buckets that are remembered in one table, besides those in use.
_MOST_BUCKETS = 65_536
_FEW_BUCKETS = 1024


# --- options ----------------------------------------------------------------------------------


def parse_speed(value: object) -> float:
    """Parse a speed such as ``"2MiB/s"``, ``"500kB/s"`` or ``"16Mbit/s"``.

    :returns: bytes a second.
    :raises ValueError: when it is none, or not at least a byte a second.
    """
    speed = 0.0
    if isinstance(value, str) and value.endswith("/s"):
        amount = value.removesuffix("/s")
        bits = _BITS.match(amount)
        if bits is not None:
            speed = float(bits[1]) * _POWERS[bits[2]] / 8
        else:
            try:
                speed = float(parse_size(amount))
            except ValueError:
                speed = 0.0
    if speed < 1:
        raise ValueError(f'expected a speed such as "2MiB/s" or "16Mbit/s", got {value!r}')
    return speed


Speed = Annotated[
    float,
    BeforeValidator(parse_speed, json_schema_input_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^[0-9]+(?:\.[0-9]+)?(?:KiB|MiB|GiB|TiB|kB|MB|GB|TB|B|[kMG]?bit)/s$",
        }
    ),
]


class Limit(Options):
    """One limit: whom it is for, and how much in which direction."""

    key: Literal["client", "user", "group", "destination", "total"] = Field(
        default="client", description="Who has a bucket: each client, user, ... or all together."
    )
    rate: Speed | None = Field(
        default=None, description="Both directions together, such as ``2MiB/s`` or ``16Mbit/s``."
    )
    download: Speed | None = Field(default=None, description="What goes to the client.")
    upload: Speed | None = Field(default=None, description="What comes from the client.")
    burst: Size | None = Field(
        default=None,
        description="What may go at once after a rest, in bytes; a fifth of a second's by itself.",
    )

    @property
    def says_something(self) -> bool:
        """Whether there is a rate."""
        return not (self.rate is None and self.download is None and self.upload is None)


class ListedLimit(Limit):
    """One limit of several."""

    @model_validator(mode="after")
    def _limits_something(self) -> ListedLimit:
        if not self.says_something:
            raise ValueError("it limits nothing: give rate, download or upload")
        return self


class BandwidthOptions(Limit):
    """One limit, or several that all hold."""

    limits: list[ListedLimit] = Field(default=[], description="More of the same; all of them hold.")

    @model_validator(mode="after")
    def _limits_something(self) -> BandwidthOptions:
        if not self.says_something:
            if not self.limits:
                raise ValueError("it limits nothing: give rate, download or upload, or limits")
            if {"key", "burst"} & self.model_fields_set:
                raise ValueError("key and burst stand beside the rate that they belong to")
        return self

    def all_limits(self) -> list[Limit]:
        """Give what is said in the short form with what is listed."""
        own: list[Limit] = [self] if self.says_something else []
        return own + list(self.limits)


# --- buckets ----------------------------------------------------------------------------------


class Buckets:
    """Buckets of one rate by their keys. A full one that nobody uses says no more than none."""

    def __init__(self, rate: float, burst: float | None, pacemaker: Pacemaker) -> None:
        """Make an empty table.

        :param rate: in bytes a second.
        :param burst: in bytes, ``None`` for the usual one.
        """
        self._rate = rate
        self._burst = burst
        self._pacemaker = pacemaker
        self._buckets: dict[str, Bucket] = {}
        self._next_sweep = _FEW_BUCKETS

    def __len__(self) -> int:
        return len(self._buckets)

    def bucket(self, key: str) -> Bucket:
        """Give the bucket of a key; it is kept for as long as it is in use or not full."""
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._next_sweep:
                self._sweep()
            bucket = self._buckets[key] = Bucket(self._rate, self._burst, self._pacemaker)
        return bucket

    def _sweep(self) -> None:
        """Forget what is at rest; when that is not enough, what was not used for longest."""
        now = self._pacemaker.now()
        kept = {key: each for key, each in self._buckets.items() if not each.is_at_rest(now)}
        if len(kept) >= _MOST_BUCKETS:
            # Whoever makes up keys by the thousand gains a burst; those in use keep theirs.
            unused = [key for key, each in kept.items() if not each.users]
            for key in unused[: len(kept) - _MOST_BUCKETS // 2]:
                del kept[key]
        self._buckets = kept
        self._next_sweep = max(_FEW_BUCKETS, 2 * len(kept))


class LimitBuckets:
    """The buckets of one limit, in each direction and in both together."""

    def __init__(self, limit: Limit, pacemaker: Pacemaker) -> None:
        """Make empty tables."""

        def table(rate: float | None) -> Buckets | None:
            return None if rate is None else Buckets(rate, limit.burst, pacemaker)

        self._keys = KEYS[limit.key]
        self._both = table(limit.rate)
        self._download = table(limit.download)
        self._upload = table(limit.upload)

    def add(self, exchange: Exchange, download: list[Bucket], upload: list[Bucket]) -> None:
        """Add the buckets that an exchange goes by."""
        for key in self._keys(exchange):
            if self._both is not None:
                both = self._both.bucket(key)
                download.append(both)
                upload.append(both)
            if self._download is not None:
                download.append(self._download.bucket(key))
            if self._upload is not None:
                upload.append(self._upload.bucket(key))


# --- the filter -------------------------------------------------------------------------------


class AllBuckets:
    """The buckets of all limits of one filter: what a reload keeps."""

    def __init__(self, limits: Sequence[Limit], pacemaker: Pacemaker) -> None:
        """Make them, without a bucket yet."""
        self.limits = tuple(LimitBuckets(limit, pacemaker) for limit in limits)


@implementer(IPacer)
class Bandwidth:
    """Has exchanges go by the buckets of their keys."""

    def __init__(self, buckets: AllBuckets) -> None:
        """Take the buckets."""
        self._buckets = buckets

    def pace(self, exchange: Exchange) -> Pacing | None:
        """See ``IPacer``."""
        download: list[Bucket] = []
        upload: list[Bucket] = []
        for limit in self._buckets.limits:
            limit.add(exchange, download, upload)
        if not download and not upload:
            return None
        return Pacing(tuple(download), tuple(upload))


@implementer(IPlugin, IFilterFactory)
class BandwidthFactory:
    """Makes ``bandwidth`` filters."""

    name = "bandwidth"
    description = "limits bytes a second by client, user, group, destination and in total"
    options = BandwidthOptions

    def build(self, options: BandwidthOptions, context: BuildContext) -> Bandwidth:
        """See ``IFilterFactory``."""

        def make() -> Any:
            return AllBuckets(options.all_limits(), Pacemaker(context.reactor))

        return Bandwidth(context.inherit((self.name, options.model_dump_json()), make))
