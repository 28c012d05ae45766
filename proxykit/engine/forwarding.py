"""The fields that a proxy has to rewrite, on the way there and on the way back.

Connection fields go (RFC 9110 section 7.6.1), Via is added (7.6.3), a reverse proxy says for whom
it asks (Forwarded, RFC 7239, and the three X-Forwarded fields), and forwarding fields of those
who are not trusted are dropped, not added to.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from email.utils import formatdate
from typing import Protocol

from attrs import field, frozen

from ..errors import LoopDetected
from ..message.fields import EMPTY_SECTION, HOP_BY_HOP, FieldSection, lines_without, spellings
from ..message.framing import Chunked, Framing
from ..message.request import Request
from ..message.response import Response
from ..message.target import Authority
from ..options import IPNetwork, contains

# What the proxy asks its own client for goes to that client (RFC 9110 section 11.7.1).
_NOT_IN_OWN_ANSWERS = HOP_BY_HOP - {b"proxy-authenticate", b"proxy-authentication-info"}
_FORWARDING = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}
)
# RFC 3875 section 4.1.18: to CGI, and to what is built like it, a hyphen is an underscore. Nobody
# but who wants to be taken for a trusted proxy sends these.
_ALIKE = frozenset(each for name in _FORWARDING for each in spellings(name))
_TRUSTED = HOP_BY_HOP | (_ALIKE - _FORWARDING)
_UNTRUSTED = HOP_BY_HOP | _ALIKE
# What is written anew each time.
_REQUEST_OWN = frozenset({b"host", b"content-length", b"via", b"x-forwarded-for"})
_RESPONSE_OWN = frozenset({b"content-length", b"via"})


class Direction(enum.Enum):
    """For whom the proxy acts."""

    FORWARD = "forward"
    REVERSE = "reverse"


class Disclosure(enum.IntEnum):
    """What servers are told, from nothing to everything."""

    NOTHING = 0
    PROXY = 1  # Via, but nothing of the client
    EVERYTHING = 2  # Via and the client's address


class Forwarded(Protocol):
    """An exchange, as far as its server is told of it: see ``engine.exchange.Exchange``."""

    request: Request
    peer_address: str
    scheme: str

    @property
    def authority(self) -> Authority:
        """The host and port that the request is for."""


@frozen(slots=True, eq=False)
class ForwardingRules:
    """How one listener rewrites fields.

    :ivar direction: for whom it acts.
    :ivar pseudonym: its name in Via, the same in no other listener: a request that carries it has
        been here.
    :ivar trusted: whose forwarding fields are believed.
    :ivar disclosure: what servers are told. Without Via a request that comes back is not known for
        a loop.
    """

    direction: Direction
    pseudonym: bytes
    trusted: tuple[IPNetwork, ...] = ()
    disclosure: Disclosure = Disclosure.EVERYTHING
    _via: bytes = field(init=False)

    @_via.default
    def _default_via(self) -> bytes:
        return b"1.1 " + self.pseudonym

    def is_trusted(self, address: str) -> bool:
        """Say whether a peer's forwarding fields are believed; a UNIX socket's are not."""
        return bool(self.trusted) and contains(self.trusted, address)

    def client_address(self, peer: str, section: FieldSection) -> str:
        """Give the address of the client for whom a trusted peer asks.

        :returns: the last address in X-Forwarded-For that is not itself a trusted proxy's.
        """
        value = section.values.get(b"x-forwarded-for")
        if value is None:
            return peer
        address = peer
        for entry in reversed(value.decode("latin-1").split(",")):
            try:
                # A zone means something on the machine of who wrote it only, and may hold anything.
                address = str(ipaddress.ip_address(entry.partition("%")[0].strip()))
            except ValueError:
                return address  # nobody can vouch for what stands before nonsense
            if not contains(self.trusted, address):
                return address
        return address

    def via_line(self, section: FieldSection) -> bytes:
        """Write Via for a request that is made anew, as CONNECT to a parent is; ``b""`` for none.

        :param section: the client's fields: who is named there stays so (RFC 9110 section 7.6.3).
        """
        if self.disclosure is Disclosure.NOTHING:
            return b""
        return b"Via: %s\r\n" % _behind(section.values, b"via", section.options, self._via)

    def check_loop(self, section: FieldSection) -> None:
        """Refuse a request that has been here before.

        :raises LoopDetected: when our own name stands in Via.
        """
        via = section.values.get(b"via")
        if via is not None and self.pseudonym in via:
            raise LoopDetected("this request has passed through this proxy before")

    def request_fields(self, exchange: Forwarded, identity: object, host: bytes | None) -> bytes:
        """Write the fields of a request as they go upstream, without those of its framing.

        :param identity: equal for requests whose equal fields may be rendered alike.
        :param host: what Host says, ``None`` to keep the client's.
        :returns: field lines; remembered with the section for the client's next request like it.
        """
        request = exchange.request
        section = request.section
        headers = request.changed_headers
        # Without Host (HTTP/1.0) the target names the host, and that is in no section.
        if headers is None and host is None and b"host" in section.values:
            rendering = section.rendering
            if rendering is not None and rendering[0] == identity:
                return rendering[1]
            data = self._render_request(exchange, section, None)
            section.rendering = (identity, data)
            return data
        return self._render_request(
            exchange, section if headers is None else headers.section(), host
        )

    def _render_request(self, exchange: Forwarded, sent: FieldSection, host: bytes | None) -> bytes:
        """Render the fields that are sent, the client's or what filters have made of them."""
        request = exchange.request
        options = request.section.options
        if request.changed_headers is not None:
            # A client that names our fields in Connection would have servers not be told of it.
            options -= request.changed_headers.written
        trusted = self.is_trusted(exchange.peer_address)
        disclosure = self.disclosure
        everything = disclosure is Disclosure.EVERYTHING
        dropped = _TRUSTED if trusted and everything else _UNTRUSTED
        if not options <= HOP_BY_HOP:
            dropped |= options
        values = sent.values
        kept_host = exchange.authority.text().encode("ascii")
        lines = [
            b"Host: %s\r\n" % (host or kept_host),
            lines_without(sent.lines, values.keys() & (dropped | _REQUEST_OWN)),
        ]
        if disclosure is not Disclosure.NOTHING:
            lines.append(b"Via: %s\r\n" % _behind(values, b"via", dropped, self._via))
        if everything:
            client = _client(exchange.peer_address)
            chain = _behind(values, b"x-forwarded-for", dropped, client)
            lines.append(b"X-Forwarded-For: %s\r\n" % chain)
            if self.direction is Direction.REVERSE:
                lines += self._told_to_servers(exchange, kept_host, values.keys() - dropped)
        return b"".join(lines)

    def _told_to_servers(
        self, exchange: Forwarded, host: bytes, told: AbstractSet[bytes]
    ) -> Iterable[bytes]:
        """Give the fields by which a server learns what the client asked for.

        :param told: the names of what it is told by a trusted client, among others.
        """
        scheme = exchange.scheme.encode("ascii")
        if b"x-forwarded-proto" not in told:
            yield b"X-Forwarded-Proto: %s\r\n" % scheme
        if b"x-forwarded-host" not in told:
            yield b"X-Forwarded-Host: %s\r\n" % host
        # RFC 7239 section 6: an IPv6 address stands in brackets and quotes; section 6.2 has
        # "unknown" for an address that is none. Its host may hold a colon, so it is quoted.
        node = _client(exchange.peer_address)
        if b":" in node:
            node = b'"[%s]"' % node
        yield b'Forwarded: for=%s;host="%s";proto=%s\r\n' % (node, host, scheme)

    def response_fields(self, response: Response, *, content_length: bool) -> bytes:
        """Write the fields of a response as they go to the client, without those of its framing.

        :param content_length: whether Content-Length still says the truth.
        :returns: field lines; remembered with the section for the next response like it.
        """
        section = response.section
        headers = response.changed_headers
        if headers is None and content_length and response.status != 204 and response.version:
            rendering = section.rendering
            if rendering is not None and rendering[0] is self:
                return rendering[1]
            data = self._render_response(response, section, content_length=True)
            if b"date" in section.values and b"date" not in section.options:
                section.rendering = (self, data)
            return data
        if headers is not None:
            section = headers.section()
        return self._render_response(response, section, content_length=content_length)

    def _render_response(
        self, response: Response, sent: FieldSection, *, content_length: bool
    ) -> bytes:
        section = response.section
        dropped = _NOT_IN_OWN_ANSWERS if section is EMPTY_SECTION else HOP_BY_HOP
        if not section.options <= dropped:
            dropped |= section.options
        values = sent.values
        lines = [lines_without(sent.lines, values.keys() & (dropped | _RESPONSE_OWN))]
        length = section.values.get(b"content-length")
        if length is not None and content_length and response.status != 204:
            # What the reader judged, whatever a filter may have made of it.
            lines.append(b"Content-Length: %d\r\n" % int(length))
        if b"date" not in values or b"date" in dropped:
            # RFC 9110 section 6.6.1: who passes on a response without Date adds one.
            lines.append(b"Date: %s\r\n" % formatdate(usegmt=True).encode("ascii"))
        via = b"1.%d %s" % (response.version, self.pseudonym)
        lines.append(b"Via: %s\r\n" % _behind(values, b"via", dropped, via))
        return b"".join(lines)


def _behind(
    values: Mapping[bytes, bytes], name: bytes, dropped: AbstractSet[bytes], own: bytes
) -> bytes:
    """Put our own element behind those of others in a list.

    RFC 9110 section 5.6.1.1: who sends a list sends no empty elements.
    """
    others = b"" if name in dropped else values.get(name, b"").strip(b", \t")
    return others + b", " + own if others else own


def framing_line(request: Request, framing: Framing) -> bytes:
    """Write the field that frames a request's content, ``b""`` where there is none."""
    if isinstance(framing, Chunked):
        return b"Transfer-Encoding: chunked\r\n"
    size = getattr(framing, "size", None)
    if size is not None:
        return b"Content-Length: %d\r\n" % size
    if request.section.values.get(b"content-length") is not None:
        return b"Content-Length: 0\r\n"
    return b""


def absolute_target(exchange: Forwarded) -> bytes:
    """Write the target as a proxy is asked for it (RFC 9112 section 3.2.2)."""
    authority = exchange.authority.text(80).encode("ascii")
    origin = exchange.request.origin_target
    # RFC 9112 section 3.2.4: OPTIONS for a whole server has neither path nor query.
    return b"http://%s%s" % (authority, b"" if origin == b"*" else origin)


def _client(address: str) -> bytes:
    return address.encode("ascii") if address else b"unknown"


def upgrade_lines(section: FieldSection) -> bytes:
    """Write the fields of an Upgrade (RFC 9110 section 7.8), ``b""`` when none is asked for."""
    if b"upgrade" not in section.options:
        return b""
    protocols = section.values.get(b"upgrade")
    # h2c would put HTTP/2 where this proxy cannot see it any more: requests would pass it unseen.
    if not protocols or b"h2c" in protocols.lower():
        return b""
    return b"Connection: Upgrade\r\nUpgrade: %s\r\n" % protocols
