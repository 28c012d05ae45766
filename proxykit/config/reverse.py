"""The models of a reverse listener: ``[reverse.NAME]``; its routes are in ``route``."""

from __future__ import annotations

from pydantic import Field, model_validator

from ..options import Options, Size
from .field_types import Endpoints, Networks
from .filter_entry import FilterEntry
from .route import Route


class CertificatePair(Options):
    """A certificate with its key."""

    certificate: str = Field(description="A PEM file, the chain behind the certificate.")
    key: str = Field(description="A PEM file without a passphrase.")


class ListenerTls(Options):
    """TLS on a reverse proxy's listener."""

    listen: Endpoints = Field(description="Where clients connect with TLS.", min_length=1)
    certificates: list[CertificatePair] = Field(min_length=1, max_length=1)


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
