"""The options of the ``content`` filter."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ...message.media_types import checked_media_type
from ...options import Duration, OneOrMore, Options, Size
from .substitution import Part, Substitution
from .url_pattern import UrlPattern

_MOST_BUFFER = 64 << 20
_REFERENCE = re.compile(r"\{\{([0-9]{1,2})\}\}|\{([0-9]{1,2})\}")


def _checked_url(value: str) -> str:
    UrlPattern.parse(value)
    return value


def _checked_flags(value: str) -> str:
    if set(value) - set("imsU") or len(set(value)) != len(value):
        raise ValueError(f'expected some of the letters "imsU", got {value!r}')
    return value


def _checked_size(value: int) -> int:
    if not 0 < value <= _MOST_BUFFER:
        raise ValueError(f"expected at most {_MOST_BUFFER >> 20}MiB, and more than none")
    return value


def _checked_seconds(value: float) -> float:
    if not 0 < value <= 60:
        raise ValueError("expected more than none, and at most a minute")
    return value


def _parts(text: str) -> list[Part]:
    """Give the parts of a replacement in which ``{1}`` is a group."""
    parts: list[Part] = []
    position = 0
    for match in _REFERENCE.finditer(text):
        parts.append(text[position : match.start()])
        parts.append(int(match[2]) if match[2] else f"{{{match[1]}}}")
        position = match.end()
    parts.append(text[position:])
    return [part for part in parts if part != ""]


Flags = Annotated[str, AfterValidator(_checked_flags)]
Urls = OneOrMore[Annotated[str, AfterValidator(_checked_url)]]
Types = OneOrMore[Annotated[str, AfterValidator(checked_media_type)]]
Files = OneOrMore[str]


class Replacement(Options):
    """What is replaced by what."""

    match: str = Field(min_length=1, description="A regular expression, in RE2's syntax.")
    with_: str = Field(alias="with", description="What stands there instead; {1} is a group.")
    flags: Flags = Field(
        default="",
        description="i: letters in either case; m: ^ and $ at lines; s: . is a line feed too; "
        "U: as little as possible.",
    )
    once: bool = Field(default=False, strict=True, description="Only the first that matches.")

    def substitution(self) -> Substitution:
        """Compile it.

        :raises ValueError: when it makes no sense.
        """
        parts = _parts(self.with_)
        substitution = Substitution.of_text(
            _with_flags(self.match, self.flags), parts, once=self.once
        )
        for part in parts:
            if isinstance(part, int) and part > substitution.groups:
                raise ValueError(
                    f"with: there is no group {{{part}}}; {{{{{part}}}}} writes the text"
                )
        return substitution

    @model_validator(mode="after")
    def _compiles(self) -> Replacement:
        self.substitution()
        return self


class Insertion(Options):
    """What is put in, and where: at the first place that matches."""

    text: str = Field(description="What is put in, as it stands.")
    before: str | None = Field(default=None, min_length=1, description="A regular expression.")
    after: str | None = Field(default=None, min_length=1, description="A regular expression.")
    at: Literal["start", "end"] | None = Field(default=None, description="Of the whole content.")
    flags: Flags = Field(default="i", description="As for replace.")

    def substitution(self) -> Substitution:
        """Compile it.

        :raises ValueError: when it makes no sense.
        """
        parts: list[Part] = [self.text]
        if self.at is not None:
            return Substitution.of_text(r"\A" if self.at == "start" else r"\z", parts, once=True)
        if self.before is not None:
            return Substitution.of_text(
                _with_flags(self.before, self.flags), [*parts, 0], once=True
            )
        return Substitution.of_text(
            _with_flags(self.after or "", self.flags), [0, *parts], once=True
        )

    @model_validator(mode="after")
    def _compiles(self) -> Insertion:
        if sum(each is not None for each in (self.before, self.after, self.at)) != 1:
            raise ValueError("expected one of before, after and at")
        self.substitution()
        return self


def _with_flags(source: str, flags: str) -> str:
    return f"(?{flags}){source}" if flags else source


class Rule(Options):
    """Changes of content, and what they are for."""

    name: str = Field(min_length=1, description="For the log.")
    url: Urls = Field(
        default=["/"],
        description='Patterns such as ".example.com/news/"; by itself every URL.',
    )
    type: Types = Field(
        default=["text/html", "application/xhtml+xml"],
        description='Media types; "*" stands for any text.',
    )
    replace: list[Replacement] = Field(default=[], description="Done one after the other.")
    insert: list[Insertion] = Field(default=[], description="Done after these.")

    @model_validator(mode="after")
    def _does_something(self) -> Rule:
        if not self.replace and not self.insert:
            raise ValueError("expected something to replace or to insert")
        return self


class ContentOptions(Options):
    """Rules of one's own, and Privoxy's files."""

    rules: list[Rule] = Field(default=[], description="In the order in which they are done.")
    files: Files = Field(default=[], description="Privoxy's filter files.")
    actions: Files = Field(default=[], description="Privoxy's action files; later ones override.")
    buffer_limit: Annotated[Size, AfterValidator(_checked_size)] = Field(
        default=4 << 20, description="Content that is larger goes on unfiltered."
    )
    buffer_total: Size = Field(
        default=256 << 20, description="What may be held of all contents together."
    )
    time_limit: Annotated[Duration, AfterValidator(_checked_seconds)] = Field(
        default=2.0, description="Content that takes longer goes on unfiltered."
    )
    ignore_no_transform: bool = Field(
        default=False,
        strict=True,
        description="Whether content is changed though it says no-transform.",
    )

    @model_validator(mode="after")
    def _has_something(self) -> ContentOptions:
        if self.files and not self.actions:
            raise ValueError("files: no filter is used without actions that turn it on")
        return self
