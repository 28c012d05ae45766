"""The model of a forward listener's PAC file: ``pac`` in ``[forward.NAME]``."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from ..forward.pac import checked_direct, pac_proxy
from ..options import OneOrMore, Options
from .field_types import Networks

Direct = OneOrMore[Annotated[str, AfterValidator(checked_direct)]]
Proxies = OneOrMore[Annotated[str, AfterValidator(pac_proxy)]]


class Pac(Options):
    """A PAC file, served to clients at /proxy.pac and /wpad.dat."""

    direct: Direct = Field(
        default=["localhost", "127.0.0.0/8", "::1"],
        description='Fetched without a proxy: "a.lan", ".lan" with all below, "*.lan" all below, '
        "networks.",
    )
    plain_names: bool = Field(
        default=True, description="Names without a dot are fetched without a proxy, too."
    )
    resolve: bool = Field(
        default=False,
        description="Clients look names up to compare them with the networks; else only addresses.",
    )
    proxies: Proxies = Field(
        default=[],
        description='"http://proxy.lan:3128", the preferred first; by itself the host and port '
        "where the client fetches the file.",
    )
    fallback: bool = Field(
        default=False, description="Clients fetch without a proxy when none answers."
    )
    clients: Networks = Field(default=[], description="Who may fetch the file; all if none.")


def _switch(value: object) -> object:
    if value is True:
        return {}
    return None if value is False else value


PacSwitch = Annotated[
    Pac | None, BeforeValidator(_switch, json_schema_input_type=bool | Pac | None)
]
"""A PAC file, which may be written as ``true``."""
