"""The jobs of Privoxy's filters: Perl's ``s///``, as PCRS has it.

The expression goes to RE2, which has most of Perl's syntax and the same meaning for it; what it has
not is refused, never changed into something near to it.
"""

from __future__ import annotations

import re

from attrs import frozen

from ..substitution import Fact, Part, Substitution

FACTS = ("host", "origin", "path", "url")
"""The variables of option D that are known here."""

# $listen-address is Privoxy's own listener, which a forward listener of ours need not have one of.
_VARIABLE = re.compile(r"\$(listen-address|host|origin|path|url)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b", "0": "\0"}
_REFERENCE = re.compile(r"\$(?:([0-9]{1,2})|(&)|([+`']))")
_HEXADECIMAL = re.compile(r"x([0-9A-Fa-f]{2})")


class NotTaken(Exception):
    """Something has no meaning here, or not the same; says why."""


@frozen(slots=True, eq=False)
class Job:
    """A substitution that was taken over.

    :ivar dynamic: whether its replacement tells of the exchange.
    :ivar difference: what is different from Privoxy, ``""`` for nothing.
    """

    substitution: Substitution
    dynamic: bool = False
    difference: str = ""

    @classmethod
    def parse(cls, text: str) -> Job:
        """Parse a command such as ``s/pattern/replacement/gi``.

        :param text: in which each character stands for a byte.
        :raises NotTaken: when it is none, or has no equal here.
        """
        pattern, replacement, options = _split(text)
        unknown = set(options) - set("gimsxoUTD")
        if unknown:
            raise NotTaken(f"there is no option {min(unknown)!r}")
        if "D" in options and _VARIABLE.search(pattern):
            raise NotTaken("a variable in the pattern makes another expression for each request")
        if "x" in options:
            pattern = _without_space(pattern)
        parts = _parts(replacement, trivial="T" in options, dynamic="D" in options)
        flags = "".join(each for each in "imsU" if each in options)
        source = f"(?{flags}){pattern}" if flags else pattern
        try:
            substitution = Substitution.of_bytes(source, parts, once="g" not in options)
        except ValueError as error:
            raise NotTaken(str(error)) from None
        if max((part for part in parts if isinstance(part, int)), default=0) > substitution.groups:
            raise NotTaken("the replacement names a group that the pattern has not")
        difference = ""
        if "m" not in options and _has_dollar(pattern):
            difference = "$ is the very end of the text, not also before a last line feed"
        dynamic = any(isinstance(part, Fact) for part in parts)
        return cls(substitution, dynamic, difference)


def _split(text: str) -> tuple[str, str, str]:
    """Give the pattern, the replacement and the options of a command."""
    if len(text) < 2 or text[0] != "s":
        raise NotTaken("expected s/pattern/replacement/options")
    delimiter = text[1]
    if delimiter.isspace() or delimiter.isalnum() or delimiter == "\\":
        raise NotTaken(f"{delimiter!r} cannot delimit the parts of a job")
    parts = [""]
    position = 2
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            # A delimiter that is escaped stands for itself, with its meaning if it has one.
            escaped = text[position + 1]
            parts[-1] += escaped if escaped == delimiter else character + escaped
            position += 2
        elif character == delimiter:
            parts.append("")
            position += 1
        else:
            parts[-1] += character
            position += 1
    if len(parts) != 3:
        raise NotTaken(f"expected three delimiters {delimiter!r}, found {len(parts)}")
    if not parts[0]:
        raise NotTaken("the pattern is empty")
    return parts[0], parts[1], parts[2]


def _parts(replacement: str, *, trivial: bool, dynamic: bool) -> list[Part]:
    """Give the parts of a replacement."""
    if trivial:
        return [replacement]
    parts: list[Part] = [""]
    position = 0
    while position < len(replacement):
        character = replacement[position]
        position += 1
        if character == "\\" and position < len(replacement):
            hexadecimal = _HEXADECIMAL.match(replacement, position)
            if hexadecimal is not None:
                _add(parts, chr(int(hexadecimal[1], 16)))
                position = hexadecimal.end()
            else:
                escaped = replacement[position]
                _add(parts, _ESCAPES.get(escaped, escaped))
                position += 1
            continue
        if character == "$":
            variable = _VARIABLE.match(replacement, position - 1) if dynamic else None
            reference = _REFERENCE.match(replacement, position - 1)
            if variable is not None:
                if variable[1] not in FACTS:
                    raise NotTaken(f"${variable[1]} is not known here")
                parts += [Fact(variable[1]), ""]
                position = variable.end()
                continue
            if reference is not None:
                if reference[3]:
                    raise NotTaken(f"${reference[3]} is not done here")
                parts += [int(reference[1] or 0), ""]
                position = reference.end()
                continue
        _add(parts, character)
    return [part for part in parts if part != ""]


def _add(parts: list[Part], text: str) -> None:
    last = parts[-1]
    assert isinstance(last, str)
    parts[-1] = last + text


def _tokens(pattern: str) -> list[str]:
    """Give the parts of an expression that stand for one thing each: escapes, classes, letters."""
    tokens: list[str] = []
    position = 0
    while position < len(pattern):
        end = position + 1
        if pattern[position] == "\\":
            end = min(position + 2, len(pattern))
        elif pattern[position] == "[":
            end = _end_of_class(pattern, position)
        tokens.append(pattern[position:end])
        position = end
    return tokens


def _end_of_class(pattern: str, begin: int) -> int:
    position = begin + 1
    if pattern.startswith("^", position):
        position += 1
    if pattern.startswith("]", position):
        position += 1  # a bracket at the beginning stands for itself
    while position < len(pattern) and pattern[position] != "]":
        if pattern[position] == "\\":
            position += 2
        elif pattern.startswith("[:", position) and ":]" in pattern[position:]:
            position = pattern.index(":]", position) + 2
        else:
            position += 1
    return min(position + 1, len(pattern))


def _without_space(pattern: str) -> str:
    """Do what option x does: white space and comments in a pattern mean nothing."""
    kept: list[str] = []
    in_comment = False
    for token in _tokens(pattern):
        if in_comment:
            in_comment = "\n" not in token
        elif token == "#":
            in_comment = True
        elif token.isspace():
            continue
        else:
            kept.append(token)
    return "".join(kept)


def _has_dollar(pattern: str) -> bool:
    return "$" in _tokens(pattern)
