"""Where a Redis or Valkey server is, and as whom to talk to it."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

from attrs import field, frozen

_PORT = 6379


@frozen(slots=True)
class RedisAddress:
    """What a URL says.

    :ivar host: ``""`` for a UNIX socket.
    :ivar path: the socket's, ``""`` for TCP.
    :ivar username: ``None`` for the default one.
    :ivar password: ``None`` for none.
    """

    host: str = ""
    port: int = _PORT
    path: str = ""
    tls: bool = False
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


def parse_address(value: object) -> RedisAddress:
    """Parse ``redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]``, ``rediss://`` or ``unix://PATH``.

    Messages say nothing of the value: it may hold a password.

    :raises ValueError: when it is none.
    """
    expected = ValueError(
        "expected a URL such as redis://:password@127.0.0.1:6379/0, rediss://... for TLS, "
        "or unix:///path?db=0"
    )
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        if parts is None or parts.fragment:
            raise expected
        username = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password is not None else None
        query = parse_qs(parts.query, strict_parsing=bool(parts.query))
        if parts.scheme == "unix" and parts.path.startswith("/") and not parts.hostname:
            database = _number(query.pop("db", ["0"])[0])
            address = RedisAddress(
                path=parts.path, database=database, username=username, password=password
            )
        elif parts.scheme in ("redis", "rediss") and parts.hostname:
            address = RedisAddress(
                host=parts.hostname,
                port=parts.port or _PORT,
                tls=parts.scheme == "rediss",
                database=_number(parts.path.removeprefix("/") or "0"),
                username=username,
                password=password,
            )
        else:
            raise expected
    except ValueError:
        raise expected from None
    if query:
        raise expected
    return address


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise ValueError
    return int(text)
