"""Gives each request of a site its route: the first that matches."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from attrs import frozen

from ..engine.exchange import Exchange
from ..engine.pipeline import Route
from ..errors import NoRoute, WrongListener


@frozen(slots=True, eq=False)
class PathMatch:
    """What a route says of paths: ``/x`` is a prefix, ``= /x`` exact, ``~ x`` a regex."""

    text: str
    matches: Callable[[str], bool]

    @classmethod
    def of(cls, text: str) -> PathMatch:
        """Compile a route's ``path``.

        A prefix ends where a segment of the path ends: ``/api`` takes ``/api`` and ``/api/x``, not
        ``/apix``.
        :raises re.error: when a regular expression is none.
        """
        if text.startswith("="):
            exact = text[1:].strip()
            return cls(text, lambda path: path == exact)
        if text.startswith("~"):
            pattern = re.compile(text[1:].strip())
            return cls(text, lambda path: pattern.search(path) is not None)
        bare = text.rstrip("/")
        slashed = bare + "/"
        if text.endswith("/"):
            return cls(text, lambda path: path.startswith(text))
        return cls(text, lambda path: path == bare or path.startswith(slashed))


@frozen(slots=True, eq=False)
class RouteMatch:
    """A route and what requests it takes.

    :ivar hosts: exact names and, with a leading ``*.``, wildcards; empty for any.
    :ivar path: ``None`` for any.
    :ivar methods: empty for any.
    """

    route: Route
    hosts: tuple[str, ...] = ()
    path: PathMatch | None = None
    methods: frozenset[bytes] = frozenset()

    @property
    def takes_all(self) -> bool:
        """Whether it takes any request."""
        return not self.hosts and not self.methods and (self.path is None or self.path.text == "/")

    def takes(self, exchange: Exchange) -> bool:
        """Say whether this route takes an exchange."""
        request = exchange.request
        if self.methods and request.method not in self.methods:
            return False
        if self.hosts and not any(_host_matches(host, exchange.host) for host in self.hosts):
            return False
        return self.path is None or self.path.matches(normalised_path(request.path))


class ReverseRouter:
    """Chooses among a site's routes."""

    def __init__(self, routes: Sequence[RouteMatch]) -> None:
        """Take routes in the order in which they are tried."""
        self._routes = tuple(routes)
        self._only = self._routes[0].route if routes and self._routes[0].takes_all else None

    def choose(self, exchange: Exchange) -> Route:
        """See ``engine.pipeline.Router``.

        :raises NoRoute: when no route takes the request.
        :raises WrongListener: for CONNECT, which servers are not asked.
        """
        if exchange.request.method == b"CONNECT":
            raise WrongListener("this is a server, not a proxy: CONNECT is not served here")
        if self._only is not None:
            return self._only
        for match in self._routes:
            if match.takes(exchange):
                return match.route
        raise NoRoute("no route takes this request")


def normalised_path(path: str) -> str:
    """Give a path as routes are matched with it: unreserved characters decoded, dots resolved.

    RFC 3986 section 6.2.2. What goes upstream is the path as the client wrote it; a path whose
    dot segments lead elsewhere is matched by where it leads.
    """
    if "%" in path:
        path = _ENCODED.sub(_decode_unreserved, path)
    if "/." not in path and "//" not in path:
        return path
    segments: list[str] = []
    parts = path.split("/")
    for part in parts[1:]:
        if part == "..":
            if segments:
                segments.pop()
        elif part not in (".", ""):
            segments.append(part)
    trailing = "/" if parts[-1] in ("", ".", "..") and segments else ""
    return "/" + "/".join(segments) + trailing


_ENCODED = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def _decode_unreserved(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED or character == "/" else match[0]


def _host_matches(wanted: str, host: str) -> bool:
    if wanted.startswith("*."):
        return host.endswith(wanted[1:]) and len(host) > len(wanted) - 1
    return host == wanted
