"""Users that an HTTP service knows: it is asked with the client's own credentials."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..errors import BadResponse
from .fields import BasicCredentials
from .http_client import HttpClient, Reply
from .identity import Identity, checked_identity


@implementer(ICredentialsChecker)
class ServiceChecker:
    """Asks a service: 2xx is yes, 401 and 403 are no, anything else is a fault of the service."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, client: HttpClient, user_header: str, groups_header: str) -> None:
        """Ask nothing yet.

        :param user_header: the field of the answer that says how the user is called here, ``""``
            for the name that the client sent.
        :param groups_header: the field of the answer that names the user's groups, or ``""``.
        """
        self._client = client
        self._user_header = user_header.lower().encode("ascii")
        self._groups_header = groups_header.lower().encode("ascii")

    def requestAvatarId(self, credentials: BasicCredentials) -> Deferred[Any]:
        """See ``ICredentialsChecker``.

        :returns: fails with a ``ProxykitError`` when the service gives no answer that says it.
        """
        pair = b64encode(credentials.username + b":" + credentials.password)

        def judge(reply: Reply) -> Identity:
            if 200 <= reply.status <= 299:
                return self._identity(reply, credentials)
            if reply.status in (401, 403):
                raise UnauthorizedLogin("the service says no")
            raise BadResponse(f"the authentication service answers {reply.status}")

        asking = self._client.get([(b"Authorization", b"Basic " + pair)])
        return asking.addCallback(judge)

    def _identity(self, reply: Reply, credentials: BasicCredentials) -> Identity:
        told = reply.get(self._user_header) if self._user_header else None
        name = credentials.user if told is None else told.decode("utf-8", "replace")
        try:
            return checked_identity(name, group_names(reply.get(self._groups_header)))
        except ValueError:
            raise UnauthorizedLogin("the name cannot be anybody's") from None


def group_names(value: bytes | None) -> list[str]:
    """Read groups from a field: a list with commas (RFC 9110 section 5.6.1)."""
    return [name.strip() for name in (value or b"").decode("utf-8", "replace").split(",")]
