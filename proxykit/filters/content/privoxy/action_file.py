"""Privoxy's action files, as far as their grammar goes: sections of actions, each with patterns.

What the actions mean is for ``actions``, what the patterns mean is for ``url_pattern``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import field, frozen

from .lines import logical_lines
from .report import Place, Report

_DEEPEST_ALIAS = 16
_MOST_ACTIONS = 1000
"""Of one section: aliases of aliases could make any number."""


@frozen(slots=True)
class Action:
    """An action as it stands in a section's head.

    :ivar on: whether it is turned on (``+``) or off (``-``).
    :ivar name: in lower case.
    :ivar parameter: ``None`` when there is none.
    """

    on: bool
    name: str
    parameter: str | None = None

    def __str__(self) -> str:
        parameter = "" if self.parameter is None else f"{{{self.parameter}}}"
        return f"{'+' if self.on else '-'}{self.name}{parameter}"


@frozen(slots=True, eq=False)
class Section:
    """Actions, and the patterns of what they are for.

    :ivar patterns: as they are written, each with its place.
    """

    place: Place
    actions: tuple[Action, ...]
    patterns: list[tuple[Place, str]] = field(factory=list)


class _Malformed(Exception):
    """A head that cannot be read; says why."""


def read_action_file(text: str, file: str, report: Report) -> list[Section]:
    """Read an action file.

    A section whose head cannot be read is reported with its patterns, and has no effect.
    """
    sections: list[Section] = []
    aliases: dict[str, str] = {}
    reading = "nothing"  # or "aliases", "settings", "patterns", "lost"
    for number, line in logical_lines(text):
        place = Place(file, number)
        if line.startswith("{{") and line.endswith("}}"):
            reading = _special(line, place, report)
        elif line.startswith("{"):
            try:
                actions = tuple(_actions(_inside(line), aliases))
                sections.append(Section(place, actions))
                reading = "patterns"
            except _Malformed as reason:
                report.leave(place, line, str(reason))
                reading = "lost"
        elif reading == "patterns":
            sections[-1].patterns.append((place, line))
        elif reading == "aliases":
            _read_alias(line, place, aliases, report)
        elif reading == "lost":
            report.leave(place, line, "is in a section that has no effect")
        elif reading == "nothing":
            report.leave(place, line, "stands before the first section")
    return sections


def _special(line: str, place: Place, report: Report) -> str:
    name = line[2:-2].strip().lower()
    if name == "alias":
        return "aliases"
    if name not in ("settings", "description"):
        report.leave(place, line, "there is no such section")
        return "lost"
    return "settings"  # of a version, and for people: nothing to do


def _inside(line: str) -> str:
    if not line.endswith("}"):
        raise _Malformed("the section's head has no end on its line")
    return line[1:-1]


def _read_alias(line: str, place: Place, aliases: dict[str, str], report: Report) -> None:
    name, equals, value = line.partition("=")
    name = name.strip().lower()
    if not equals or not name or any(each in name for each in " \t{}"):
        report.leave(place, line, "expected name = actions")
        return
    # Aliases are texts that are put in where they are named, and so see those before them.
    aliases[name] = value.strip()


def _actions(text: str, aliases: Mapping[str, str], depth: int = 0) -> list[Action]:
    """Parse actions, aliases resolved."""
    if depth > _DEEPEST_ALIAS:
        raise _Malformed("an alias is defined by itself")
    actions: list[Action] = []
    for name, parameter in _words(text):
        alias = aliases.get(name.lower()) if parameter is None else None
        if alias is not None:
            actions.extend(_actions(alias, aliases, depth + 1))
        elif name[0] in "+-" and len(name) > 1:
            actions.append(Action(name[0] == "+", name[1:].lower(), parameter))
        else:
            raise _Malformed(f"{name!r} is neither an action nor an alias")
        if len(actions) > _MOST_ACTIONS:
            raise _Malformed("there are too many actions in it")
    return actions


def _words(text: str) -> Iterator[tuple[str, str | None]]:
    """Give the words of a section's head, each with what stands in braces behind it."""
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        begin = position
        while position < len(text) and not text[position].isspace() and text[position] != "{":
            position += 1
        name = text[begin:position]
        if not name:
            raise _Malformed("a parameter stands behind no action")
        if position < len(text) and text[position] == "{":
            parameter, position = _parameter(text, position)
            yield name, parameter
        else:
            yield name, None


def _parameter(text: str, begin: int) -> tuple[str, int]:
    """Read a parameter; a brace in it that is escaped is no end of it."""
    pieces: list[str] = []
    position = begin + 1
    while position < len(text):
        character = text[position]
        if character == "}":
            return "".join(pieces), position + 1
        if character == "\\" and text.startswith("}", position + 1):
            position += 1
            character = "}"
        pieces.append(character)
        position += 1
    raise _Malformed("a parameter has no end")
