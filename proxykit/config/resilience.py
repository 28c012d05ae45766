"""The models of what a pool does about servers that fail: ``[pool.NAME.health]`` and its kin."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from ..message.pattern import Pattern
from ..options import Duration, OneOrMore, Options, PortNumber, parse_duration
from .field_types import Count, ServerUrl

_STATUS = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?\Z")


def parse_status_range(value: object) -> tuple[int, int]:
    """Parse a status or a range: 200, ``"200"``, ``"200-399"`` or ``"2xx"``.

    :returns: the first and the last.
    :raises ValueError: when it is none.
    """
    if isinstance(value, tuple):
        return value
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if re.fullmatch(r"[1-5]xx", text):
        text = f"{text[0]}00-{text[0]}99"
    match = _STATUS.match(text)
    if match is None or (match[2] and match[2] < match[1]):
        raise ValueError(f'expected a status such as 200, "200-399" or "2xx", got {value!r}')
    return int(match[1]), int(match[2] or match[1])


def parse_body_match(value: str) -> Callable[[bytes], bool]:
    """Parse what content must hold: a text, or a regular expression behind ``~``.

    :returns: says whether some content holds it.
    :raises ValueError: when the expression is none.
    """
    if value.startswith("~"):
        return Pattern.of(value[1:].strip()).search_bytes
    text = value.encode("utf-8")
    return lambda content: text in content


def _checked_body(value: object) -> object:
    if isinstance(value, str):
        parse_body_match(value)
    return value


def _duration_or_none(value: object) -> float | None:
    return None if value is None or value == "none" else parse_duration(value)


def _delay(value: object) -> float | str:
    if isinstance(value, str) and re.fullmatch(r"p[1-9][0-9]", value):
        return value
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError(f'expected a duration, or a percentile such as "p95": {value!r}') from None


StatusRange = Annotated[
    tuple[int, int],
    BeforeValidator(parse_status_range),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
]
StatusRanges = OneOrMore[StatusRange]
FailureStatuses = list[Annotated[int, Field(ge=400, le=599, strict=True)]]
DurationOrNone = Annotated[
    float | None, BeforeValidator(_duration_or_none), WithJsonSchema({"type": "string"})
]
Share = Annotated[float, Field(gt=0, le=1)]
FieldName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]


class HealthChecks(Options):
    """Active checks of a pool's servers."""

    type: Literal["http", "tcp", "tls"] = Field(
        default="http", description="http a request, tcp a connection, tls a handshake."
    )
    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = Field(
        default="/", description="What http asks for."
    )
    method: Literal["GET", "HEAD", "OPTIONS"] = Field(default="GET", description="And how.")
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]_-]+$")] | None = Field(
        default=None, description="What Host says; else the server's own name."
    )
    port: PortNumber | None = Field(default=None, description="Another port than the server's.")
    status: StatusRanges = Field(
        default=[(200, 399)],
        description='Good ones: 200, "200-399", "2xx", or a list.',
        min_length=1,
    )
    body: Annotated[str, BeforeValidator(_checked_body)] | None = Field(
        default=None,
        description='What is in the first 128 KiB of a good answer: a text, or "~ regex".',
    )
    interval: Duration = Field(default=2.0, description="Between two checks of a server.")
    fast_interval: DurationOrNone = Field(
        default=None, description="The same while in doubt; else a quarter of interval."
    )
    jitter: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.1, description="So much of an interval is left to chance."
    )
    timeout: Duration = Field(default=2.0, description="For one check.")
    rise: Count = Field(default=2, description="Good checks in a row that bring a server up.")
    fall: Count = Field(default=3, description="Bad ones that take it down.")

    @model_validator(mode="after")
    def _fits_its_type(self) -> HealthChecks:
        if self.type != "http":
            given = self.model_fields_set & {"path", "method", "host", "status", "body"}
            if given:
                raise ValueError(f"{sorted(given)[0]} is for http checks, and this is {self.type}")
        if self.method == "HEAD" and self.body is not None:
            raise ValueError("an answer to HEAD has no body to look at")
        if self.interval < 0.05 or (self.fast_interval is not None and self.fast_interval < 0.05):
            raise ValueError('an interval is at least "50ms"')
        return self


class OutlierDetection(Options):
    """Servers that do worse than the others are left out for a while."""

    errors: int = Field(default=5, ge=0, strict=True, description="Failures in a row; 0 for any.")
    error_share: Share | None = Field(
        default=0.5, description="Failures among the exchanges of an interval."
    )
    latency_factor: Annotated[float, Field(gt=1)] | None = Field(
        default=None,
        description="So many times slower to the first byte than the median of the others.",
    )
    fewest: Count = Field(default=20, description="Exchanges before a share or a mean counts.")
    interval: Duration = Field(default=10.0, description="How often those are looked at.")
    eject_for: Duration = Field(
        default=10.0,
        description="How long; twice as long the second time, and so on, up to a minute.",
    )
    most_ejected: Share = Field(
        default=0.5, description="Never more than this share of the pool, and never all."
    )


class CircuitBreaker(Options):
    """A server that fails is not asked at all for a while, then tried with few."""

    failures: int = Field(default=5, ge=0, strict=True, description="In a row; 0 for any.")
    failure_share: Share | None = Field(default=0.5, description="Among the exchanges of a window.")
    fewest: Count = Field(default=20, description="Exchanges before the share counts.")
    window: Duration = Field(default=10.0, description="What is counted together.")
    open_for: Duration = Field(
        default=5.0, description="How long; twice as long after a failed trial, up to a minute."
    )
    trials: Count = Field(default=1, description="Exchanges at a time while it is half-open.")
    successes: Count = Field(default=2, description="Of these, in a row, close it.")


class Retry(Options):
    """When a request is sent again, and how many of them."""

    statuses: FailureStatuses = Field(
        default=[],
        description="Responses that are not passed on while the request can be sent again.",
    )
    budget: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.2,
        description="At most this share of the pool's requests is sent again in vain,",
    )
    budget_floor: Annotated[float, Field(ge=0)] = Field(
        default=10.0, description="and this many a second besides."
    )


class Hedging(Options):
    """A second server is asked too when the first is slow; GET and HEAD only."""

    after: Annotated[float | str, BeforeValidator(_delay), WithJsonSchema({"type": "string"})] = (
        Field(description='A duration, or a percentile of the latest ones such as "p95".')
    )


class Deadline(Options):
    """How long all attempts together may take until a response begins."""

    timeout: DurationOrNone = Field(default=None, description="For any request.")
    header: FieldName | None = Field(
        default=None,
        description="A field that tells the server how many milliseconds are left, and by which a "
        "client can ask for less.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Deadline:
        if self.timeout is None and self.header is None:
            raise ValueError("a deadline needs a timeout or a header")
        return self


class SourceOptions(Options):
    """Where a pool's servers come from; one of dns, srv and file."""

    dns: ServerUrl | None = Field(
        default=None,
        description="http://NAME:PORT or https://NAME:PORT: each address of the name is a server.",
    )
    srv: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] | None = Field(
        default=None,
        description="A name with SRV records, such as _http._tcp.app.example. The lowest priority "
        "serves, the others are backups.",
    )
    file: str | None = Field(
        default=None, description="A file that is watched: TOML, JSON, or a URL a line."
    )
    tls: bool = Field(default=False, description="Whether servers of srv are spoken to in TLS.")
    family: Literal["any", "ipv4", "ipv6"] = Field(
        default="any", description="Which addresses are asked for."
    )
    nameservers: OneOrMore[
        Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f.]+)(:[0-9]+)?$")]
    ] = Field(default=[], description="ADDRESS or ADDRESS:PORT; else the system's.")
    min_ttl: Duration = Field(default=5.0, description="A shorter TTL counts as this.")
    max_ttl: Duration = Field(default=300.0, description="And a longer one as this.")

    @model_validator(mode="after")
    def _is_one(self) -> SourceOptions:
        if sum(each is not None for each in (self.dns, self.srv, self.file)) != 1:
            raise ValueError("a source is one of dns, srv and file")
        if self.dns is not None and self.dns.startswith("unix:"):
            raise ValueError("dns needs a name: http://NAME:PORT or https://NAME:PORT")
        if self.min_ttl < 0.1 or self.max_ttl < self.min_ttl:
            raise ValueError('min_ttl is at least "100ms" and at most max_ttl')
        return self


def off_or(value: Any) -> Any:
    """Let ``false`` turn a thing off and ``true`` turn it on as it is by default."""
    return None if value is False else {} if value is True else value
