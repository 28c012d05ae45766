"""The ``auth`` filter: asks for a user's name and password (Basic, RFC 7617) and verifies them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.strcred import InvalidAuthArgumentString, InvalidAuthType, makeChecker
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.plugin import IPlugin
from twisted.python.failure import Failure
from zope.interface import implementer

from ..authentication.attempts import Attempts
from ..authentication.challenge import Telling, challenge, credentials_field, too_many_attempts
from ..authentication.fields import (
    BasicCredentials,
    MalformedCredentials,
    parse_basic,
    parse_credentials,
    quoted,
)
from ..authentication.htpasswd import HtpasswdChecker, parse_groups
from ..authentication.http_client import HttpClient
from ..authentication.identity import Identity, identity_of
from ..authentication.ldap import Directory, LdapChecker
from ..authentication.memory import Memory
from ..authentication.option_types import FieldName, Realm, ServiceUrl
from ..authentication.service import ServiceChecker
from ..authentication.watched_file import WatchedFile
from ..engine.exchange import Exchange
from ..errors import ConfigurationError
from ..interfaces import IFilterFactory, IRequestFilter
from ..message.response import Response
from ..options import BuildContext, Duration, Options

_log = Logger()
_MOST_DELAYED = 256


# --- options ----------------------------------------------------------------------------------


class LdapOptions(Options):
    """A directory that knows the users."""

    url: str = Field(pattern=r"^ldaps?://[^/?]+/?$", description="ldap:// or ldaps://.")
    start_tls: bool = Field(default=False, description="Begin TLS on an ldap:// connection.")
    ca: Path | None = Field(default=None, description="A PEM file of roots; else the platform's.")
    timeout: Duration = Field(default=5.0, description="For each step.")
    user_dn: str = Field(default="", description='A user\'s DN with "{user}" in it; or else:')
    base: str = Field(default="", description="Below which users are searched.")
    filter: str = Field(default="(uid={user})", description="What a user's entry matches.")
    bind_dn: str = Field(default="", description="Who searches; anybody if not given.")
    bind_password_file: Path | None = Field(default=None, description="A file with its password.")
    groups_attribute: str = Field(
        default="memberOf", description="The attribute of a user that names groups."
    )
    groups_base: str = Field(default="", description="Below which groups are searched.")
    groups_filter: str = Field(
        default="(|(member={dn})(uniqueMember={dn})(memberUid={user}))",
        description="What a group's entry matches.",
    )
    groups_name: str = Field(default="cn", description="The attribute that names a group.")

    @model_validator(mode="after")
    def _one_way(self) -> LdapOptions:
        if bool(self.user_dn) == bool(self.base):
            raise ValueError("ldap needs either user_dn or base")
        if "{user}" not in (self.user_dn or self.filter):
            raise ValueError("there is no {user} in user_dn or filter")
        if self.start_tls and self.url.startswith("ldaps:"):
            raise ValueError("start_tls is for ldap://; ldaps:// is TLS already")
        if bool(self.bind_dn) != bool(self.bind_password_file):
            raise ValueError("bind_dn and bind_password_file go together")
        return self


class ServiceOptions(Options):
    """An HTTP service that is asked with the client's credentials."""

    url: ServiceUrl = Field(description="Asked with GET; 2xx is yes, 401 and 403 are no.")
    timeout: Duration = Field(default=5.0, description="For an answer.")
    ca: Path | None = Field(default=None, description="A PEM file of roots; else the platform's.")
    user_header: FieldName = Field(default="", description="Names the user, in its answer.")
    groups_header: FieldName = Field(default="", description="Names the groups, in its answer.")


class BruteForceOptions(Options):
    """How guessing is slowed down."""

    attempts: int = Field(
        default=10, ge=1, le=1000, description="Wrong guesses at a user that an address has."
    )
    attempts_per_address: int = Field(default=100, ge=1, le=10_000, description="And at all users.")
    window: Duration = Field(default=300.0, description="In this time; then there are new ones.")


class AuthOptions(Options):
    """Who knows the users, and how they are asked for."""

    users: Path | None = Field(default=None, description="An htpasswd file.")
    ldap: LdapOptions | None = Field(default=None, description="A directory.")
    service: ServiceOptions | None = Field(default=None, description="An HTTP service.")
    checker: str | None = Field(
        default=None, description="A twisted.cred checker plug-in, as strcred has it: NAME[:ARG]."
    )
    groups: Path | None = Field(default=None, description='A file of "group: user user" lines.')
    realm: Realm = Field(default="Proxykit", description="What the user is asked for.")
    remember: Duration = Field(
        default=300.0, description="How long an answer is good for; 0s to verify each request."
    )
    brute_force: BruteForceOptions = Field(
        default=BruteForceOptions(), description="How guessing is slowed down."
    )
    user_header: FieldName = Field(default="", description="Tells servers the user.")
    groups_header: FieldName = Field(default="", description="Tells servers the groups.")
    pass_credentials: bool = Field(
        default=False, description="Whether servers see the Authorization field (reverse only)."
    )

    @model_validator(mode="after")
    def _one_source(self) -> AuthOptions:
        given = [each for each in (self.users, self.ldap, self.service, self.checker) if each]
        if len(given) != 1:
            raise ValueError("auth needs one of users, ldap, service and checker")
        return self


# --- the filter -------------------------------------------------------------------------------


@implementer(IRequestFilter)
class Auth:
    """Lets in who has a name and the password for it; the others are asked, or told to wait."""

    def __init__(self, options: AuthOptions, context: BuildContext) -> None:
        """Read the files; nobody is asked anything yet.

        :raises ConfigurationError: when they cannot be used.
        """
        self._reactor = context.reactor
        brute_force = options.brute_force
        self._attempts = Attempts(
            brute_force.attempts, brute_force.attempts_per_address, brute_force.window
        )
        self._memory = Memory(options.remember)
        self._checker = _make_checker(options, context, self._memory)
        self._groups: WatchedFile[dict[str, frozenset[str]]] | None = None
        if options.groups is not None:
            path = context.directory / options.groups
            self._groups = WatchedFile(path, parse_groups, context.reactor, self._memory.forget)
        files = [getattr(self._checker, "look", None), getattr(self._groups, "look", None)]
        self._looks = tuple(look for look in files if look is not None)
        # RFC 7617 section 2.1: the one charset that a client may be told.
        self._scheme = b'Basic realm=%s, charset="UTF-8"' % quoted(options.realm)
        self._telling = Telling(
            options.user_header.encode("ascii"),
            options.groups_header.encode("ascii"),
            options.pass_credentials,
        )
        self._verifying: dict[bytes, list[Deferred[Identity]]] = {}
        self._delayed = 0

    def request(self, exchange: Exchange) -> Response | Any:
        """See ``IRequestFilter``; waits only for credentials that are not remembered."""
        value = credentials_field(exchange)
        if value is None:
            return challenge(exchange, "authentication is required", self._scheme)
        for look in self._looks:
            look()
        digest = self._memory.digest(value)
        accepted = self._memory.accepted(digest)
        if accepted is None:
            return self._not_remembered(exchange, value, digest)
        if self._attempts.any:
            seconds = self._attempts.blocked_seconds(
                exchange.client_address, accepted.account, digest, is_right=True
            )
            if seconds:
                return too_many_attempts(exchange, seconds)
        self._telling.accept(exchange, accepted.identity)
        return None

    def _not_remembered(self, exchange: Exchange, value: bytes, digest: bytes) -> Any:
        """Answer what can be answered without verification, or begin one."""
        try:
            sent = parse_credentials(value)
            if sent.scheme != "basic":
                return challenge(exchange, "another scheme than Basic was used", self._scheme)
            credentials = parse_basic(sent.token68)
        except MalformedCredentials as error:
            return challenge(exchange, str(error), self._scheme)
        account = self._memory.digest(credentials.username)
        seconds = self._attempts.blocked_seconds(exchange.client_address, account, digest)
        if seconds:
            return too_many_attempts(exchange, seconds)
        if self._memory.is_refused(digest):
            return self._refused(exchange)
        return self._verify(exchange, credentials, account, digest)

    async def _verify(
        self, exchange: Exchange, credentials: BasicCredentials, account: bytes, digest: bytes
    ) -> Response | None:
        """Have the checker verify credentials, after a while where somebody guesses."""
        address = exchange.client_address
        attempts, memory = self._attempts, self._memory
        delay = attempts.begin(address, account, digest)
        generation = memory.generation
        try:
            if delay:
                if self._delayed >= _MOST_DELAYED:
                    attempts.withdrawn(address, account, digest)
                    return too_many_attempts(exchange, delay)
                await self._wait(delay)
            identity = await self._once(digest, credentials)
        except UnauthorizedLogin:
            if memory.generation == generation:
                memory.refuse(digest)
            return self._refused(exchange)
        except BaseException:
            attempts.withdrawn(address, account, digest)
            raise
        attempts.succeeded(address, account, digest)
        if self._groups is not None:
            groups = self._groups.value.get(identity.name, frozenset())
            identity = Identity(identity.name, identity.groups | groups)
        if memory.generation == generation:
            memory.accept(digest, identity, account)
        self._telling.accept(exchange, identity)
        return None

    async def _wait(self, seconds: float) -> None:
        self._delayed += 1
        try:
            await deferLater(self._reactor, seconds)
        finally:
            self._delayed -= 1

    def _once(self, digest: bytes, credentials: BasicCredentials) -> Deferred[Identity]:
        """Verify credentials once for all that ask at the same time: a browser asks six times."""
        result: Deferred[Identity] = Deferred()
        waiting = self._verifying.get(digest)
        if waiting is not None:
            waiting.append(result)
            return result
        waiting = self._verifying[digest] = [result]

        def answered(outcome: Identity | Failure) -> None:
            del self._verifying[digest]
            for each in waiting:
                each.callback(outcome)  # of a failure it makes an errback

        verifying = maybeDeferred(self._checker.requestAvatarId, credentials)
        verifying.addCallback(identity_of).addBoth(answered)
        return result

    def _refused(self, exchange: Exchange) -> Response:
        return challenge(exchange, "the user or the password is wrong", self._scheme)


def _make_checker(options: AuthOptions, context: BuildContext, memory: Memory) -> Any:
    """Make the ``ICredentialsChecker`` that the options ask for."""
    if options.users is not None:
        path = context.directory / options.users
        return HtpasswdChecker(path, context.reactor, memory.forget)
    if options.ldap is not None:
        return LdapChecker(_directory(options.ldap, context.directory), context.reactor)
    if options.service is not None:
        service = options.service
        ca_file = context.directory / service.ca if service.ca is not None else None
        client = HttpClient(context.reactor, service.url, service.timeout, ca_file)
        return ServiceChecker(client, service.user_header, service.groups_header)
    assert options.checker is not None
    kind = options.checker.partition(":")[0]
    try:
        checker = makeChecker(options.checker)
    except InvalidAuthType:
        raise ConfigurationError(f"there is no twisted.cred checker {kind!r}") from None
    except InvalidAuthArgumentString as error:
        raise ConfigurationError(f"the checker {kind!r} does not take this: {error}") from None
    if IUsernamePassword not in checker.credentialInterfaces:
        raise ConfigurationError(f"the checker {kind!r} does not check names and passwords")
    return checker


def _directory(options: LdapOptions, directory: Path) -> Directory:
    password = ""
    if options.bind_password_file is not None:
        path = directory / options.bind_password_file
        try:
            password = path.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path} cannot be read: {error}") from error
        if not password:
            raise ConfigurationError(f"{path} holds no password")
    if options.url.startswith("ldap:") and not options.start_tls:
        _log.warn("{url}: passwords go to the directory without TLS", url=options.url)
    return Directory(
        url=options.url.rstrip("/"),
        start_tls=options.start_tls,
        ca_file=directory / options.ca if options.ca is not None else None,
        timeout=options.timeout,
        user_dn=options.user_dn,
        base=options.base,
        filter=options.filter,
        bind_dn=options.bind_dn,
        bind_password=password,
        groups_attribute=options.groups_attribute,
        groups_base=options.groups_base,
        groups_filter=options.groups_filter,
        groups_name=options.groups_name,
    )


@implementer(IPlugin, IFilterFactory)
class AuthFactory:
    """Makes ``auth`` filters."""

    name = "auth"
    description = "asks for a name and a password; verified by htpasswd, LDAP or an HTTP service"
    options = AuthOptions

    def build(self, options: AuthOptions, context: BuildContext) -> Auth:
        """See ``IFilterFactory``."""
        return Auth(options, context)
