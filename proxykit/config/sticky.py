"""The model of a pool's sticky sessions: ``sticky`` in ``[pool.NAME]``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from ..options import Duration, Options
from .field_types import Count

CookieName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")]

_ONLY_COOKIE = ("secret_file", "max_age", "domain", "path")
_ONLY_LEARN = ("timeout", "sessions")


class Sticky(Options):
    """How clients are bound to servers: by a cookie of the proxy's, or by one of the servers'."""

    cookie: CookieName | None = Field(
        default=None, description="The name of the cookie that the proxy sets."
    )
    secret_file: str | None = Field(
        default=None,
        description="What that cookie is signed with, 16 bytes at least; else it is forgotten "
        "with the process.",
    )
    max_age: Duration | None = Field(
        default=None, description="For how long it is set; else until the browser is closed."
    )
    domain: str | None = Field(
        default=None, pattern=r"^\.?[A-Za-z0-9.-]+$", description="Its domain; else the host's own."
    )
    path: str = Field(default="/", pattern=r"^/[!-:<-~]*$", description="Its path.")
    learn: CookieName | None = Field(
        default=None, description="Or: the name of the cookie that the servers set."
    )
    timeout: Duration = Field(
        default=1800.0, description="How long a learnt session is remembered after its last use."
    )
    sessions: Count = Field(default=100_000, description="How many are remembered.")

    @model_validator(mode="after")
    def _is_one_kind(self) -> Sticky:
        if (self.cookie is None) == (self.learn is None):
            raise ValueError("sticky needs either cookie or learn")
        kind, others = ("learn", _ONLY_COOKIE) if self.learn else ("cookie", _ONLY_LEARN)
        for key in others:
            if key in self.model_fields_set:
                raise ValueError(f"{key} does not go with {kind}")
        return self
