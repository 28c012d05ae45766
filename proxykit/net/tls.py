"""TLS contexts, for listeners and for connections to servers."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    TLSVersion,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from zope.interface import implementer

from ..errors import ConfigurationError

_ALPN = [b"http/1.1"]


def server_context(certificate: Path, key: Path) -> CertificateOptions:
    """Make the context of a listener.

    :param certificate: a PEM file: the certificate, and behind it those that lead to its root.
    :param key: a PEM file with its key, without a passphrase.
    :raises ConfigurationError: when they cannot be read or do not belong together.
    """
    try:
        chain = x509.load_pem_x509_certificates(_read(certificate))
    except ValueError as error:
        raise ConfigurationError(f"{certificate} holds no certificate: {error}") from error
    try:
        private_key = load_pem_private_key(_read(key), password=None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{key} holds no usable key: {error}") from error
    if chain[0].public_key() != private_key.public_key():
        raise ConfigurationError(f"the key in {key} is not the certificate's in {certificate}")
    first, *others = (crypto.X509.from_cryptography(each) for each in chain)
    return CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(private_key),  # type: ignore[arg-type]
        certificate=first,
        extraCertChain=others,
        raiseMinimumTo=TLSVersion.TLSv1_2,
        acceptableProtocols=_ALPN,
    )


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """Begins TLS with clients, under a context that can be replaced while it serves.

    :ivar context: for the connections that come from now on.
    """

    def __init__(self, context: CertificateOptions) -> None:
        """Take the first context."""
        self.context = context

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Make a connection's state."""
        connection = SSL.Connection(self.context.getContext(), None)
        connection.set_accept_state()
        return connection


def client_context(
    server_name: str, ca_file: Path | None = None, *, verify: bool = True
) -> IOpenSSLClientConnectionCreator:
    """Make what begins TLS with a server.

    :param server_name: the host name or address that its certificate must be for (RFC 9110 section
        4.3.4), verified by service-identity.
    :param ca_file: a PEM file of the roots to trust, ``None`` for the platform's.
    :param verify: ``False`` to take any certificate.
    :raises ConfigurationError: when ``ca_file`` cannot be read.
    """
    if not verify:
        return _Unverified(server_name)
    return optionsForClientTLS(
        server_name,
        trustRoot=platformTrust() if ca_file is None else _roots(ca_file),
        acceptableProtocols=_ALPN,
        extraCertificateOptions={"raiseMinimumTo": TLSVersion.TLSv1_2},
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error


def _roots(ca_file: Path) -> Any:
    try:
        certificates = x509.load_pem_x509_certificates(_read(ca_file))
    except ValueError as error:
        raise ConfigurationError(f"{ca_file} holds no certificate: {error}") from error
    return trustRootFromCertificates(
        [Certificate(crypto.X509.from_cryptography(each)) for each in certificates]
    )


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """Begins TLS with whoever answers."""

    def __init__(self, server_name: str) -> None:
        self._server_name = server_name
        self._context = CertificateOptions(
            verify=False, acceptableProtocols=_ALPN, raiseMinimumTo=TLSVersion.TLSv1_2
        ).getContext()

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Make a connection; a name is sent, an address is not (RFC 6066 section 3)."""
        connection = SSL.Connection(self._context, None)
        try:
            ipaddress.ip_address(self._server_name)
        except ValueError:
            connection.set_tlsext_host_name(self._server_name.encode("ascii"))
        connection.set_connect_state()
        return connection
