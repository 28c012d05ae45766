"""What is wrong with a configuration, and where: each thing with its key and its line."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from .places import KeyPath, Places


@frozen(slots=True)
class ConfigurationProblem:
    """One thing that is wrong.

    :ivar path: the key's path, ``reverse.site.routes[0].pool`` for instance.
    :ivar line: where it stands, ``None`` when it stands nowhere.
    :ivar message: what is wrong, for the operator.
    :ivar source: the file's name, or where else the configuration came from.
    """

    path: str
    line: int | None
    message: str
    source: str

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigurationErrors(Exception):
    """Everything that is wrong with a configuration, in the order of its lines.

    :ivar problems: never none.
    """

    def __init__(self, problems: Iterable[ConfigurationProblem]) -> None:
        """Take the problems."""
        self.problems = sorted(problems, key=lambda problem: problem.line or 0)
        super().__init__("\n".join(map(str, self.problems)))


@frozen(slots=True)
class Origin:
    """Where a configuration came from.

    :ivar source: the file's name, or another word for it.
    :ivar places: the lines of its keys, ``None`` when it is no text.
    """

    source: str = "options"
    places: Places | None = None

    def problem(self, path: KeyPath, message: str) -> ConfigurationProblem:
        """Say what is wrong at a key."""
        line = None if self.places is None else self.places.line(path)
        return ConfigurationProblem(key_text(path), line, message, self.source)


def key_text(path: KeyPath) -> str:
    """Write a key's path as operators read it: ``routes[0].pool``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
