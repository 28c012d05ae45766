"""What the ``quota`` filter can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ...options import Duration, Options, Size


class Quota(Options):
    """One quota: whose it is, and how much of what in which time."""

    key: Literal["client", "user", "group", "destination", "total"] = Field(
        default="client", description="Who has a quota: each client, user, ... or all together."
    )
    period: Literal["day", "month"] = Field(
        default="day", description="What it is for; both begin at midnight, local time."
    )
    volume: Size | None = Field(default=None, description="Bytes, such as ``5GiB``.")
    direction: Literal["both", "download", "upload"] = Field(
        default="both", description="Which bytes count: those to the client, from it, or both."
    )
    time: Duration | None = Field(
        default=None, description="How long something may be under way, such as ``2h``."
    )

    @property
    def says_something(self) -> bool:
        """Whether there is something to count."""
        return not (self.volume is None and self.time is None)


class ListedQuota(Quota):
    """One quota of several."""

    @model_validator(mode="after")
    def _limits_something(self) -> ListedQuota:
        if not self.says_something:
            raise ValueError("it limits nothing: give volume or time")
        return self


class QuotaOptions(Quota):
    """One quota, or several that all hold."""

    limits: list[ListedQuota] = Field(default=[], description="More of the same; all of them hold.")
    file: str = Field(
        default="quota.sqlite",
        description="Where what was used is kept. Filters that name one file count together.",
        min_length=1,
    )

    @model_validator(mode="after")
    def _limits_something(self) -> QuotaOptions:
        if not self.says_something:
            if not self.limits:
                raise ValueError("it limits nothing: give volume or time, or limits")
            if {"key", "period", "direction"} & self.model_fields_set:
                raise ValueError("key, period and direction stand beside the volume or time")
        return self

    def all_quotas(self) -> list[Quota]:
        """Give what is said in the short form with what is listed."""
        own: list[Quota] = [self] if self.says_something else []
        return own + list(self.limits)
