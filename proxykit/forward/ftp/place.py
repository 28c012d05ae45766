"""What an FTP URL names (RFC 1738 section 3.2): a way through directories, a file, a type."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from attrs import field, frozen

from ...errors import BadRequest
from ...message.path import resolved_path
from ...message.request import Request

# A step is a round trip to the server.
_MOST_STEPS = 32
_TYPES = ("a", "i", "d")


@frozen(slots=True)
class Place:
    """Where something is on a server.

    :ivar directories: the names to change into, one after the other.
    :ivar name: the file's, ``""`` for the directory itself.
    :ivar type: ``"a"`` for text, ``"i"`` for bytes, ``"d"`` for a listing, ``""`` if not said.
    """

    directories: tuple[str, ...]
    name: str
    type: str = ""


@frozen(slots=True)
class Credentials:
    """Who logs in.

    :ivar given: whether the client said so.
    """

    user: str = "anonymous"
    password: str = field(default="proxykit@", repr=False)
    given: bool = False


def place_of(path: str) -> Place:
    """Read the path of an FTP URL.

    Its dot segments are resolved first, as policy saw it. Names are bytes to FTP; here they are
    text in which each character is one.

    :raises BadRequest: when a name could not be sent, for a CR or an LF in it would begin another
        command; or when there are too many.
    """
    path, mark, parameter = path.rpartition(";type=")
    if not mark:
        path, parameter = parameter, ""
    kind = parameter.lower()
    if mark and kind not in _TYPES:
        raise BadRequest("the type of an FTP URL is a, i or d")
    *directories, name = [_argument(part) for part in resolved_path(path).split("/")[1:]]
    if kind == "d" and name:
        directories.append(name)
        name = ""
    # RFC 1738 has empty names for CWD without an argument, which no server knows what to do with.
    steps = tuple(each for each in directories if each)
    if len(steps) > _MOST_STEPS:
        raise BadRequest(f"the path has more than {_MOST_STEPS} directories")
    return Place(steps, name, kind)


def credentials_of(request: Request) -> Credentials:
    """Give who the client says logs in: by the URL, or else by Authorization (RFC 7617).

    :raises BadRequest: when that cannot be sent.
    """
    userinfo = request.target.userinfo
    if userinfo:
        user, _, password = userinfo.partition(b":")
        return _credentials(unquote_to_bytes(user), unquote_to_bytes(password))
    scheme, _, token = request.section.values.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"basic":
        return Credentials()
    try:
        user, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
    except binascii.Error:
        return Credentials()
    return _credentials(user, password) if colon else Credentials()


def _credentials(user: bytes, password: bytes) -> Credentials:
    if not user:
        return Credentials()
    return Credentials(_sendable(user), _sendable(password), given=True)


def _argument(text: str) -> str:
    return _sendable(unquote_to_bytes(text))


def _sendable(value: bytes) -> str:
    """Give a command's argument.

    :raises BadRequest: for what would end the command (RFC 959 section 5.3.1), NUL, which many a
        server takes for the end of a name, and 255, which is a command to Telnet (RFC 854).
    """
    if any(byte in value for byte in b"\r\n\0\xff"):
        raise BadRequest("a name for FTP holds CR, LF, NUL or 255")
    return value.decode("latin-1")
