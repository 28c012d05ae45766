"""Entity tags (RFC 9110 section 8.8.3) of content that is given a coding on the way.

A strong tag names bytes. Content that was encoded here has other bytes than the origin's, and not
the same each time, so its tag is weak; and it says which coding was applied, so that the origin can
be asked by the very tag that it gave: ``"x"`` becomes ``W/"x~gzip"`` and comes back as ``"x"``.
A tag that was weak already holds for both forms and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# No tag may hold a space, and some do.
_TAG = re.compile(rb'(W/)?"([ !#-~\x80-\xff]*)"')
_TAGS = re.compile(rb"%b(?:[ \t]*,[ \t]*%b)*" % (_TAG.pattern, _TAG.pattern))
_CODED = re.compile(rb"(.*)~(gzip|br|zstd)\Z", re.DOTALL)


def encoded_tag(tag: bytes, coding: str) -> bytes | None:
    """Give the tag of content after a coding was applied to it.

    :param tag: the ETag field's value.
    :returns: ``None`` when that is no tag, and so nothing that can name the encoded content.
    """
    match = _TAG.fullmatch(tag)
    if match is None:
        return None
    if match[1]:
        return tag
    return b'W/"%s~%s"' % (match[2], coding.encode("ascii"))


def restored_tags(value: bytes) -> bytes:
    """Give If-None-Match or If-Match as the origin should see it, with its own tags.

    :param value: as the client sent it; what is no list of tags stays as it is.
    """
    if _TAGS.fullmatch(value) is None:
        return value
    restored: list[bytes] = []
    for match in _TAG.finditer(value):
        coded = _CODED.match(match[2]) if match[1] else None
        tag = match[0] if coded is None else b'"%s"' % coded[1]
        if tag not in restored:
            restored.append(tag)
    return b", ".join(restored)


def tag_that_was_sent(tag: bytes, sent: bytes, codings: Iterable[str]) -> bytes:
    """Give a 304's tag in the form in which the client has it (RFC 9110 section 15.4.5).

    :param tag: the origin's.
    :param sent: the client's If-None-Match.
    :param codings: those that may have been applied, the likeliest first.
    """
    known = {match[0] for match in _TAG.finditer(sent)}
    for coding in codings:
        coded = encoded_tag(tag, coding)
        if coded is not None and coded in known:
            return coded
    return tag
