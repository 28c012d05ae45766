"""Records of responses in Redis."""

from __future__ import annotations

from ..packing import Unreadable, pack, pack_head, sealed, unpack, unpack_head, unsealed
from ..pieces import Pieces
from ..stored import StoredHead, StoredResponse
from .content import INLINE, Chunks, RedisBody, chunks_of, is_chunk

NAME_SIZE = 12
"""How long a response's name is, in bytes."""


def pack_response(key: bytes, head: StoredHead, body: RedisBody) -> bytes | None:
    """Give a record: its key, head, size, checksums, and content that is small.

    :returns: ``None`` when the content would belong there and is not at hand.
    """
    content = None
    if body.size <= INLINE:
        content = body.content.whole if body.content is not None else None
        if content is None:
            return None
    return sealed(pack((key, pack_head(head), body.size, body.checksums, content)))


def unpack_response(chunks: Chunks, key: bytes, name: bytes, data: bytes) -> StoredResponse:
    """Make a response of its record.

    :param chunks: of whatever content is not in it.
    :raises Unreadable: when it is none, or not the one that should be there.
    :raises TypeError: likewise.
    :raises ValueError: likewise.
    """
    stored_key, head, size, checksums, content = unpack(unsealed(data))
    if stored_key != key or type(size) is not int or type(checksums) is not bytes:
        raise Unreadable("it is of another key, or no record")
    if size < 0 or len(checksums) != 8 * chunks_of(size) or len(name) != NAME_SIZE:
        raise Unreadable("it is no record")
    body = RedisBody(chunks, key, name, size, checksums)
    if size <= INLINE:
        if size and not is_chunk(content, size, 0, checksums):
            raise Unreadable("its content is wrong")
        body.content = Pieces.of(content or b"")
    return StoredResponse(unpack_head(head), body)
