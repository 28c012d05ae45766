"""Users of a Kerberos realm: the Negotiate scheme (RFC 4559, RFC 4178), by gssapi in threads.

Each request is verified for itself, by one token: a connection is never somebody's, for it may
carry the requests of many. So there is no second leg, and no NTLM, which needs one.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from pathlib import Path
from typing import Any

from attrs import field, frozen
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ICredentials
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..errors import ConfigurationError
from .fields import MalformedCredentials
from .identity import Identity, checked_identity
from .limit import CORES, Limit

try:
    import gssapi
except ImportError:  # pragma: no cover - the extra is not installed
    gssapi = None

_MOST_WAITING = 64


class INegotiateToken(ICredentials):
    """A token by which a client says who it is."""


@implementer(INegotiateToken)
@frozen(slots=True)
class NegotiateToken:
    """A token as the client sent it, decoded."""

    token: bytes = field(repr=False)


def parse_negotiate(token68: bytes) -> NegotiateToken:
    """Read the credentials of the Negotiate scheme (RFC 4559 section 4.2).

    :raises MalformedCredentials: when they are none that can be taken.
    """
    try:
        token = b64decode(token68, validate=True)
    except (Base64Error, ValueError):
        token = b""
    if not token:
        raise MalformedCredentials("the Negotiate token is not Base64")
    if token.startswith(b"NTLMSSP"):
        raise MalformedCredentials("the Negotiate token is NTLM; only Kerberos is taken")
    return NegotiateToken(token)


@implementer(ICredentialsChecker)
class NegotiateChecker:
    """Verifies tokens with the keys of a keytab; nobody else is asked."""

    credentialInterfaces = (INegotiateToken,)

    def __init__(self, keytab: Path, local_realms: frozenset[str], reactor: Any) -> None:
        """Read the keytab.

        :param local_realms: whose users are named without their realm.
        :raises ConfigurationError: when it cannot be used, or gssapi is not installed.
        """
        if gssapi is None:
            raise ConfigurationError(
                "negotiate needs the gssapi package: pip install 'proxykit[negotiate]'"
            )
        self._reactor = reactor
        self._local_realms = local_realms
        self._store = {"keytab": f"FILE:{keytab}"}
        self._limit = Limit(CORES, _MOST_WAITING, "tickets")
        try:
            keytab.read_bytes()
            gssapi.Credentials(usage="accept", store=self._store)
        except (OSError, gssapi.exceptions.GSSError) as error:
            raise ConfigurationError(f"{keytab} is no usable keytab: {error}") from None

    def requestAvatarId(self, credentials: NegotiateToken) -> Deferred[Any]:
        """See ``ICredentialsChecker``.

        :raises QueueFull: when too many wait already.
        """
        return self._limit.in_thread(self._reactor, self._verify, credentials.token)

    def _verify(self, token: bytes) -> Identity:
        """Verify a token, in a thread: the cache of those that were used already is a file."""
        try:
            # Acquired each time: a keytab whose keys were renewed is read again.
            own = gssapi.Credentials(usage="accept", store=self._store)
            context = gssapi.SecurityContext(creds=own, usage="accept")
            context.step(token)
            if not context.complete or context.mech != gssapi.MechType.kerberos:
                raise UnauthorizedLogin("the client wants to negotiate something else")
            principal = str(context.initiator_name)
        except gssapi.exceptions.GSSError:
            raise UnauthorizedLogin("the ticket is not valid here") from None
        name, _, realm = principal.rpartition("@")
        try:
            return checked_identity(name if realm in self._local_realms else principal)
        except ValueError:
            raise UnauthorizedLogin("the principal's name is not usable") from None
