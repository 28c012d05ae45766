"""The model of the admin API (``[admin]``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ..options import OneOrMore, Options
from .endpoints import endpoint_description


def _endpoint(value: str) -> str:
    description = endpoint_description(value)
    if description.startswith("unix:") and ":mode=" not in description:
        # Twisted would let everybody connect.
        description += ":mode=600"
    return description


AdminEndpoints = Annotated[
    OneOrMore[Annotated[str, AfterValidator(_endpoint)]], Field(min_length=1)
]

HostNames = OneOrMore[
    Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$"), AfterValidator(str.lower)]
]


class Admin(Options):
    """The admin API: what runs can be seen and be changed there."""

    listen: AdminEndpoints = Field(
        default=["127.0.0.1:9180"], description="Where it listens.", validate_default=True
    )
    token_file: str = Field(
        default="admin.token",
        description="Holds the token that is asked for; made when there is none.",
    )
    hosts: HostNames = Field(
        default=[], description="Names by which it may be called, besides localhost and addresses."
    )
