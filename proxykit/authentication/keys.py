"""Public keys that tokens are verified with: PEM files, JWK Sets (RFC 7517), and a set at a URL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

import jwt
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import ProxykitError, Unavailable
from .http_client import HttpClient, Reply

_log = Logger()

# Up to the next hyphen only, or many beginnings without an end would cost their square.
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----")
_MOST_KEYS = 64
# An RSA key beyond this makes each token cost milliseconds; below, it is not safe any more.
_RSA_BITS = range(2048, 8192 + 1)
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_AGAIN_SECONDS = 30.0
_STALE_SECONDS = 24 * 3600.0


@frozen(slots=True)
class VerificationKey:
    """A key.

    :ivar key_id: its ``kid``, ``""`` when it has none.
    :ivar algorithms: the JWS algorithms that it is for, and no others.
    """

    key: Any
    key_id: str
    algorithms: frozenset[str]

    def __repr__(self) -> str:
        return f"<VerificationKey {self.key_id!r} {sorted(self.algorithms)}>"


Keys = tuple[VerificationKey, ...]


def parse_keys(data: bytes) -> Keys:
    """Read public keys: a JWK Set, or PEM public keys and certificates.

    :raises ValueError: when there are none, or one that must not be there.
    """
    keys = _parse_set(data) if data.lstrip()[:1] == b"{" else _parse_pem(data)
    if not keys:
        raise ValueError("holds no public key that can be used")
    return keys


def _parse_pem(data: bytes) -> Keys:
    keys: list[VerificationKey] = []
    for match in _PEM.finditer(data):
        label = match[1].decode("ascii")
        if "PRIVATE" in label:
            raise ValueError("holds a private key; tokens are verified with the public one")
        if label == "CERTIFICATE":
            key: Any = x509.load_pem_x509_certificate(match[0]).public_key()
        else:
            key = load_pem_public_key(match[0])
        keys.append(VerificationKey(key, "", _algorithms_of(key)))
    return tuple(keys)


def _algorithms_of(key: Any) -> frozenset[str]:
    """Give the algorithms (RFC 7518 section 3.1) that a key can be for.

    :raises ValueError: when it is for none, or too small or too large.
    """
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            raise ValueError(f"RSA keys have {_RSA_BITS[0]} to {_RSA_BITS[-1]} bits")
        return frozenset(f"{kind}{bits}" for kind in ("RS", "PS") for bits in (256, 384, 512))
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return frozenset({_CURVES[key.curve.name]})
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return frozenset({"EdDSA"})
    raise ValueError("a public key is RSA, EC (P-256, P-384, P-521), Ed25519 or Ed448")


def _parse_set(data: bytes) -> Keys:
    """Read a JWK Set; keys of kinds that are not known are passed over (RFC 7517 section 5)."""
    try:
        members = json.loads(data)["keys"]
        if not isinstance(members, list) or len(members) > _MOST_KEYS:
            raise ValueError(f"a JWK Set holds at most {_MOST_KEYS} keys")
    except (KeyError, TypeError, RecursionError):
        raise ValueError("is no JWK Set") from None
    return tuple(key for each in members if (key := _parse_jwk(each)) is not None)


def _parse_jwk(member: Any) -> VerificationKey | None:
    if not isinstance(member, dict) or member.get("use", "sig") != "sig":
        return None
    # A shared secret in a set of public keys would be one that everybody can read.
    if member.get("kty") not in ("RSA", "EC", "OKP"):
        return None
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    public = {name: value for name, value in member.items() if name in _PUBLIC_MEMBERS}
    try:
        key = jwt.PyJWK(public).key
        algorithms = _algorithms_of(key)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    wanted = member.get("alg")
    if wanted is not None:
        algorithms = algorithms & {wanted} if isinstance(wanted, str) else frozenset()
    key_id = member.get("kid", "")
    if not algorithms or not isinstance(key_id, str):
        return None
    return VerificationKey(key, key_id, algorithms)


# Without "d" and what goes with it, a private key that somebody published becomes its public one.
_PUBLIC_MEMBERS = frozenset({"kty", "crv", "x", "y", "n", "e"})


class KeySource(Protocol):
    """Where keys come from."""

    def keys(self) -> Keys | None:
        """Give the keys, ``None`` when they have to be waited for."""

    def newer_keys(self) -> Deferred[Keys]:
        """Give keys that may be newer, because none of those that there are fits."""


class RemoteKeys:
    """A JWK Set at a URL: asked for when it is first needed, and again in the background.

    While the URL cannot be reached its old keys are used, for a day at most.
    """

    def __init__(
        self,
        client: HttpClient,
        refresh: float,
        changed: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Ask for nothing yet.

        :param refresh: seconds after which the keys are asked for again.
        :param changed: called when there are other keys than before.
        """
        self._client = client
        self._refresh = refresh
        self._changed = changed
        self._clock = clock
        self._keys: Keys | None = None
        self._content = b""
        self._fetched = 0.0
        self._asked: float | None = None
        self._waiting: list[Deferred[Keys]] | None = None

    def keys(self) -> Keys | None:
        """See ``KeySource``; keys that are old are asked for again, and used until then."""
        if self._keys is None:
            return None
        age = self._clock() - self._fetched
        if age > self._refresh:
            if age > _STALE_SECONDS:
                self._keys = None
                self._changed()
                return None
            if self._may_ask():
                self._ask()
        return self._keys

    def newer_keys(self) -> Deferred[Keys]:
        """See ``KeySource``; a token with a name that no key has makes us ask twice a minute.

        :returns: fails with ``Unavailable`` when there are no keys at all.
        """
        if self._waiting is None:
            if not self._may_ask():
                if self._keys is None:
                    raise Unavailable("the keys of tokens cannot be had at the moment")
                return succeed(self._keys)
            self._ask()
        result: Deferred[Keys] = Deferred()
        if self._waiting is None:  # it has been answered already
            self._give(result)
        else:
            self._waiting.append(result)
        return result

    def _may_ask(self) -> bool:
        if self._waiting is not None:
            return False
        # Without keys nothing works, so that is tried more often.
        seconds = _AGAIN_SECONDS if self._keys is not None else 2.0
        return self._asked is None or self._clock() - self._asked >= seconds

    def _ask(self) -> None:
        self._asked = self._clock()
        self._waiting = []
        asking = self._client.get([(b"Accept", b"application/jwk-set+json, application/json")])
        asking.addCallback(self._take).addErrback(self._failed).addCallback(self._answered)

    def _take(self, reply: Reply) -> None:
        if reply.status != 200:
            raise ValueError(f"the answer is {reply.status}")
        keys = parse_keys(reply.content)
        self._fetched = self._clock()
        if reply.content != self._content or self._keys is None:
            self._keys, self._content = keys, reply.content
            self._changed()

    def _failed(self, failure: Failure) -> None:
        if failure.check(ProxykitError, ValueError) is None:
            _log.failure("the keys of tokens could not be read", failure)
        else:
            _log.error(
                "{client}: the keys of tokens are not renewed: {error}",
                client=self._client,
                error=str(failure.value),
            )

    def _answered(self, _: object) -> None:
        waiting, self._waiting = self._waiting, None
        for each in waiting or ():
            self._give(each)

    def _give(self, result: Deferred[Keys]) -> None:
        if self._keys is not None:
            result.callback(self._keys)
        else:
            result.errback(Unavailable("the keys of tokens cannot be had at the moment"))
