"""Privoxy's filter files: named lists of substitutions."""

from __future__ import annotations

import enum
import re

from attrs import field, frozen

from .job import Job, NotTaken
from .lines import logical_lines
from .report import Place, Report

_HEADING = re.compile(r"([A-Z]+(?:-[A-Z]+)*):[ \t]*(\S*)(?:[ \t]+(.*))?\Z")


class Kind(enum.Enum):
    """What a filter is for; the value is the word at its head."""

    CONTENT = "FILTER"
    REQUEST_FIELDS = "CLIENT-HEADER-FILTER"
    RESPONSE_FIELDS = "SERVER-HEADER-FILTER"
    REQUEST_TAGS = "CLIENT-HEADER-TAGGER"
    RESPONSE_TAGS = "SERVER-HEADER-TAGGER"


_NOT_DONE = {
    "EXTERNAL-FILTER": "content is given to no other programs",
    "CLIENT-BODY-FILTER": "content of requests is not filtered",
    "CLIENT-BODY-TAGGER": "content of requests is not filtered",
}


@frozen(slots=True, eq=False)
class NamedFilter:
    """A filter that was taken over.

    :ivar jobs: in the order in which they are done.
    """

    kind: Kind
    name: str
    place: Place
    jobs: tuple[Job, ...]


Filters = dict[tuple[Kind, str], NamedFilter]


@frozen(slots=True, eq=False)
class _Heading:
    """A filter while its lines are read."""

    kind: Kind
    name: str
    place: Place
    jobs: list[Job] = field(factory=list)
    failed: list[int] = field(factory=list)


def read_filter_file(text: str, file: str, filters: Filters, report: Report) -> None:
    """Read a filter file.

    A filter is taken over with all of its jobs or not at all: jobs build on those before them.

    :param text: in which each character stands for a byte.
    :param filters: what is in it is added here; of one name the last counts.
    """
    heading: _Heading | None = None
    skipping = False
    for number, line in logical_lines(text):
        place = Place(file, number)
        match = _HEADING.match(line)
        if match is not None and (match[1].endswith(("FILTER", "TAGGER"))):
            _close(heading, filters, report)
            heading = _opened(match, place, report)
            skipping = heading is None
        elif heading is not None:
            _add_job(heading, line, place, report)
        elif not skipping:
            report.leave(place, line, "stands before the first filter")
    _close(heading, filters, report)


def _opened(match: re.Match[str], place: Place, report: Report) -> _Heading | None:
    text = f"{match[1]}: {match[2]}"
    if match[1] in _NOT_DONE:
        report.leave(place, text, _NOT_DONE[match[1]])
        return None
    try:
        kind = Kind(match[1])
    except ValueError:
        report.leave(place, text, "there is no such kind of filter")
        return None
    if not match[2]:
        report.leave(place, text, "it has no name")
        return None
    return _Heading(kind, match[2], place)


def _add_job(heading: _Heading, line: str, place: Place, report: Report) -> None:
    try:
        job = Job.parse(line)
    except NotTaken as reason:
        report.leave(place, line, str(reason))
        heading.failed.append(place.line)
        return
    heading.jobs.append(job)
    if job.difference and heading.kind is Kind.CONTENT:  # fields have no line feeds
        report.take(place, line, job.difference)


def _close(heading: _Heading | None, filters: Filters, report: Report) -> None:
    if heading is None:
        return
    text = f"{heading.kind.value}: {heading.name}"
    key = heading.kind, heading.name
    filters.pop(key, None)
    if heading.failed:
        lines = ", ".join(map(str, heading.failed))
        word = "line" if len(heading.failed) == 1 else "lines"
        report.leave(heading.place, text, f"without {word} {lines} it would be another filter")
        return
    count = len(heading.jobs)
    report.take(heading.place, f"{text} ({count} job{'s' if count != 1 else ''})")
    filters[key] = NamedFilter(heading.kind, heading.name, heading.place, tuple(heading.jobs))
