"""Changes of what is stored on disk: what the clerk is told to do to the index.

How they are applied, see ``disk.transaction``.
"""

from __future__ import annotations

from attrs import define, frozen

from ..keys import PARTS
from ..stored import StoredHead
from .files import WrittenFile

RANGE = 1024
"""How many numbers a process reserves at a time."""


@define(slots=True, eq=False)
class Put:
    """Store a response.

    :ivar size: of its content, in bytes.
    :ivar written: the file that was begun for it, if there is one.
    :ivar content: what of its content is in no file yet.
    :ivar known: the numbers of those that were judged when it was put.
    :ivar replaced: the numbers of those whose place it takes.
    :ivar owner: the store's name.
    :ivar heard: the last purge by others that was judged when it was put.
    :ivar stored: afterwards, whether it was: others may have purged it meanwhile.
    :ivar in_file: afterwards, whether the content lies in a file.
    :ivar checksums: afterwards, those of its blocks.
    """

    key: bytes
    number: int
    head: StoredHead
    size: int
    written: WrittenFile
    content: list[bytes]
    known: frozenset[int]
    replaced: frozenset[int]
    owner: bytes = b""
    heard: int = 0
    stored: bool = True
    in_file: bool = True
    checksums: bytes = b""


@frozen(slots=True, eq=False)
class Update:
    """Give a response another head."""

    key: bytes
    number: int
    head: StoredHead


@frozen(slots=True, eq=False)
class Remove:
    """Forget a response."""

    key: bytes
    number: int


@frozen(slots=True, eq=False)
class Purge:
    """Forget, or make stale, all of a kind.

    :ivar by: ``key``, ``prefix`` or ``tag``.
    :ivar now: seconds since 1970, for ``soft``.
    :ivar owner: the name of the store that was asked.
    """

    by: str
    what: bytes
    soft: bool
    now: float
    owner: bytes

    def concerns(self, key: bytes) -> bool:
        """Say whether it may take what is under a key; of a tag, the tags say whether it does."""
        if self.by == "tag":
            return True
        if self.by == "prefix":
            return key.startswith(self.what)
        return key == self.what or key.startswith(self.what + PARTS)


@frozen(slots=True, eq=False)
class Touch:
    """Note that responses were asked for."""

    numbers: tuple[int, ...]


@frozen(slots=True, eq=False)
class Reserve:
    """Reserve a range of numbers."""


@frozen(slots=True, eq=False)
class Release:
    """A range's numbers are all in the index, or never will be."""

    first: int


Change = Put | Update | Remove | Purge | Touch | Reserve | Release
