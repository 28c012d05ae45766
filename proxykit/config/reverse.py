"""The models of a reverse listener and its routes: ``[reverse.NAME]``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..options import Options
from .cache import CacheReference
from .field_types import Endpoints, HostPatterns, Methods, Networks, PathPattern
from .filter_entry import FilterEntry


class Redirect(Options):
    """An answer that sends the client elsewhere."""

    to: Annotated[str, Field(pattern=r"^[!-~]+$")] = Field(
        description="May hold {uri} (path and query) and {host}."
    )
    status: Literal[301, 302, 303, 307, 308] = 308


class Route(Options):
    """Where a kind of request goes; the first route that matches takes it."""

    name: str | None = Field(default=None, description="For the log; else its number.")
    host: HostPatterns = Field(default=[], description='Names, "*.a.example" for all below one.')
    path: PathPattern | None = Field(default=None, description='"/x" prefix, "= /x", "~ regex".')
    methods: Methods = Field(default=[], description="Any when there are none.")
    pool: str | None = Field(default=None, description="Where it goes.")
    redirect: Redirect | None = Field(default=None, description="Or what is answered.")
    strip_prefix: str | None = Field(
        default=None, pattern=r"^/[!-~]*$", description="Taken off the path."
    )
    cache: CacheReference | None = Field(default=None, description="What may answer instead.")
    filters: list[FilterEntry] = Field(default=[], description="Run behind the listener's.")

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Route:
        if (self.pool is None) == (self.redirect is None):
            raise ValueError("a route needs either pool or redirect")
        if self.cache is not None and self.pool is None:
            raise ValueError("a redirect needs no cache")
        return self


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
    trust_proxy: Networks = Field(default=[], description="Whose forwarding fields are believed.")
    filters: list[FilterEntry] = Field(default=[], description="In the order in which they run.")
    routes: list[Route] = Field(default=[], description="In the order in which they are tried.")

    @model_validator(mode="after")
    def _listens_somewhere(self) -> ReverseListener:
        if not self.listen and self.tls is None:
            raise ValueError("it listens nowhere: give listen or tls")
        return self
