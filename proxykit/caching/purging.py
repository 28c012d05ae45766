"""What was purged lately: what was asked for before that is not stored as if it came after.

A response that is on its way while its URI is purged may be older than what the purge was for.
Those who wait for it still get it, but it is not stored, and nobody who asks later waits for it.

What is remembered is bounded in number and in size. Who asks of a time before all that is
remembered is told that everything was purged since: that costs a request upstream, never a page
that should be gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice

from attrs import frozen

from .keys import PARTS
from .packing import Unreadable, pack, unpack

_MOST_REMEMBERED = 1024
_LONGEST_PREFIX = 128
_DIGEST_SIZE = 16


@frozen(slots=True)
class Purged:
    """What was purged; no larger than a few hundred bytes, whatever that was.

    :ivar by: ``key``, ``tag`` or ``prefix``.
    :ivar what: a digest, or of a prefix what it begins with.
    :ivar soft: whether it was only made stale.
    """

    by: str
    what: bytes
    soft: bool

    @classmethod
    def of(cls, by: str, what: bytes, *, soft: bool) -> Purged:
        """Note a purge.

        :param what: a URI's key, a tag or a prefix.
        """
        return cls(by, what[:_LONGEST_PREFIX] if by == "prefix" else _digest(what), soft)

    def pack(self) -> bytes:
        """Give it as bytes."""
        return pack((self.by, self.what, self.soft))

    @classmethod
    def unpack(cls, data: bytes) -> Purged:
        """Give what was packed; what cannot be read may have been everything."""
        try:
            by, what, soft = unpack(data)
        except (Unreadable, TypeError, ValueError):
            return EVERYTHING
        if by not in ("key", "tag", "prefix") or type(what) is not bytes or type(soft) is not bool:
            return EVERYTHING
        return cls(by, what, soft)


EVERYTHING = Purged("prefix", b"", soft=False)


def hardest(purges: Iterable[Purged], key: bytes, tags: frozenset[bytes] | None) -> Purged | None:
    """Give the purge, of some, that took what is under a key; one that is not soft before others.

    :param tags: the response's, ``None`` while nobody knows them.
    """
    uri = _digest(key.partition(PARTS)[0])
    names = None if tags is None else {_digest(tag) for tag in tags}
    found: Purged | None = None
    for each in purges:
        if each.by == "prefix":
            concerned = key.startswith(each.what)
        elif each.by == "key":
            concerned = each.what == uri
        else:
            concerned = names is None or each.what in names
        if concerned:
            found = each
            if not each.soft:
                break
    return found


def _digest(name: bytes) -> bytes:
    return blake2b(name, digest_size=_DIGEST_SIZE).digest()


class PurgeLog:
    """The purges that a process knows of, in order.

    :ivar now: how many there were: a moment, to ask for what came after it.
    """

    __slots__ = ("_purges", "now")

    def __init__(self) -> None:
        """Begin empty."""
        self.now = 0
        self._purges: deque[Purged] = deque(maxlen=_MOST_REMEMBERED)

    def add(self, purged: Purged) -> None:
        """Note a purge."""
        self.now += 1
        self._purges.append(purged)

    def since(self, moment: int, key: bytes, tags: frozenset[bytes] | None) -> Purged | None:
        """Give a purge since a moment that took what is under a key: see ``hardest``.

        :param moment: what ``now`` was.
        """
        count = self.now - moment
        if not count:
            return None
        if count > len(self._purges):
            return EVERYTHING
        return hardest(islice(reversed(self._purges), count), key, tags)
