"""The ``jwt`` filter: lets in who has a JSON Web Token as its Bearer (RFC 7519, RFC 6750)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Any, Literal

from pydantic import Field, model_validator
from twisted.internet.defer import Deferred, succeed
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..authentication.challenge import Telling, challenge, credentials_field
from ..authentication.fields import MalformedCredentials, parse_credentials, quoted
from ..authentication.http_client import HttpClient
from ..authentication.keys import Keys, KeySource, RemoteKeys, VerificationKey, parse_keys
from ..authentication.memory import Memory
from ..authentication.option_types import FieldName, Realm, ServiceUrl
from ..authentication.tokens import Expectations, UnknownKey, WrongToken, verify_token
from ..authentication.watched_file import WatchedFile
from ..engine.exchange import Exchange
from ..errors import ConfigurationError
from ..interfaces import IFilterFactory, IRequestFilter
from ..message.response import Response
from ..options import BuildContext, Duration, OneOrMore, Options

# --- options ----------------------------------------------------------------------------------

# RFC 7518 section 3.1, without "none", which is not to be had here.
PublicAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
SharedAlgorithm = Literal["HS256", "HS384", "HS512"]
# RFC 7518 section 3.2: a key is at least as long as the hash.
_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}


Texts = OneOrMore[str]


class JwtOptions(Options):
    """Which tokens are taken, and what they say of the user."""

    algorithms: OneOrMore[PublicAlgorithm | SharedAlgorithm] = Field(
        min_length=1, description="What tokens may be signed with."
    )
    keys: Path | None = Field(default=None, description="Public keys: PEM, or a JWK Set.")
    url: ServiceUrl | None = Field(default=None, description="Or the URL of a JWK Set.")
    secret_file: Path | None = Field(default=None, description="Or a shared secret, for HS256.")
    refresh: Duration = Field(default=600.0, description="After which the URL is asked again.")
    timeout: Duration = Field(default=5.0, description="For the URL's answer.")
    ca: Path | None = Field(default=None, description="A PEM file of roots for the URL.")
    issuer: Texts = Field(default=[], description="Whose tokens are taken; anybody's if none.")
    audience: Texts = Field(default=[], description="For whom tokens are; for nobody if none.")
    leeway: Duration = Field(default=30.0, description="How far clocks may be apart.")
    user_claim: str = Field(default="sub", description="The claim that names the user.")
    groups_claim: str = Field(
        default="groups", description='The claim that names the groups; "a.b" is b inside of a.'
    )
    realm: Realm = Field(default="Proxykit", description="What the token is for.")
    remember: Duration = Field(
        default=300.0, description="How long a verified token is not verified again."
    )
    user_header: FieldName = Field(default="", description="Tells servers the user.")
    groups_header: FieldName = Field(default="", description="Tells servers the groups.")
    pass_credentials: bool = Field(
        default=False, description="Whether servers see the Authorization field (reverse only)."
    )

    @model_validator(mode="after")
    def _one_source(self) -> JwtOptions:
        if len([each for each in (self.keys, self.url, self.secret_file) if each]) != 1:
            raise ValueError("jwt needs one of keys, url and secret_file")
        shared = [each for each in self.algorithms if each in _SECRET_BYTES]
        if shared and self.secret_file is None:
            # What is public would be the secret, and anybody could sign with it.
            raise ValueError(f"{shared[0]} is for a secret_file, not for public keys")
        if self.secret_file is not None and len(shared) != len(self.algorithms):
            raise ValueError("a secret_file is for HS256, HS384 and HS512 only")
        return self


# --- the filter -------------------------------------------------------------------------------


class _FileKeys:
    """Keys of a file, read again when it changes."""

    def __init__(self, file: WatchedFile[Keys]) -> None:
        self._file = file

    def keys(self) -> Keys:
        """See ``KeySource``."""
        self._file.look()
        return self._file.value

    def newer_keys(self) -> Deferred[Keys]:
        """See ``KeySource``; a file's keys are as new as they get."""
        return succeed(self._file.value)


@implementer(IRequestFilter)
class Jwt:
    """Lets in who has a token that holds; the others are asked for one."""

    def __init__(self, options: JwtOptions, context: BuildContext) -> None:
        """Read the files; no URL is asked yet.

        :raises ConfigurationError: when they cannot be used.
        """
        self._memory = Memory(options.remember)
        self._source = _make_source(options, context, self._memory)
        self._expected = Expectations(
            algorithms=frozenset(options.algorithms),
            issuers=tuple(options.issuer),
            audience=tuple(options.audience),
            leeway=options.leeway,
            user_claim=options.user_claim,
            groups_claim=options.groups_claim,
        )
        self._scheme = b"Bearer realm=%s" % quoted(options.realm)
        self._telling = Telling(
            options.user_header.encode("ascii"),
            options.groups_header.encode("ascii"),
            options.pass_credentials,
        )

    def request(self, exchange: Exchange) -> Response | Any:
        """See ``IRequestFilter``; waits only for keys that have to be asked for."""
        value = credentials_field(exchange)
        if value is None:
            # RFC 6750 section 3.1: who sent no token is told of no error.
            return challenge(exchange, "a token is required", self._scheme)
        keys = self._source.keys()
        digest = self._memory.digest(value)
        accepted = self._memory.accepted(digest)
        if accepted is not None:
            self._telling.accept(exchange, accepted.identity)
            return None
        try:
            sent = parse_credentials(value)
        except MalformedCredentials as error:
            return self._refused(exchange, error)
        if sent.scheme != "bearer" or not sent.token68:
            return challenge(exchange, "another scheme than Bearer was used", self._scheme)
        if keys is None:
            return self._verify_later(exchange, sent.token68, digest)
        try:
            self._verify(exchange, sent.token68, digest, keys)
        except UnknownKey:
            return self._verify_later(exchange, sent.token68, digest)
        except WrongToken as error:
            return self._refused(exchange, error)
        return None

    async def _verify_later(
        self, exchange: Exchange, token: bytes, digest: bytes
    ) -> Response | None:
        """Verify a token with keys that are waited for."""
        keys = await self._source.newer_keys()
        try:
            self._verify(exchange, token, digest, keys)
        except WrongToken as error:
            return self._refused(exchange, error)
        return None

    def _verify(self, exchange: Exchange, token: bytes, digest: bytes, keys: Sequence[Any]) -> None:
        identity, until = verify_token(token, tuple(keys), self._expected)
        self._memory.accept(digest, identity, b"", until - time())
        self._telling.accept(exchange, identity)

    def _refused(self, exchange: Exchange, why: Exception) -> Response:
        scheme = b'%s, error="invalid_token", error_description=%s' % (
            self._scheme,
            quoted(str(why)),
        )
        return challenge(exchange, str(why), scheme)


def _make_source(options: JwtOptions, context: BuildContext, memory: Memory) -> KeySource:
    directory = context.directory
    if options.url is not None:
        ca_file = directory / options.ca if options.ca is not None else None
        client = HttpClient(
            context.reactor, options.url, options.timeout, ca_file, most_bytes=256 * 1024
        )
        return RemoteKeys(client, options.refresh, memory.forget)
    if options.keys is not None:
        path, parse = directory / options.keys, parse_keys
    else:
        assert options.secret_file is not None
        path, parse = directory / options.secret_file, _parse_secret
    file = WatchedFile(path, parse, context.reactor, memory.forget)
    usable = {algorithm for key in file.value for algorithm in key.algorithms}
    for algorithm in options.algorithms:
        if algorithm not in usable:
            raise ConfigurationError(f"{path}: there is no key for {algorithm}")
    return _FileKeys(file)


def _parse_secret(data: bytes) -> Keys:
    secret = data.rstrip(b"\r\n")
    algorithms = [name for name, least in _SECRET_BYTES.items() if len(secret) >= least]
    if not algorithms:
        raise ValueError("a secret is at least 32 bytes long (for HS256), better random ones")
    return (VerificationKey(secret, "", frozenset(algorithms)),)


@implementer(IPlugin, IFilterFactory)
class JwtFactory:
    """Makes ``jwt`` filters."""

    name = "jwt"
    description = "lets in who has a JSON Web Token that a key of ours verifies"
    options = JwtOptions

    def build(self, options: JwtOptions, context: BuildContext) -> Jwt:
        """See ``IFilterFactory``."""
        return Jwt(options, context)
