"""The ``auth`` filter: names and passwords (Basic, RFC 7617), tickets (Negotiate, RFC 4559)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater
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
from ..authentication.identity import Identity, identity_of
from ..authentication.memory import Memory
from ..authentication.negotiate import parse_negotiate
from ..authentication.option_types import FieldName, Realm
from ..authentication.sources import (
    LdapOptions,
    NegotiateOptions,
    ServiceOptions,
    ldap_checker,
    named_checker,
    negotiate_checker,
    service_checker,
)
from ..authentication.watched_file import WatchedFile
from ..engine.exchange import Exchange
from ..interfaces import IAuthenticating, IFilterFactory
from ..message.response import Response
from ..options import BuildContext, Duration, Options

_MOST_DELAYED = 256


# --- options ----------------------------------------------------------------------------------


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
    negotiate: NegotiateOptions | None = Field(
        default=None, description="A Kerberos realm; alone, or beside one of those."
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
        if len(given) > 1 or not (given or self.negotiate):
            raise ValueError("auth needs one of users, ldap, service and checker")
        return self


# --- the filter -------------------------------------------------------------------------------


@implementer(IAuthenticating)
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
        self._schemes: tuple[bytes, ...] = ()
        if self._checker is not None:
            # RFC 7617 section 2.1: the one charset that a client may be told.
            self._schemes = (b'Basic realm=%s, charset="UTF-8"' % quoted(options.realm),)
        self._negotiate: Any = None
        if options.negotiate is not None:
            self._negotiate = negotiate_checker(options.negotiate, context)
            self._schemes = (b"Negotiate", *self._schemes)
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
            return challenge(exchange, "authentication is required", *self._schemes)
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
            if sent.scheme == "negotiate" and self._negotiate is not None:
                return self._verify_token(exchange, parse_negotiate(sent.token68))
            if sent.scheme != "basic" or self._checker is None:
                return challenge(exchange, "another scheme was used than is taken", *self._schemes)
            credentials = parse_basic(sent.token68)
        except MalformedCredentials as error:
            return challenge(exchange, str(error), *self._schemes)
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
        identity = self._with_groups(identity)
        if memory.generation == generation:
            memory.accept(digest, identity, account)
        self._telling.accept(exchange, identity)
        return None

    async def _verify_token(self, exchange: Exchange, token: Any) -> Response | None:
        """Have a token verified. It is good for once, so nothing is remembered of it."""
        try:
            identity = await self._negotiate.requestAvatarId(token)
        except UnauthorizedLogin as error:
            return challenge(exchange, str(error), *self._schemes)
        self._telling.accept(exchange, self._with_groups(identity))
        return None

    def _with_groups(self, identity: Identity) -> Identity:
        """Add the groups that the file of groups knows of."""
        if self._groups is None:
            return identity
        groups = self._groups.value.get(identity.name, frozenset())
        return Identity(identity.name, identity.groups | groups)

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
        return challenge(exchange, "the user or the password is wrong", *self._schemes)


def _make_checker(options: AuthOptions, context: BuildContext, memory: Memory) -> Any:
    """Make the ``ICredentialsChecker`` for names and passwords, ``None`` when there is none."""
    if options.users is not None:
        path = context.directory / options.users
        return HtpasswdChecker(path, context.reactor, memory.forget)
    if options.ldap is not None:
        return ldap_checker(options.ldap, context)
    if options.service is not None:
        return service_checker(options.service, context)
    return named_checker(options.checker) if options.checker is not None else None


@implementer(IPlugin, IFilterFactory)
class AuthFactory:
    """Makes ``auth`` filters."""

    name = "auth"
    description = "asks for a name and a password; verified by htpasswd, LDAP or an HTTP service"
    options = AuthOptions

    def build(self, options: AuthOptions, context: BuildContext) -> Auth:
        """See ``IFilterFactory``."""
        return Auth(options, context)
