"""What a store's keys in Redis are called.

Each has the store's prefix and the version of what stands there:

    k:KEY         a hash: of each response under KEY, its name -> its record
    b:NAME:N      a chunk of content
    t:TAG         a set of names and keys: what may carry the tag
    r:URI         a set of the keys that rules made of URI
    p             a list of what was purged last; see ``redis.purges``
"""

from __future__ import annotations

_VERSION = b"1"


class Names:
    """Gives names.

    :ivar purges: of the list of what was purged last.
    """

    __slots__ = ("_prefix", "purges")

    def __init__(self, prefix: bytes) -> None:
        """Make the names of one store.

        :param prefix: of every key in the server.
        """
        self._prefix = prefix + b":" + _VERSION + b":"
        self.purges = self._prefix + b"p"

    def entry(self, key: bytes) -> bytes:
        """Give the name of what is stored under a key; all such begin with that of ``b""``."""
        return self._prefix + b"k:" + key

    def key(self, entry: bytes) -> bytes:
        """Give the key of an entry's name."""
        return entry[len(self._prefix) + 2 :]

    def entries(self, prefix: bytes) -> bytes:
        """Give the pattern of the names of entries whose keys begin with a prefix."""
        return _escaped(self.entry(prefix)) + b"*"

    def chunk(self, name: bytes, index: int) -> bytes:
        """Give the name of a chunk of a response's content.

        :param name: the response's.
        """
        return b"%sb:%s:%d" % (self._prefix, name.hex().encode("ascii"), index)

    def tag(self, tag: bytes) -> bytes:
        """Give the name of a tag's set."""
        return self._prefix + b"t:" + tag

    def ruled(self, uri: bytes) -> bytes:
        """Give the name of the set of the keys that rules made of a URI's."""
        return self._prefix + b"r:" + uri


def _escaped(pattern: bytes) -> bytes:
    """Escape what means something in a glob of Redis."""
    for each in (b"\\", b"*", b"?", b"[", b"]", b"^", b"-"):
        pattern = pattern.replace(each, b"\\" + each)
    return pattern
