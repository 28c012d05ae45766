"""Twisted's and OpenSSL's failures in the proxy's own words, translated once, at the border."""

from __future__ import annotations

from OpenSSL import SSL
from service_identity.exceptions import VerificationError
from twisted.internet import error
from twisted.python.failure import Failure

from ..errors import (
    CertificateNotTrusted,
    ConnectionRefused,
    ConnectTimeout,
    DestinationUnroutable,
    NameNotResolved,
    ProxykitError,
    ResponseIncomplete,
    TlsFailed,
    UpstreamError,
)


def upstream_error(failure: Failure, name: str) -> ProxykitError:
    """Say in the proxy's words why a connection failed or ended.

    :param name: of the server.
    """
    value = failure.value
    if isinstance(value, ProxykitError):
        return value
    if isinstance(value, VerificationError):
        return CertificateNotTrusted(f"the certificate of {name} is not for that name")
    if isinstance(value, SSL.Error):
        return _tls_error(value, name)
    if isinstance(value, error.TimeoutError | error.TCPTimedOutError):
        return ConnectTimeout(f"{name} did not accept a connection in time")
    if isinstance(value, error.DNSLookupError | error.UnknownHostError):
        return NameNotResolved(f"{name} does not resolve")
    if isinstance(value, error.NoRouteError):
        return DestinationUnroutable(f"{name} cannot be reached: {_short(value)}")
    if isinstance(value, error.ConnectError):
        return ConnectionRefused(f"{name} cannot be reached: {_short(value)}")
    if isinstance(value, error.ConnectionDone | error.ConnectionLost | error.ConnectionAborted):
        return ResponseIncomplete(f"{name} closed the connection before the end of its response")
    return UpstreamError(f"{name} failed: {_short(value)}")


def _tls_error(value: SSL.Error, name: str) -> ProxykitError:
    details = value.args[0] if value.args and isinstance(value.args[0], list) else []
    reason = next((entry[2] for entry in details if len(entry) > 2), "") or str(value)
    if "certificate verify failed" in reason:
        return CertificateNotTrusted(f"the certificate of {name} is not trusted")
    return TlsFailed(f"TLS with {name} failed: {reason or 'unexpected end'}")


def _short(value: BaseException | None) -> str:
    return str(value).split("\n", 1)[0].rstrip(".")[:200] or type(value).__name__
