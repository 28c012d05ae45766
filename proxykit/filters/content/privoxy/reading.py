"""Reads Privoxy's files together, and says of each line what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..expressions import compiled
from ..policy import Selected, TagPattern
from ..url_pattern import UrlPattern
from .action_file import Action, Section, read_action_file
from .actions import taken
from .filter_file import Filters, read_filter_file
from .job import NotTaken
from .report import Report

_LARGEST_FILE = 16 << 20


def text_of(path: Path) -> str:
    """Give a file's text, in which each character stands for a byte.

    :raises OSError: when it cannot be read.
    :raises ValueError: when it is larger than such files are.
    """
    with path.open("rb") as file:
        data = file.read(_LARGEST_FILE + 1)
    if len(data) > _LARGEST_FILE:
        raise ValueError(f"it is larger than {_LARGEST_FILE >> 20}MiB")
    return data.decode("latin-1")


def read_files(
    filter_files: Iterable[tuple[str, str]], action_files: Iterable[tuple[str, str]], report: Report
) -> tuple[list[Selected], Filters]:
    """Read files.

    :param filter_files: names and texts.
    :param action_files: names and texts, in the order in which they count.
    :returns: what the sections select, in order, and the filters.
    """
    filters: Filters = {}
    for name, text in filter_files:
        read_filter_file(text, name, filters, report)
    selected: list[Selected] = []
    for name, text in action_files:
        for section in read_action_file(text, name, report):
            selected.append(_selected(section, filters, report))
    return selected, filters


def _selected(section: Section, filters: Filters, report: Report) -> Selected:
    actions: list[Action] = []
    for action in section.actions:
        try:
            used, difference = taken(action, filters)
        except NotTaken as reason:
            report.leave(section.place, str(action), str(reason))
        else:
            actions.append(used)
            report.take(section.place, str(action), difference)
    urls: list[UrlPattern] = []
    tags: list[TagPattern] = []
    for place, text in section.patterns:
        try:
            if text.startswith(_TAGS):
                tags.append(_tag_pattern(text))
            else:
                urls.append(UrlPattern.parse(text))
        except ValueError as error:
            report.leave(place, text, str(error))
        else:
            report.take(place, text)
    return Selected(urls, tags, None, tuple(actions))


_TAGS = ("TAG:", "NO-REQUEST-TAG:", "NO-RESPONSE-TAG:", "CLIENT-TAG:", "PCRE-HOST-PATTERN:")


def _tag_pattern(text: str) -> TagPattern:
    kind, _, source = text.partition(":")
    if kind != "TAG":
        raise ValueError(f"{kind} is not done here")
    search = compiled(b"(?i)" + source.encode("latin-1")).search
    return TagPattern(text, lambda tag: search(tag) is not None)
