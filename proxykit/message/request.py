"""A request as the road sees it."""

from __future__ import annotations

from attrs import evolve

from ..errors import BadRequest
from .fields import FieldSection, Headers
from .framing import Framing
from .target import DEFAULT_PORTS, Authority, Form, Target, parse_authority, parse_target

_NO_AUTHORITY = Authority("", None)


class Request:
    """A request: what was read of it, and what filters made of it.

    What nobody changes is never copied: ``headers`` and ``target`` come into being when somebody
    asks for them.

    :ivar method: the method, case-sensitive.
    :ivar raw_target: the request target as received or as a filter set it.
    :ivar version: HTTP/1's minor version, 0 or 1.
    :ivar section: the fields as they were read.
    :ivar framing: how the content is delimited.
    """

    __slots__ = ("_headers", "_target", "framing", "method", "raw_target", "section", "version")

    def __init__(
        self,
        method: bytes,
        raw_target: bytes,
        version: int,
        section: FieldSection,
        framing: Framing,
        target: Target | None = None,
    ) -> None:
        """Take what the reader read.

        :param target: the target, when it was parsed already.
        """
        self.method = method
        self.raw_target = raw_target if target is None else target.raw
        self.version = version
        self.section = section
        self.framing = framing
        self._headers: Headers | None = None
        self._target = target

    @property
    def headers(self) -> Headers:
        """The header fields, which may be changed."""
        if self._headers is None:
            self._headers = Headers.of(self.section)
        return self._headers

    @property
    def changed_headers(self) -> Headers | None:
        """The header fields if anybody asked for them, which is when they may differ."""
        return self._headers

    @property
    def target(self) -> Target:
        """The request target, parsed.

        :raises BadRequest: when it has none of the four forms.
        """
        if self._target is None:
            self._target = parse_target(self.method, self.raw_target)
        return self._target

    @property
    def received_target(self) -> bytes:
        """The request target as the client sent it, whatever filters made of it."""
        return self.raw_target if self._target is None else self._target.raw

    @property
    def origin_target(self) -> bytes:
        """Path and query as an origin server is asked for them."""
        if self.raw_target[0] == 0x2F:
            return self.raw_target
        return self.target.origin

    @origin_target.setter
    def origin_target(self, value: bytes) -> None:
        """Ask the origin server for something else.

        :raises ValueError: when it is no path of visible ASCII.
        """
        if not value.startswith(b"/") or not value.isascii() or not _visible(value):
            raise ValueError("a target is a path of visible ASCII")
        old = self.target
        self._target = evolve(old, origin=value)
        if old.form is Form.ORIGIN:
            self.raw_target = value

    @property
    def path(self) -> str:
        """The target's path, percent-encodings and all."""
        return self.target.path

    @property
    def query(self) -> str:
        """The target's query without its question mark."""
        return self.target.query

    @property
    def authority(self) -> Authority:
        """The host and port that this request is for (RFC 9112 section 3.3)."""
        if self.raw_target[0] != 0x2F and self.target.authority is not None:
            return self.target.authority
        host = self.section.values.get(b"host")
        return parse_authority(host) if host else _NO_AUTHORITY

    def __repr__(self) -> str:
        return f"<Request {self.method!r} {self.raw_target!r}>"


def check_host(
    version: int, raw_target: bytes, method: bytes, section: FieldSection
) -> Target | None:
    """Hold the rules for Host (RFC 9112 section 3.2).

    :returns: the target when it had to be parsed for that, ``None`` in origin-form.
    :raises BadRequest: when Host is missing (HTTP/1.1), doubled, malformed, or names another
        host or port than a target that has an authority of its own; or when the target has
        none of the four forms.
    """
    target = None if raw_target[0] == 0x2F else parse_target(method, raw_target)
    host = section.values.get(b"host")
    if host is None:
        if version:
            raise BadRequest("there is no Host")
        return target
    if not host:
        # An empty Host is right only for a target without an authority, which no proxy is sent.
        raise BadRequest("Host is empty")
    authority = parse_authority(host)
    if target is None or target.authority is None:
        return target
    default = DEFAULT_PORTS.get(target.scheme, target.authority.port)
    wanted = (target.authority.host, target.authority.port or default)
    if wanted != (authority.host, authority.port or default):
        # RFC 9112 section 3.2.2 lets a proxy ignore Host here. What is behind may not, so a
        # difference is refused: two programs would see two hosts.
        raise BadRequest("Host and the request target name different hosts")
    return target


def _visible(value: bytes) -> bool:
    return all(0x20 < byte < 0x7F for byte in value)
