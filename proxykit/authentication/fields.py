"""Credentials and challenges as fields hold them (RFC 9110 section 11), and Basic (RFC 7617)."""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hmac import compare_digest

from attrs import field, frozen
from twisted.cred.credentials import IUsernamePassword
from zope.interface import implementer

from ..message.fields import TOKEN

# Kerberos tickets of users in many groups are the longest that are in use; the limit of a head
# has to be raised for them.
MOST_BYTES = 64 * 1024
_MOST_PARAMETERS = 32

_CREDENTIALS = re.compile(rb"(?P<scheme>" + TOKEN + rb"++)(?: ++(?P<rest>.++))?\Z", re.DOTALL)
_TOKEN68 = re.compile(rb"[A-Za-z0-9\-._~+/]++=*+\Z")
# A quoted-string (RFC 9110 section 5.6.4): qdtext holds no quote and no backslash but in pairs.
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]++|\\[\t -~\x80-\xff])*+"'
_PARAMETER = re.compile(
    rb"(?P<name>" + TOKEN + rb"++)[\t ]*+=[\t ]*+(?P<value>" + TOKEN + rb"++|" + _QUOTED + rb")"
)
_COMMA = re.compile(rb"[\t ]*+(?:,[\t ]*+)++|[\t ]*+\Z")
_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class MalformedCredentials(ValueError):
    """What stands in the field are no credentials; the message never quotes it."""


@frozen(slots=True)
class Credentials:
    """Credentials as the grammar sees them: either a token68 or parameters, or neither.

    :ivar scheme: in lower case, for schemes are compared without regard to it.
    :ivar token68: ``b""`` when there is none.
    :ivar parameters: by their names in lower case, unquoted.
    """

    scheme: str
    token68: bytes = field(default=b"", repr=False)
    parameters: dict[bytes, bytes] = field(factory=dict, repr=False)


def parse_credentials(value: bytes) -> Credentials:
    """Parse an Authorization or Proxy-Authorization field (RFC 9110 section 11.4).

    :raises MalformedCredentials: when it breaks the grammar or is too long.
    """
    if len(value) > MOST_BYTES:
        raise MalformedCredentials("the credentials are too long")
    match = _CREDENTIALS.match(value)
    if match is None:
        raise MalformedCredentials("the credentials name no scheme")
    scheme = match["scheme"].decode("ascii").lower()
    rest: bytes | None = match["rest"]
    if rest is None:
        return Credentials(scheme)
    if _TOKEN68.match(rest):
        return Credentials(scheme, rest)
    return Credentials(scheme, parameters=_parse_parameters(rest))


def _parse_parameters(text: bytes) -> dict[bytes, bytes]:
    parameters: dict[bytes, bytes] = {}
    position = 0
    while position < len(text):
        match = _PARAMETER.match(text, position)
        end = _COMMA.match(text, match.end()) if match is not None else None
        if match is None or end is None or len(parameters) >= _MOST_PARAMETERS:
            raise MalformedCredentials("the parameters of the credentials break the grammar")
        name, value = match["name"].lower(), match["value"]
        if name in parameters:
            # RFC 9110 section 11.2: each name once. Two would be read differently by two programs.
            raise MalformedCredentials("a parameter of the credentials is there twice")
        parameters[name] = _PAIR.sub(rb"\1", value[1:-1]) if value[:1] == b'"' else value
        position = end.end()
    return parameters


@implementer(IUsernamePassword)
@frozen(slots=True)
class BasicCredentials:
    """A user's name and password, both UTF-8 in Normalization Form C (RFC 7617 section 2.1).

    :ivar username: without control characters or a colon.
    :ivar password: without control characters; never in a ``repr``.
    """

    username: bytes
    password: bytes = field(repr=False)

    @property
    def user(self) -> str:
        """The user's name as text."""
        return self.username.decode("utf-8")

    def checkPassword(self, password: bytes) -> bool:
        """See ``IUsernamePassword``; takes as long for a wrong password as for the right one."""
        return compare_digest(self.password, password)


def parse_basic(token68: bytes) -> BasicCredentials:
    """Read the credentials of the Basic scheme (RFC 7617 section 2).

    :raises MalformedCredentials: when they are none.
    """
    try:
        raw = b64decode(token68, validate=True)
    except (Base64Error, ValueError):
        raw = b""
    if not raw or b64encode(raw) != token68:
        # Python's decoder is lenient about padding and spare bits: one text, one encoding.
        raise MalformedCredentials("the Basic credentials are not Base64")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        # RFC 7617 appendix B.3: clients that know nothing of charset send ISO-8859-1.
        text = raw.decode("latin-1")
    user, colon, password = unicodedata.normalize("NFC", text).partition(":")
    if not colon:
        raise MalformedCredentials("the Basic credentials hold no colon")
    if _CONTROL.search(user) or _CONTROL.search(password):
        raise MalformedCredentials("the Basic credentials hold control characters")
    return BasicCredentials(user.encode("utf-8"), password.encode("utf-8"))


def quoted(text: str) -> bytes:
    """Write a quoted-string (RFC 9110 section 5.6.4).

    :param text: printable ASCII.
    """
    return b'"%s"' % text.replace("\\", "\\\\").replace('"', '\\"').encode("ascii")
