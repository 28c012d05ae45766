"""Users in an LDAP directory, by python-ldap in threads (RFC 4511, RFC 4513, RFC 4515).

A user is found by a search, or its DN is written down, and the password is verified by binding as
that DN. Whatever a client sends is escaped before it becomes part of a filter or a DN.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from attrs import define, frozen
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..errors import ConfigurationError, ResponseTimeout, UpstreamError
from .fields import BasicCredentials
from .identity import Identity, checked_identity
from .limit import Limit

try:
    import ldap
    import ldap.dn
    import ldap.filter
except ImportError:  # pragma: no cover - the extra is not installed
    ldap = None

Entry = dict[str, list[bytes]]

_MOST_CONNECTIONS = 4
_MOST_WAITING = 64
_MOST_GROUPS = 1024
_IDLE_SECONDS = 60.0


@frozen(slots=True)
class Directory:
    """Where users are, and how they are found.

    :ivar url: ``ldap://`` or ``ldaps://``.
    :ivar start_tls: whether ``ldap://`` begins TLS before anything is said.
    :ivar ca_file: a PEM file of roots to trust, ``None`` for the platform's.
    :ivar timeout: seconds for each step.
    :ivar user_dn: the DN of a user with ``{user}`` in it; ``""`` to search.
    :ivar base: where users are searched below.
    :ivar filter: what a user's entry matches, with ``{user}`` in it.
    :ivar bind_dn: who searches, ``""`` for anybody.
    :ivar bind_password: and its password.
    :ivar groups_attribute: the attribute of a user's entry that names groups, or ``""``.
    :ivar groups_base: where groups are searched below, ``""`` for not at all.
    :ivar groups_filter: what a group's entry matches, with ``{dn}`` or ``{user}`` in it.
    :ivar groups_name: the attribute that names a group.
    """

    url: str
    start_tls: bool
    ca_file: Path | None
    timeout: float
    user_dn: str
    base: str
    filter: str
    bind_dn: str
    bind_password: str
    groups_attribute: str
    groups_base: str
    groups_filter: str
    groups_name: str

    def __repr__(self) -> str:
        return f"<Directory {self.url}>"


@define(slots=True)
class _Idle:
    """A connection that waits for the next user."""

    connection: Any
    since: float


@implementer(ICredentialsChecker)
class LdapChecker:
    """Verifies passwords by binding to a directory, over a few connections that are kept."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(
        self, directory: Directory, reactor: Any, clock: Callable[[], float] = monotonic
    ) -> None:
        """Connect to nothing yet.

        :raises ConfigurationError: when python-ldap is not installed.
        """
        if ldap is None:
            raise ConfigurationError(
                "ldap needs the python-ldap package: pip install 'proxykit[ldap]'"
            )
        self._directory = directory
        self._reactor = reactor
        self._clock = clock
        self._limit = Limit(_MOST_CONNECTIONS, _MOST_WAITING, "LDAP users")
        # Only touched by threads that the limit lets in; list's append and pop are atomic.
        self._idle: list[_Idle] = []
        self._closing: Any = None
        self._name_attribute = _name_attribute(directory)

    def requestAvatarId(self, credentials: BasicCredentials) -> Deferred[Any]:
        """See ``ICredentialsChecker``.

        :raises UnauthorizedLogin: for an empty password, which a directory would take for
            no authentication at all and let pass (RFC 4513 section 5.1.2).
        :raises QueueFull: when too many wait already.
        """
        if not credentials.password or not credentials.username:
            raise UnauthorizedLogin("an empty password is nobody's")
        if self._closing is None:
            self._closing = self._reactor.callLater(_IDLE_SECONDS, self._close_idle)
        return self._limit.in_thread(self._reactor, self._verify, credentials)

    # --- in a thread --------------------------------------------------------------------------

    def _verify(self, credentials: BasicCredentials) -> Identity:
        """Verify a user's password.

        :raises UnauthorizedLogin: when it is wrong or the user is not found.
        :raises UpstreamError: when the directory does not say.
        """
        try:
            idle = self._take_idle()
            if idle is not None:
                try:
                    return self._verify_on(idle, credentials)
                except (ldap.SERVER_DOWN, ldap.CONNECT_ERROR, ldap.UNAVAILABLE):
                    pass  # it was closed while it was idle: once more, on a new one
            return self._verify_on(self._connect(), credentials)
        except ldap.TIMEOUT:
            raise ResponseTimeout("the directory did not answer in time") from None
        except ldap.LDAPError as error:
            raise UpstreamError(f"the directory failed: {_words(error)}") from None

    def _verify_on(self, connection: Any, credentials: BasicCredentials) -> Identity:
        done = False
        try:
            identity = self._find_and_bind(connection, credentials)
            done = True
            return identity
        except UnauthorizedLogin:
            done = True
            raise
        finally:
            if done:
                self._idle.append(_Idle(connection, self._clock()))
            else:
                _close(connection)

    def _find_and_bind(self, connection: Any, credentials: BasicCredentials) -> Identity:
        directory = self._directory
        user = credentials.user
        if directory.base:
            self._bind_as_searcher(connection)
            dn, entry = self._find(connection, user)
            _bind(connection, dn, credentials.password)
        else:
            dn = directory.user_dn.replace("{user}", ldap.dn.escape_dn_chars(user))
            _bind(connection, dn, credentials.password)
            dn, entry = self._own_entry(connection, dn)
        # Directories compare names without regard to case and spaces; rules here do not. So a user
        # is called what the directory says, however the client wrote it.
        name = entry.get(self._name_attribute, [b""])[0].decode("utf-8", "replace")
        name = name or " ".join(user.lower().split())
        groups = [_first_value(each) for each in entry.get(directory.groups_attribute.lower(), ())]
        if directory.groups_base:
            if directory.base:
                self._bind_as_searcher(connection)
            groups += self._find_groups(connection, dn, name)
        try:
            return checked_identity(name, groups)
        except ValueError:
            raise UnauthorizedLogin("the directory gives no usable name") from None

    def _bind_as_searcher(self, connection: Any) -> None:
        try:
            connection.simple_bind_s(self._directory.bind_dn, self._directory.bind_password)
        except ldap.INVALID_CREDENTIALS:
            raise UpstreamError("the directory does not take bind_dn and its password") from None

    def _find(self, connection: Any, user: str) -> tuple[str, Entry]:
        """Find a user's entry by the filter.

        Somebody who is not there gets a DN that no password fits, so that as much is asked of the
        directory as for a user who is.
        """
        directory = self._directory
        wanted = directory.filter.replace("{user}", ldap.filter.escape_filter_chars(user))
        try:
            found = self._search(connection, directory.base, ldap.SCOPE_SUBTREE, wanted)
        except ldap.SIZELIMIT_EXCEEDED:
            found = []
        if len(found) != 1:
            return f"cn=nobody-{secrets.token_hex(8)},{directory.base}", {}
        return found[0]

    def _own_entry(self, connection: Any, dn: str) -> tuple[str, Entry]:
        """Read the entry that the connection is bound as, if the directory lets a user do that."""
        try:
            found = self._search(connection, dn, ldap.SCOPE_BASE, "(objectClass=*)")
        except (ldap.INSUFFICIENT_ACCESS, ldap.NO_SUCH_OBJECT):
            found = []
        return found[0] if found else (dn, {})

    def _search(
        self, connection: Any, base: str, scope: int, wanted: str
    ) -> list[tuple[str, Entry]]:
        """Search users; give the DNs and attributes, names in lower case."""
        attributes = [self._name_attribute, self._directory.groups_attribute]
        entries = connection.search_ext_s(
            base,
            scope,
            wanted,
            [each for each in attributes if each] or ["1.1"],  # RFC 4511 section 4.5.1.8: none
            timeout=self._directory.timeout,
            sizelimit=2,
        )
        return [
            (dn, {name.lower(): values for name, values in entry.items()})
            for dn, entry in entries
            if dn is not None  # which is a referral
        ]

    def _find_groups(self, connection: Any, dn: str, user: str) -> list[str]:
        directory = self._directory
        escaped = {
            "{dn}": ldap.filter.escape_filter_chars(dn),
            "{user}": ldap.filter.escape_filter_chars(user),
        }
        wanted = re.sub(r"\{dn\}|\{user\}", lambda m: escaped[m[0]], directory.groups_filter)
        entries = connection.search_ext_s(
            directory.groups_base,
            ldap.SCOPE_SUBTREE,
            wanted,
            [directory.groups_name],
            timeout=directory.timeout,
            sizelimit=_MOST_GROUPS,
        )
        return [
            value.decode("utf-8", "replace")
            for found, values in entries
            if found is not None
            for each in values.values()
            for value in each
        ]

    # --- connections --------------------------------------------------------------------------

    def _connect(self) -> Any:
        directory = self._directory
        connection = ldap.initialize(directory.url)
        connection.protocol_version = ldap.VERSION3
        connection.network_timeout = directory.timeout
        connection.timeout = directory.timeout
        # A referral would take the password to a server that nobody chose.
        connection.set_option(ldap.OPT_REFERRALS, 0)
        if directory.url.startswith("ldaps:") or directory.start_tls:
            connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
            if directory.ca_file is not None:
                connection.set_option(ldap.OPT_X_TLS_CACERTFILE, str(directory.ca_file))
            connection.set_option(ldap.OPT_X_TLS_PROTOCOL_MIN, ldap.OPT_X_TLS_PROTOCOL_TLS1_2)
            connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        if directory.start_tls:
            connection.start_tls_s()
        return connection

    def _take_idle(self) -> Any:
        """Give a connection that was used a moment ago, ``None`` when there is none."""
        while self._idle:
            try:
                idle = self._idle.pop()
            except IndexError:
                break
            if idle.since + _IDLE_SECONDS > self._clock():
                return idle.connection
            _close(idle.connection)
        return None

    def _close_idle(self) -> None:
        """Close what nobody has used for a while; look again while there is something left."""
        oldest = self._clock() - _IDLE_SECONDS / 2
        old = [each for each in self._idle if each.since <= oldest]
        for each in old:
            try:
                self._idle.remove(each)
            except ValueError:
                continue
            self._reactor.callInThread(_close, each.connection)
        remain = bool(self._idle)
        self._closing = self._reactor.callLater(_IDLE_SECONDS, self._close_idle) if remain else None


def _bind(connection: Any, dn: str, password: bytes) -> None:
    """Verify a password.

    :raises UnauthorizedLogin: when it is wrong or the user may not log in.
    """
    try:
        connection.simple_bind_s(dn, password.decode("utf-8"))
    except (ldap.INVALID_CREDENTIALS, ldap.INVALID_DN_SYNTAX, ldap.NO_SUCH_OBJECT):
        raise UnauthorizedLogin("the user or the password is wrong") from None
    except (ldap.UNWILLING_TO_PERFORM, ldap.CONSTRAINT_VIOLATION, ldap.INAPPROPRIATE_AUTH):
        raise UnauthorizedLogin("the directory does not let the user in") from None


def _name_attribute(directory: Directory) -> str:
    """Give the attribute that holds users' names: the one that ``{user}`` stands for."""
    text = directory.filter if directory.base else f"({directory.user_dn}"
    match = re.search(r"(?:^|[(,&|])\s*([A-Za-z][A-Za-z0-9;-]*)=\{user\}", text)
    return match[1].lower() if match else ""


def _close(connection: Any) -> None:
    try:
        connection.unbind_s()
    except ldap.LDAPError:
        pass  # it is gone already


def _first_value(value: bytes) -> str:
    """Give a group's name: the value of a DN's first RDN, or the text itself where it is no DN."""
    text = value.decode("utf-8", "replace")
    try:
        return str(ldap.dn.str2dn(text)[0][0][1])
    except (ldap.DECODING_ERROR, IndexError):
        return text


def _words(error: Exception) -> str:
    """Give what a directory's library says is wrong, without what it was asked."""
    details = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    said = [str(details[key]) for key in ("desc", "info") if details.get(key)]
    return ", ".join(said)[:200] or type(error).__name__
