"""What a route leads to: one way, or one of several by weight (a canary), the same again if asked.

Each way of a split is a ``Route`` of its own, so that what was chosen is the exchange's route from
then on: for retries, for the log, and for the cookie that brings the client back.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from hashlib import blake2s
from itertools import accumulate

from attrs import frozen
from zope.interface import implementer

from ..engine.exchange import Exchange
from ..engine.pipeline import Route
from ..interfaces import IResponseFilter
from ..message.response import Response
from .conditions import field_value

Choice = Callable[[Exchange], Route]


def always(route: Route) -> Choice:
    """Make the choice of a route that leads one way."""
    return lambda exchange: route


class Shares:
    """Divides exchanges by weight: a point from 0 to 1 falls into one share.

    Shares lie side by side in the order written. When a weight changes, only the points between the
    old and the new border change hands; who is stuck to a point mostly stays.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        """Take weights, of which one at least is not 0."""
        total = sum(weights)
        # The last border is left out: every point lies before it.
        self._borders = [each / total for each in accumulate(weights)][:-1]

    def at(self, point: float) -> int:
        """Give the number of the share that a point falls into."""
        return bisect_right(self._borders, point)


def split_at_random(routes: Sequence[Route], weights: Sequence[int]) -> Choice:
    """Choose anew for each exchange."""
    shares = Shares(weights)
    return lambda exchange: routes[shares.at(random.random())]


def split_by_client(routes: Sequence[Route], weights: Sequence[int], salt: str) -> Choice:
    """Choose by the client's address: the same for all that comes from it.

    :param salt: the route's name: who is in the canary of one need not be in that of all.
    """
    shares = Shares(weights)
    key = blake2s(salt.encode("utf-8")).digest()

    def choose(exchange: Exchange) -> Route:
        digest = blake2s(exchange.client_address.encode("utf-8"), key=key, digest_size=4).digest()
        return routes[shares.at(int.from_bytes(digest, "big") / 2**32)]

    return choose


def split_by_cookie(
    routes: Sequence[Route], weights: Sequence[int], cookie: str, marks: Sequence[str]
) -> Choice:
    """Choose by a cookie that says what was chosen before, at random for who has none.

    A way whose weight is 0 is closed to who comes back too.

    :param marks: the cookie's value for each of the routes; ``StickyCookie`` sets it.
    """
    shares = Shares(weights)
    name = cookie.encode("ascii")
    known = {
        mark.encode("ascii"): route
        for mark, route, weight in zip(marks, routes, weights, strict=True)
        if weight
    }

    def choose(exchange: Exchange) -> Route:
        for value in cookie_values(exchange, name):
            route = known.get(value)
            if route is not None:
                return route
        return routes[shares.at(random.random())]

    return choose


def mark_of(pool: str) -> str:
    """Give the cookie's value for a pool: the same in every process, and it does not tell names."""
    return blake2s(pool.encode("utf-8"), digest_size=6).hexdigest()


def cookie_values(exchange: Exchange, name: bytes) -> list[bytes]:
    """Give the values of a cookie that a request carries (RFC 6265 section 5.4)."""
    field = field_value(exchange.request, b"cookie")
    if field is None or name not in field:
        return []
    # Several Cookie fields are combined with a comma here.
    pairs = (pair.partition(b"=") for pair in field.replace(b",", b";").split(b";"))
    return [value.strip() for key, _, value in pairs if key.strip() == name]


@frozen(slots=True, eq=False)
@implementer(IResponseFilter)
class StickyCookie:
    """Tells a client by a cookie which way was chosen, unless it knows.

    :ivar cookie: its name.
    :ivar mark: its value.
    :ivar seconds: how long it is kept; ``None`` for the browser's session.
    """

    cookie: str
    mark: str
    seconds: int | None = None

    def response(self, exchange: Exchange, response: Response) -> None:
        """See ``IResponseFilter``."""
        mark = self.mark.encode("ascii")
        if mark in cookie_values(exchange, self.cookie.encode("ascii")):
            return
        value = f"{self.cookie}={self.mark}; Path=/; HttpOnly; SameSite=Lax"
        if self.seconds is not None:
            value += f"; Max-Age={self.seconds}"
        if exchange.scheme == "https":
            value += "; Secure"
        response.headers.add(b"Set-Cookie", value.encode("ascii"))
