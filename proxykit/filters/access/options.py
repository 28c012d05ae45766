"""The options of the ``access`` filter: rules, and the lists that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from ...lists.entries import DOMAINS, NAMES, NETWORKS, URLS
from ...message.domain import checked_domain
from ...message.path import checked_path_match
from ...message.pattern import Pattern
from ...options import IPNetwork, OneOrMore, Options, PortNumber, parse_network, parse_size

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]|24):([0-5][0-9])\Z")
_TYPE = re.compile(r"(?:[a-z0-9!#$&^_.+-]+|\*)/(?:[a-z0-9!#$&^_.+-]+|\*)\Z")
_LIST = re.compile(r"@[A-Za-z0-9_-]{1,64}\Z")

LIST_KINDS = {
    "client": NETWORKS,
    "destination": NETWORKS,
    "domain": DOMAINS,
    "user": NAMES,
    "group": NAMES,
    "url": URLS,
}
"""What the entries of a list are, by the condition that names it."""


def is_list(value: object) -> bool:
    """Say whether a condition's value names a list."""
    return isinstance(value, str) and _LIST.match(value) is not None


def _checked_network(value: object) -> object:
    return value if is_list(value) else parse_network(value)


def _checked_domain(value: str) -> str:
    return value if is_list(value) else checked_domain(value)


def _checked_time(value: str) -> str:
    if not _TIME.match(value) or value.endswith(("24:01", "24:59")):
        raise ValueError(f'expected a time such as "08:00-18:30", got {value!r}')
    return value


def _checked_weekdays(value: str) -> str:
    if not all(day in WEEKDAYS for day in value.lower().split("-")) or value.count("-") > 1:
        raise ValueError(f'expected a weekday such as "mon", or "mon-fri", got {value!r}')
    return value.lower()


def _checked_path(value: str) -> str:
    if value.startswith("~"):
        Pattern.of(value[1:].strip())
        return value
    return checked_path_match(value)


def _checked_url(value: str) -> str:
    if not is_list(value):
        Pattern.of(value)
    return value


def _checked_type(value: str) -> str:
    if value.lower() != "none" and not _TYPE.match(value.lower()):
        raise ValueError(f'expected a media type such as "video/*", or "none", got {value!r}')
    return value.lower()


def _checked_size(value: str) -> str:
    size_range(value)
    return value


def size_range(text: str) -> tuple[int, int | None] | None:
    """Parse what a rule says of sizes: ``>10MiB``, ``<1KiB``, ``1MiB-5MiB`` or ``unknown``.

    :returns: the smallest and the largest number of bytes, ``None`` for an unknown size.
    :raises ValueError: when it is none of them.
    """
    try:
        if text == "unknown":
            return None
        if text.startswith(">"):
            return _bytes(text[1:]) + 1, None
        if text.startswith("<"):
            return 0, _bytes(text[1:]) - 1
        smallest, _, largest = text.partition("-")
        return _bytes(smallest), _bytes(largest)
    except ValueError:
        raise ValueError(
            f'expected a size such as ">10MiB", "<1KiB", "1MiB-5MiB" or "unknown", got {text!r}'
        ) from None


def _bytes(text: str) -> int:
    text = text.strip()
    return int(text) if text.isdecimal() else parse_size(text)


def minutes(text: str) -> tuple[int, int]:
    """Give the minutes of a day at which a checked time begins and ends."""
    match = _TIME.match(text)
    assert match is not None
    first, second, third, fourth = map(int, match.groups())
    return first * 60 + second, third * 60 + fourth


Networks = OneOrMore[
    Annotated[
        IPNetwork | str, BeforeValidator(_checked_network), WithJsonSchema({"type": "string"})
    ]
]
Domains = OneOrMore[Annotated[str, AfterValidator(_checked_domain)]]
Times = OneOrMore[Annotated[str, AfterValidator(_checked_time)]]
Weekdays = OneOrMore[Annotated[str, AfterValidator(_checked_weekdays)]]
Paths = OneOrMore[Annotated[str, AfterValidator(_checked_path)]]
Urls = OneOrMore[Annotated[str, AfterValidator(_checked_url)]]
Types = OneOrMore[Annotated[str, AfterValidator(_checked_type)]]
Sizes = OneOrMore[Annotated[str, AfterValidator(_checked_size)]]
Texts = OneOrMore[str]
Ports = OneOrMore[PortNumber]


class Rule(Options):
    """A rule: it matches an exchange that every condition in it matches."""

    action: Literal["allow", "deny"] = Field(description="What happens to what it matches.")
    name: str | None = Field(default=None, description="For the log and the answer.")
    client: Networks = Field(default=[], description="Clients' networks.")
    user: Texts = Field(default=[], description='Who authenticated; "*" is anybody who did.')
    group: Texts = Field(default=[], description="Groups of who authenticated.")
    domain: Domains = Field(
        default=[],
        description='"a.example" itself, ".a.example" with all below, "*.a.example" all below.',
    )
    destination: Networks = Field(
        default=[], description="Networks of the destination, after its name was resolved."
    )
    port: Ports = Field(default=[], description="The destination's ports.")
    method: Texts = Field(default=[], description="Methods.")
    path: Paths = Field(default=[], description='"/prefix", "= /exact" or "~ regex".')
    url: Urls = Field(default=[], description="Regular expressions, searched in the whole URL.")
    time: Times = Field(default=[], description='Local times such as "08:00-18:30".')
    weekdays: Weekdays = Field(default=[], description='Days such as "sat", or "mon-fri".')
    type: Types = Field(default=[], description='The response\'s media types, "video/*".')
    size: Sizes = Field(default=[], description='The response\'s size, ">10MiB".')

    @property
    def of_response(self) -> bool:
        """Whether it can be tried only when there is a response."""
        return bool(self.type or self.size)

    def named_lists(self) -> Iterator[tuple[str, str]]:
        """Give each condition that names a list, with that name."""
        for condition in LIST_KINDS:
            for value in getattr(self, condition):
                if is_list(value):
                    yield condition, value[1:]


class AccessOptions(Options):
    """Rules, and a short form for the common ones."""

    rules: list[Rule] = Field(default=[], description="Tried first, in the order written.")
    deny: Networks = Field(default=[], description="Then: clients that may not.")
    allow: Networks = Field(default=[], description="Then: clients that may.")
    default: Literal["allow", "deny"] | None = Field(
        default=None, description='Then. "deny" if there is an allow, else "allow".'
    )
    lists: dict[str, str | list[str]] = Field(
        default={}, description='Named lists, files or arrays; a condition names one by "@name".'
    )
    dry_run: bool = Field(default=False, description="Only log what would be denied.")

    def all_rules(self) -> list[Rule]:
        """Give every rule, those of the short forms behind the others."""
        rules = list(self.rules)
        if self.deny:
            rules.append(Rule(action="deny", client=self.deny, name="deny"))
        if self.allow:
            rules.append(Rule(action="allow", client=self.allow, name="allow"))
        return rules

    @property
    def allows_rest(self) -> bool:
        """Whether what no rule matches is allowed."""
        return (self.default or ("deny" if self.allow else "allow")) == "allow"

    @model_validator(mode="before")
    @classmethod
    def _put_lists_in(cls, data: Any) -> Any:
        """Put the entries of lists that are arrays where they are named; they are checked there."""
        lists = data.get("lists") if isinstance(data, dict) else None
        if not isinstance(lists, dict):
            return data
        arrays = {f"@{name}": each for name, each in lists.items() if isinstance(each, list)}

        def put(values: Any) -> Any:
            found: list[Any] = []
            for each in values if isinstance(values, list) else [values]:
                if not isinstance(each, str) or each not in arrays:
                    found.append(each)
                elif arrays[each]:
                    found += arrays[each]
                else:
                    # A condition without values is none: the rule would match everything.
                    raise ValueError(f"the list {each} is empty")
            return found

        def put_in(rule: Any) -> Any:
            if not isinstance(rule, dict):
                return rule
            return {key: put(value) if key in LIST_KINDS else value for key, value in rule.items()}

        data = dict(data)
        if isinstance(data.get("rules"), list):
            data["rules"] = [put_in(rule) for rule in data["rules"]]
        for key in ("deny", "allow"):
            if key in data:
                data[key] = put(data[key])
        return data

    @model_validator(mode="after")
    def _lists_are_there(self) -> AccessOptions:
        for rule in self.all_rules():
            for condition, name in rule.named_lists():
                if name not in self.lists:
                    raise ValueError(f"{condition} names the list @{name}, which is not in lists")
        return self
