"""What options models are made of: the base class, and types that read as operators write.

A plug-in's options are a subclass of ``Options``; its fields' types say what may be written.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from attrs import frozen
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from .errors import ConfigurationError

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(KiB|MiB|GiB|TiB|kB|MB|GB|TB|B)\Z")
_BYTES = {
    "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4,
    "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4,
}  # fmt: skip


def parse_duration(value: object) -> float:
    """Parse a duration such as ``"250ms"``, ``"30s"``, ``"5m"`` or ``"1h"``.

    :returns: seconds.
    :raises ValueError: when it is none.
    """
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'expected a duration such as "30s" or "250ms", got {value!r}')
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(value: object) -> int:
    """Parse a size: a whole number of bytes, or such as ``"64KiB"``.

    :returns: bytes.
    :raises ValueError: when it is none.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'expected a size such as "64KiB" or a number of bytes, got {value!r}')
    return int(float(match[1]) * _BYTES[match[2]])


def parse_size_or_none(value: object) -> int | None:
    """Parse a size, or ``"none"`` for no limit.

    :raises ValueError: when it is neither.
    """
    return None if value is None or value == "none" else parse_size(value)


def parse_network(value: object) -> IPNetwork:
    """Parse a network in CIDR notation, or one address.

    :raises ValueError: when it is neither.
    """
    if isinstance(value, IPNetwork):
        return value
    try:
        if not isinstance(value, str):
            raise ValueError
        return ipaddress.ip_network(value)
    except ValueError:
        raise ValueError(
            f'expected a network such as "10.0.0.0/8" or an address, got {value!r}'
        ) from None


def contains(networks: Iterable[IPNetwork], address: str) -> bool:
    """Say whether an address lies in one of some networks; an IPv4-mapped one counts as IPv4.

    :param address: an IP address; anything else (a UNIX socket's ``""``) lies in none.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


_TEXT_OR_NUMBER = {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0}]}

Duration = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=str),
    WithJsonSchema({"type": "string", "pattern": _DURATION.pattern.replace(r"\Z", "$")}),
]
"""Seconds, written as ``"30s"``."""

Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(_TEXT_OR_NUMBER)]
"""Bytes, written as ``"64KiB"`` or a number."""

SizeOrNone = Annotated[
    int | None, BeforeValidator(parse_size_or_none), WithJsonSchema(_TEXT_OR_NUMBER)
]
"""Bytes, or ``None`` for ``"none"``."""

Network = Annotated[
    IPNetwork,
    BeforeValidator(parse_network),
    WithJsonSchema({"type": "string"}),
]
"""A network, written in CIDR notation, or one address."""


def _as_list(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


@frozen(slots=True)
class _OneStandsForMany:
    """Lets one value stand for a list of one, and has the JSON schema say so."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_as_list, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


_Each = TypeVar("_Each")

OneOrMore = Annotated[list[_Each], _OneStandsForMany()]
"""A list; a value that is none stands for a list of one."""


@frozen(slots=True)
class NamesPool:
    """Marks a field of an options model as the name of a pool: loading checks that it is one."""


PoolName = Annotated[str, NamesPool()]
"""The name of a ``[pool.NAME]``."""

PortNumber = Annotated[int, Field(ge=1, le=65535, strict=True)]
"""A TCP port."""


class Options(BaseModel):
    """The base of every model: unknown keys are errors, values are not changed afterwards."""

    # Built when they are first used: most of what could be configured is not.
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True
    )


def _no_pool(name: str) -> Any:
    raise ConfigurationError(f"there is no pool {name!r} here")


def _make_anew(key: tuple[str, ...], make: Callable[[], Any]) -> Any:
    return make()


@frozen(slots=True)
class BuildContext:
    """What a plug-in may use while it is built.

    :ivar directory: the configuration file's, for relative paths.
    :ivar reactor: the reactor, for timers; do not connect or listen while building.
    :ivar resolve: gives the addresses of a host name.
    :ivar pool: gives the pool of a name, an ``engine.pipeline.Upstream``; the name was checked when
        its field's type is ``PoolName``.
    :ivar inherit: gives what a plug-in of the configuration before this one had under a key, or
        makes it, so that a reload does not lose it. The key begins with the plug-in's name and
        holds all that the thing was made of; when several plug-ins of one configuration use the
        same key, each has a thing of its own, in their order. It is kept for as long as one of
        them refers to it, and has to allow weak references.
    :ivar share: as ``inherit``, but all who use one key share one thing.
    """

    directory: Path
    reactor: Any
    resolve: Callable[[str], Awaitable[tuple[str, ...]]]
    pool: Callable[[str], Any] = _no_pool
    inherit: Callable[[tuple[str, ...], Callable[[], Any]], Any] = _make_anew
    share: Callable[[tuple[str, ...], Callable[[], Any]], Any] = _make_anew
