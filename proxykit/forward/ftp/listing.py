"""Reads directories: MLSD (RFC 3659 section 7), which is made for it, or else LIST."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from attrs import frozen
from twisted.protocols.ftp import FTPFileListProtocol

Kind = Literal["directory", "file", "link", "other"]

_TIME = re.compile(r"([0-9]{14})(?:\.[0-9]+)?\Z")
_KINDS: dict[str, Kind] = {"d": "directory", "-": "file", "l": "link"}
_LIST_OF_DOS = re.compile(
    r"(\d\d-\d\d-\d{2,4} +\d\d:\d\d(?:[AP]M)?) +(?:(<DIR>)|(\d{1,18})) +(.+?)\r?\Z"
)
_SIZE = re.compile(r"[0-9]{1,18}")
_TOTAL = re.compile(r"total \d+\r?\Z")


@frozen(slots=True)
class Entry:
    """What a directory holds.

    :ivar name: each of its characters is a byte.
    :ivar size: in bytes, ``None`` when it is not known.
    :ivar modified: for people.
    """

    name: str
    kind: Kind
    size: int | None = None
    modified: str = ""


def read_mlsd(data: bytes) -> Iterator[Entry]:
    """Read what MLSD gave; lines that are none of it are passed over."""
    for line in data.decode("latin-1").split("\n"):
        facts_text, space, name = line.rstrip("\r").partition(" ")
        if not space or not _is_name(name):
            continue
        facts = {
            key.lower(): value
            for key, equals, value in (each.partition("=") for each in facts_text.split(";"))
            if equals
        }
        kind = facts.get("type", "").lower()
        if kind in ("cdir", "pdir"):
            continue
        size = facts.get("size", "")
        yield Entry(
            name,
            _mlsd_kind(kind),
            int(size) if _SIZE.fullmatch(size) else None,
            _modified(facts.get("modify", "")),
        )


def read_list(data: bytes) -> Iterator[Entry]:
    """Read what LIST gave: as ``ls -l`` writes it, or as DOS does.

    A line that is neither is an entry without a link, for people to read.
    """
    reader = FTPFileListProtocol()
    for line in data.decode("latin-1").split("\n"):
        if not line.strip() or _TOTAL.match(line):
            continue
        found = reader.parseDirectoryLine(line)
        dos = _LIST_OF_DOS.match(line)
        if found is not None and _is_name(found["filename"]):
            kind = _KINDS.get(found["filetype"], "other")
            size = found["size"] if kind == "file" else None
            yield Entry(found["filename"], kind, size, found["date"])
        elif dos is not None and _is_name(dos[4]):
            kind = "directory" if dos[2] else "file"
            yield Entry(dos[4], kind, int(dos[3]) if dos[3] else None, dos[1])
        elif found is None and dos is None and line.strip() not in (".", ".."):
            yield Entry(line.strip(), "other")


def modification_time(text: str) -> int | None:
    """Read a time as MDTM and MLSD write it (RFC 3659 section 2.3).

    :returns: seconds since 1970, ``None`` when it is none.
    """
    match = _TIME.match(text.strip())
    if match is None:
        return None
    try:
        return int(datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def _is_name(name: str) -> bool:
    # A name with a slash would lead out of the directory that is listed.
    return bool(name) and name not in (".", "..") and "/" not in name


def _mlsd_kind(kind: str) -> Kind:
    if kind == "dir":
        return "directory"
    if kind == "file":
        return "file"
    return "link" if "link" in kind else "other"  # OS.unix=slink:, OS.unix=symlink


def _modified(text: str) -> str:
    seconds = modification_time(text)
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
