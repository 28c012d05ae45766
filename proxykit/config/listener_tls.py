"""The models of TLS towards clients: where, and by which certificate."""

from __future__ import annotations

from pydantic import Field

from ..options import Options
from .field_types import Endpoints


class CertificatePair(Options):
    """A certificate with its key."""

    certificate: str = Field(description="A PEM file, the chain behind the certificate.")
    key: str = Field(description="A PEM file without a passphrase.")


class ListenerTls(Options):
    """TLS on a listener."""

    listen: Endpoints = Field(description="Where clients connect with TLS.", min_length=1)
    certificates: list[CertificatePair] = Field(
        min_length=1, max_length=1, description="One, for now, for all names."
    )
