"""Everything that can go wrong with an exchange, each with the answer that it deserves.

One small hierarchy: whoever meets a fault raises it, and the engine alone turns it into a status,
a ``Proxy-Status`` error type (RFC 9209 section 2.3) and a sentence in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class ProxykitError(Exception):
    """A fault in an exchange.

    The message is one sentence for the log and the error page: it says what was wrong and never
    holds a secret.

    :cvar status: the status code to answer with.
    :cvar error_type: the ``error`` parameter of Proxy-Status.
    :cvar closes: whether the client's connection cannot be used after this fault.
    :ivar retry_after_seconds: after which the client may ask again, ``None`` when nobody knows.
    """

    status: ClassVar[int] = 500
    error_type: ClassVar[str] = "proxy_internal_error"
    closes: ClassVar[bool] = False
    retry_after_seconds: float | None = None

    @property
    def facts(self) -> Mapping[str, str]:
        """What a program that reads the answer may want to know: more members of its JSON."""
        return {}


class ConfigurationError(ProxykitError):
    """What an operator asked for cannot be done."""

    error_type = "proxy_configuration_error"


# --- faults of the client -------------------------------------------------------------------


class BadRequest(ProxykitError):
    """The request breaks the grammar, or two programs could read it in two ways."""

    status = 400
    error_type = "http_request_error"
    closes = True


class VersionNotSupported(BadRequest):
    """The request is of a major version that is not spoken here (RFC 9110 section 15.6.6)."""

    status = 505


class TargetTooLong(BadRequest):
    """The request line is over its limit (RFC 9112 section 3)."""

    status = 414


class HeadTooLarge(BadRequest):
    """The head, or the number of its fields, is over its limit (RFC 6585 section 5)."""

    status = 431


class BodyTooLarge(BadRequest):
    """The request's content is over its limit (RFC 9110 section 15.5.14)."""

    status = 413


class MethodNotAllowed(ProxykitError):
    """What is asked for does not have this method (RFC 9110 section 15.5.6)."""

    status = 405
    error_type = "http_request_error"


class ClientTooSlow(BadRequest):
    """The client did not send its request in time (RFC 9110 section 15.5.9)."""

    status = 408


class WrongListener(BadRequest):
    """A well-formed request that this kind of listener does not serve."""

    closes = False


class Denied(ProxykitError):
    """The policy does not allow this exchange."""

    status = 403
    error_type = "http_request_denied"


class DestinationProhibited(Denied):
    """The destination resolved to an address that may not be reached."""

    error_type = "destination_ip_prohibited"


class TooManyRequests(Denied):
    """The client has asked for more than it may in this time (RFC 6585 section 4)."""

    status = 429


class NotAuthenticated(Denied):
    """A server's client has not said who it is (RFC 9110 section 15.5.2)."""

    status = 401


class ProxyNotAuthenticated(NotAuthenticated):
    """A proxy's client has not said who it is (RFC 9110 section 15.5.8)."""

    status = 407


class TooManyAttempts(Denied):
    """Too many credentials were wrong; others are not looked at for now (RFC 6585 section 4)."""

    status = 429


class BlockedByList(Denied):
    """A line of a blocklist blocks this exchange."""

    def __init__(self, list_name: str, rule: str) -> None:
        """Name the line.

        :param list_name: the list's.
        :param rule: what it says.
        """
        super().__init__(f"the list {list_name} blocks this: {rule}")
        self.list_name = list_name
        self.rule = rule

    @property
    def facts(self) -> Mapping[str, str]:
        """The list and the rule."""
        return {"list": self.list_name, "rule": self.rule}


class QuotaUsedUp(TooManyRequests):
    """The client has had all that it may have in a day or a month."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        """Say what is used up.

        :param retry_after_seconds: until the next day or month.
        """
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NoRoute(ProxykitError):
    """No route takes this request."""

    status = 404
    error_type = "destination_not_found"


class LoopDetected(ProxykitError):
    """The request has been here before: our own name stands in its Via."""

    status = 508
    error_type = "proxy_loop_detected"


# --- faults on the way to the origin --------------------------------------------------------


class UpstreamError(ProxykitError):
    """The next server could not be reached, or what it answered cannot be used."""

    status = 502
    error_type = "destination_unavailable"


class NameNotResolved(UpstreamError):
    """The destination's name has no usable address."""

    error_type = "dns_error"


class ConnectionRefused(UpstreamError):
    """The next server refused the connection or could not be reached."""

    error_type = "connection_refused"


class DestinationUnroutable(UpstreamError):
    """No network leads to the next server's addresses, or none from the address to go out by."""

    error_type = "destination_ip_unroutable"


class CertificateNotTrusted(UpstreamError):
    """The next server's certificate was not verified."""

    error_type = "tls_certificate_error"


class TlsFailed(UpstreamError):
    """The TLS handshake with the next server failed."""

    error_type = "tls_protocol_error"


class BadResponse(UpstreamError):
    """The response breaks the grammar or its framing is ambiguous."""

    error_type = "http_protocol_error"


class ResponseIncomplete(UpstreamError):
    """The connection ended before the response did."""

    error_type = "http_response_incomplete"


class ConnectTimeout(UpstreamError):
    """The connection was not established in time."""

    status = 504
    error_type = "connection_timeout"


class ResponseTimeout(UpstreamError):
    """The response did not begin, or did not go on, in time."""

    status = 504
    error_type = "http_response_timeout"


class Unavailable(UpstreamError):
    """There is no usable server, or no room in its queue, or the proxy is shutting down."""

    status = 503


class UnderMaintenance(Unavailable):
    """The operator has taken what was asked for out of service for a while."""

    error_type = "http_request_denied"


class QueueFull(Unavailable):
    """Every connection to the server is taken and so is every place in the queue."""

    error_type = "connection_limit_reached"


class ServerNotUsable(Unavailable):
    """The server became unusable while an exchange waited for a connection to it."""


# --- what only a parent proxy can do --------------------------------------------------------


class ParentCredentialsRefused(UpstreamError):
    """A parent wants credentials, or others than it was given."""

    error_type = "proxy_configuration_error"


class NotReachedByParent(UpstreamError):
    """A parent works, and says that it cannot reach the destination."""


class DeniedByParent(NotReachedByParent):
    """A parent works, and does not allow the destination."""

    error_type = "http_request_denied"


class RefusedBehindParent(NotReachedByParent):
    """The destination refused the parent's connection."""

    error_type = "connection_refused"


class UnroutableBehindParent(NotReachedByParent):
    """No network leads from the parent to the destination, or its name does not resolve there."""

    error_type = "destination_ip_unroutable"


class SlowBehindParent(NotReachedByParent):
    """The destination did not accept the parent's connection in time."""

    status = 504
    error_type = "connection_timeout"
