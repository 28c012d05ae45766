"""What a client is told that has not said, or not truly said, who it is; and what a server is told.

For a forward proxy's clients that is 407 with Proxy-Authenticate, for a server's 401 with
WWW-Authenticate (RFC 9110 section 11); both are read from the field of the same direction.
"""

from __future__ import annotations

from math import ceil

from attrs import frozen

from ..engine.answers import error_answer
from ..engine.exchange import Exchange
from ..engine.forwarding import Direction
from ..errors import Denied, NotAuthenticated, ProxyNotAuthenticated, TooManyAttempts
from ..message.fields import Field
from ..message.response import Response
from .identity import Identity


def is_for_proxy(exchange: Exchange) -> bool:
    """Say whether the client is to authenticate to the proxy itself, not to a server."""
    return exchange.pipeline.rules.direction is Direction.FORWARD


def credentials_field(exchange: Exchange) -> bytes | None:
    """Give the credentials that are meant for this proxy, as the field holds them."""
    name = b"proxy-authorization" if is_for_proxy(exchange) else b"authorization"
    headers = exchange.request.changed_headers
    if headers is not None:
        return headers.get(name)
    return exchange.request.section.values.get(name)


def challenge(exchange: Exchange, why: str, *schemes: bytes) -> Response:
    """Ask the client who it is.

    :param why: a sentence for the page and the log.
    :param schemes: the challenges, each a scheme with its parameters, the best first.
    """
    error: Denied = NotAuthenticated(why)
    name = b"WWW-Authenticate"
    if is_for_proxy(exchange):
        error, name = ProxyNotAuthenticated(why), b"Proxy-Authenticate"
    # A field for each: clients that cannot tell a comma between schemes from one inside are many.
    return _refusal(exchange, error, *((name, scheme) for scheme in schemes))


def too_many_attempts(exchange: Exchange, seconds: float) -> Response:
    """Tell the client to come back later.

    :param seconds: how much later.
    """
    error = TooManyAttempts("too many wrong credentials; others are not looked at for now")
    return _refusal(exchange, error, (b"Retry-After", b"%d" % max(1, ceil(seconds))))


def _refusal(exchange: Exchange, error: Denied, *fields: Field) -> Response:
    """Make the answer; unlike an error that is raised it passes the response filters."""
    exchange.error_type = error.error_type
    exchange.detail = str(error)
    pseudonym = exchange.pipeline.rules.pseudonym.decode("ascii")
    answer = error_answer(error, exchange, pseudonym)
    for field in fields:
        answer.headers.add(*field)
    return answer


@frozen(slots=True)
class Telling:
    """What servers are told of users, and what they are not.

    :ivar user_header: the field that names the user, ``b""`` for none; whatever a client sends
        under that name is dropped.
    :ivar groups_header: the same for the groups.
    :ivar pass_credentials: whether servers get to see the credentials too.
    """

    user_header: bytes = b""
    groups_header: bytes = b""
    pass_credentials: bool = False

    def accept(self, exchange: Exchange, identity: Identity) -> None:
        """Let an exchange go on as somebody's."""
        exchange.user = identity.name
        exchange.groups = identity.groups
        # Proxy-Authorization goes no further in any case: it is a field of this connection alone.
        if not self.pass_credentials and not is_for_proxy(exchange):
            exchange.request.headers.remove(b"authorization")
        if self.user_header:
            exchange.request.headers.set(self.user_header, identity.name.encode("utf-8"))
        if self.groups_header:
            groups = ", ".join(map(_without_comma, sorted(identity.groups)))
            exchange.request.headers.set(self.groups_header, groups.encode("utf-8"))


def _without_comma(group: str) -> str:
    return group.replace("%", "%25").replace(",", "%2C")
