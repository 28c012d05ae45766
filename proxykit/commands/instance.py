"""Talks to the admin API of a running instance."""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from attrs import frozen
from pydantic import ValidationError

from ..config.admin import Admin
from ..errors import ConfigurationError
from ..observe.admin.token import read_token

_SECONDS = 30.0
_MOST_BYTES = 64 * 1024 * 1024
_USUAL = "127.0.0.1:9180"


class NoAnswer(Exception):
    """The instance is not reachable, or refuses; the message is one line for the operator."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which instance is meant."""
    group = parser.add_argument_group("which instance")
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="its configuration: [admin] says where and how"
    )
    group.add_argument(
        "--admin", metavar="URL", help=f"where its admin API listens: {_USUAL}, or unix:/path"
    )
    group.add_argument(
        "--token-file", type=Path, metavar="FILE", help="holds its token: admin.token"
    )
    parser.add_argument("--json", action="store_true", help="print what the API says")


def run(answered: Callable[[argparse.Namespace, Instance], int | None]) -> Callable[..., int]:
    """Make a command's ``run`` of what is done once it is known which instance is meant."""

    def command(chosen: argparse.Namespace) -> int:
        try:
            return answered(chosen, instance(chosen)) or 0
        except (NoAnswer, ConfigurationError) as error:
            print(f"proxykit {chosen.command}: {printable(str(error))}", file=sys.stderr)
            return 1

    return command


def printable(text: str) -> str:
    """Give a text so that it cannot move a terminal's cursor or colour it."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def instance(chosen: argparse.Namespace) -> Instance:
    """Find the instance that is meant.

    :raises NoAnswer: when its configuration says nothing of it.
    :raises ConfigurationError: when there is no token.
    """
    where, token_file = chosen.admin, chosen.token_file
    if chosen.config is not None:
        admin = _configured(chosen.config)
        where = where or _written(admin.listen[0])
        token_file = token_file or chosen.config.parent / admin.token_file
    token = read_token(token_file or Path("admin.token"))
    return Instance(where or _USUAL, token.decode("ascii"))


def _configured(file: Path) -> Admin:
    """Read ``[admin]`` alone: an instance is to be reached whatever else is wrong by now."""
    try:
        data = tomllib.loads(file.read_text("utf-8"))
        section = data.get("admin")
        if section is None:
            raise NoAnswer(f"{file} has no [admin]: its instance cannot be reached")
        return Admin.model_validate(section)
    except (OSError, ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise NoAnswer(f"{file} cannot be read: {first}") from error


def _written(description: str) -> str:
    """Give an endpoint description as an address to connect to."""
    # A colon in a value is written with a backslash.
    kind, *rest = description.replace("\\:", "\0").split(":")
    parts = [each.replace("\0", ":").replace("\\\\", "\\") for each in rest]
    named = dict(each.split("=", 1) for each in parts if "=" in each)
    plain = [each for each in parts if "=" not in each]
    if kind == "unix":
        return f"unix:{named.get('address') or plain[0]}"
    if kind == "tcp" and (port := named.get("port") or (plain[0] if plain else "")):
        host = named.get("interface") or "127.0.0.1"
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    raise NoAnswer(f"{description} does not say where to connect: say --admin URL")


@frozen(slots=True)
class Instance:
    """A running instance.

    :ivar where: ``host:port``, an http URL, or ``unix:/path``.
    """

    where: str
    token: str

    def get(self, path: str, **arguments: str | int | None) -> Any:
        """Ask for something.

        :param path: below ``/api/``.
        :raises NoAnswer: when there is no answer, or an error.
        """
        query = urlencode({name: each for name, each in arguments.items() if each is not None})
        return self._ask("GET", path + (f"?{query}" if query else ""), None)

    def post(self, path: str, content: Mapping[str, Any]) -> Any:
        """Have something done; see ``get``."""
        return self._ask("POST", path, json.dumps(content).encode("ascii"))

    def _ask(self, method: str, path: str, content: bytes | None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, f"/api/{path}", content, headers)
            response = connection.getresponse()
            body = response.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NoAnswer(f"no answer from {self.where}: {why}") from error
        finally:
            connection.close()
        try:
            value = json.loads(body)
        except ValueError:
            raise NoAnswer(f"{self.where} is no admin API of Proxykit") from None
        if response.status >= 400:
            said = value.get("error") if isinstance(value, dict) else None
            raise NoAnswer("; ".join(str(said or f"answered {response.status}").splitlines()))
        return value

    def _connection(self) -> http.client.HTTPConnection:
        if self.where.startswith("unix:"):
            return _UnixConnection(self.where.removeprefix("unix:"))
        parts = urlsplit(self.where if "://" in self.where else f"http://{self.where}")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme != "http" or not host:
            raise NoAnswer(f"{self.where} is neither host:port, an http URL nor unix:/path")
        return http.client.HTTPConnection(host, port or 80, timeout=_SECONDS)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


def segment(name: str) -> str:
    """Give a name as one segment of a path."""
    return quote(name, safe="")


def print_json(value: Any) -> None:
    """Print what the API said."""
    print(json.dumps(value, indent=2))


def print_table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print rows below their heads; numbers stand to the right."""
    texts = [tuple("-" if each is None else printable(str(each)) for each in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *texts, strict=True)]
    numbers = [
        bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        for index in range(len(heads))
    ]
    for line in (heads, *texts):
        cells = [
            each.rjust(width) if is_number else each.ljust(width)
            for each, width, is_number in zip(line, widths, numbers, strict=True)
        ]
        print("  ".join(cells).rstrip())
