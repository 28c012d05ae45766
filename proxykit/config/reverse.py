"""The models of a reverse listener: ``[reverse.NAME]``; its routes are in ``route``."""

from __future__ import annotations

from pydantic import Field, model_validator

from ..options import Options, Size
from .field_types import Endpoints, Networks
from .filter_entry import FilterEntry
from .listener_tls import ListenerTls
from .route import Route


class ReverseListener(Options):
    """A reverse proxy."""

    listen: Endpoints = Field(default=[], description="Where clients connect.")
    tls: ListenerTls | None = Field(default=None, description="And where they do with TLS.")
    trust_proxy: Networks = Field(
        default=[], description="Whose forwarding fields and PROXY headers are believed."
    )
    proxy_protocol: bool = Field(
        default=False,
        description="Connections begin with a PROXY header, of `trust_proxy` only.",
    )
    response_buffer: Size = Field(
        default=64 * 1024, description="Held of a response for a client slower than the server."
    )
    filters: list[FilterEntry] = Field(default=[], description="In the order in which they run.")
    routes: list[Route] = Field(default=[], description="In the order in which they are tried.")

    @model_validator(mode="after")
    def _listens_somewhere(self) -> ReverseListener:
        if not self.listen and self.tls is None:
            raise ValueError("it listens nowhere: give listen or tls")
        if self.proxy_protocol and not self.trust_proxy:
            raise ValueError("proxy_protocol needs trust_proxy: whose headers are believed?")
        return self
