"""What kind of content a file holds, by its name."""

from __future__ import annotations

import mimetypes

# What mimetypes tells apart from the type of what is inside; sent as files of their own type.
_PACKED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


def file_type(name: str, charset: str = "") -> bytes:
    """Give Content-Type by a file's name.

    :param charset: of texts, ``""`` to say none.
    """
    kind, packing = mimetypes.guess_type(name)
    if packing is not None:
        kind = _PACKED.get(packing)
    if kind is None:
        return b"application/octet-stream"
    if charset and kind.startswith("text/"):
        kind = f"{kind}; charset={charset}"
    return kind.encode("ascii")
